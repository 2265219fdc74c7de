"""Which windows of which clips make a batch: a function of (seed, step), so that training resumes exactly."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from errors import BadInput

from .clip import Clip, ClipBatch, to_network


@dataclass(frozen=True)
class WindowConfig:
    """How windows are drawn.

    frames      consecutive frames of a window
    per_clip    windows drawn from the same clip, which stand next to each other in the batch
    margin      frames before and after the window that cannot be its reference either: their mouth is nearly the same,
                and a network that is shown it copies it instead of listening.  0 is the paper's
    balance     a speaker is drawn with probability ~ frames ** balance: 0 all alike, 1 by how much there is of each
    augment     mirror half of the windows and vary brightness and contrast a little
    zoom        show a random part of the faces, up to this share of the side smaller: detectors frame a face more or
                less closely, and a network that has seen one framing alone fails on the others
    """

    frames: int = 5
    per_clip: int = 1
    margin: int = 0
    balance: float = 0.5
    augment: bool = True
    zoom: float = 0.0

    def __post_init__(self) -> None:
        if self.frames < 1 or self.per_clip < 1 or self.margin < 0 or not 0 <= self.zoom < 1:
            raise ValueError("a window has at least 1 frame, a clip gives at least 1 window")


class Windows:
    """Draws batches from clips that lie in memory.  Clips shorter than a window and a reference are left out."""

    def __init__(self, clips: list[Clip], config: WindowConfig, *, batch: int, seed: int) -> None:
        if batch % config.per_clip:
            raise BadInput(f"a batch of {batch} does not divide into {config.per_clip} windows a clip")
        usable = [clip for clip in clips if len(clip) > config.frames]
        if not usable:
            raise BadInput(f"no clip has more than {config.frames} frames; prepare longer ones")
        self.config, self.batch, self.seed = config, batch, seed
        self.clips = usable
        total = Counter[str]()
        for clip in usable:
            total[clip.speaker] += len(clip)
        weights = np.array([len(c) * total[c.speaker] ** (config.balance - 1) for c in usable])
        self.weights = weights / weights.sum()

    def from_step(self, step: int) -> Iterator[ClipBatch]:
        """Batches from a step on, without end."""
        while True:
            yield self[step]
            step += 1

    def __getitem__(self, step: int) -> ClipBatch:
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(len(self.clips), self.batch // self.config.per_clip, p=self.weights)
        windows = [window for i in chosen for window in self._draw(self.clips[i], rng)]
        return stack(windows)

    def _draw(self, clip: Clip, rng: Generator) -> list[ClipBatch]:
        length, count = self.config.frames, self.config.per_clip
        room = len(clip) - length + 1
        starts = rng.choice(room, count, replace=room < count)
        mirrored, gain, offset = False, 1.0, 0.0
        if self.config.augment:
            mirrored, gain, offset = rng.random() < 0.5, rng.uniform(0.85, 1.15), rng.uniform(-12, 12)
        side = 1 - rng.uniform(0, self.config.zoom)
        part = (rng.uniform(0, 1 - side), rng.uniform(0, 1 - side), side)
        found = []
        for start in starts:
            reference = int(rng.choice(self._references(len(clip), int(start))))
            faces = clip.faces[[*range(start, start + length), reference]]
            if self.config.augment:
                faces = _vary(faces, mirrored=mirrored, gain=gain, offset=offset)
            if self.config.zoom:
                faces = _zoomed(faces, part)
            found.append(_window(clip, int(start), to_network(faces)))
        return found

    def _references(self, frames: int, start: int) -> list[int]:
        """The frames that a window's reference may be; in a clip too short for the margin, all outside the window."""
        stop, margin = start + self.config.frames, self.config.margin
        far = [k for k in range(frames) if k < start - margin or k >= stop + margin]
        return far or [k for k in range(frames) if not start <= k < stop]


def window(clip: Clip, start: int, frames: int, reference: int) -> ClipBatch:
    """Frames start..start+frames-1 of a clip, with frame `reference` as the reference of each: a batch of one."""
    return _window(clip, start, to_network(clip.faces[[*range(start, start + frames), reference]]))


def stack(batches: list[ClipBatch]) -> ClipBatch:
    """One batch of many with equally many frames."""
    return ClipBatch(
        torch.cat([b.faces for b in batches]),
        torch.cat([b.reference for b in batches]),
        torch.cat([b.mel for b in batches]),
        torch.cat([b.speech for b in batches]),
    )


def _window(clip: Clip, start: int, pictures: torch.Tensor) -> ClipBatch:
    """pictures [frames + 1, 3, s, s], the reference last."""
    faces, reference = pictures[None, :-1], pictures[None, -1:]
    frames = faces.shape[1]
    return ClipBatch(
        faces=faces,
        reference=reference.expand_as(faces),
        mel=torch.from_numpy(clip.mel.windows(start, start + frames, clip.fps))[None],
        speech=torch.from_numpy(clip.mel.span(start, frames, clip.fps))[None],
    )


def _vary(faces: NDArray[np.uint8], *, mirrored: bool, gain: float, offset: float) -> NDArray[np.uint8]:
    table = np.clip((np.arange(256) - 128) * gain + 128 + offset, 0, 255).astype(np.uint8)
    varied: NDArray[np.uint8] = table[faces[:, :, ::-1] if mirrored else faces]
    return varied


def _zoomed(faces: NDArray[np.uint8], part: tuple[float, float, float]) -> NDArray[np.uint8]:
    """The square at (x, y, side), shares of the picture, enlarged to the whole.  u8 [t, s, s, 3] -> the same."""
    size = faces.shape[1]
    x, y, side = part
    shift = [side / 2 - 0.5 + x * size, side / 2 - 0.5 + y * size]  # pixel centres map to pixel centres
    matrix = np.array([[side, 0, shift[0]], [0, side, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack([cv2.warpAffine(face, matrix, (size, size), flags=flags) for face in faces])
