"""Which windows of which clips make a batch: a function of (seed, step), so that training resumes exactly."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from audio import Mel
from core.errors import BadInput, Mismatch, NoData

from .clip import ClipBatch, Needs, to_network
from .conditions import AudioFeatures
from .footage import Footage
from .shards import ShardClips

NOTES = logging.getLogger(__name__)
PATIENCE = 100  # clips that may be drawn in place of a broken one before the data as a whole is taken to be broken


@dataclass(frozen=True)
class WindowConfig:
    """How windows are drawn.

    frames      consecutive frames of a window
    per_clip    windows drawn from the same clip, which stand next to each other in the batch
    margin      frames before and after the window that cannot be its reference either: their mouth is nearly the same,
                and a network that is shown it copies it instead of listening.  0 is the paper's
    balance     a speaker is drawn with probability ~ frames ** balance: 0 all alike, 1 by how much there is of each
    augment     mirror half of the windows and vary brightness and contrast a little
    voice_jitter  vary the loudness of the sound by up to this many dB, and the length of the vocal tract by up to a
                hundredth of it (VTLP: Jaitly and Hinton 2013), so that few speakers stand for many; in the mel
                alone, filter banks stay as they are: what hears them was trained on many voices
    zoom        show a random part of the faces, up to this share of the side smaller: detectors frame a face more or
                less closely, and a network that has seen one framing alone fails on the others.  Of a pack, whose
                pictures have a margin: up to half of this share smaller or larger, moved by up to half of it
    rotate      of a pack: turn the faces by up to so many degrees
    reference_jitter  of a pack: move references against their window by up to this share of the side, resize them by as
                much, turn them by as many radians, so that they are looked at rather than copied
    elastic     of a pack: bend a window and its references by a smooth field of this standard deviation, a share of
                the side, so that few faces stand for faces of other shapes
    colour_jitter  of a pack: vary the colours of a window and its references, alike, by up to this share, and how light
                falls on them, so that few skins, lips and lamps stand for others
    single_reference  the share of windows all of whose references are one frame, which is what a still picture gives
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "voices": "voice_jitter",
        "turn": "rotate",
        "apart": "reference_jitter",
        "bend": "elastic",
        "colour": "colour_jitter",
    }

    frames: int = 5
    per_clip: int = 1
    margin: int = 0
    balance: float = 0.5
    augment: bool = True
    voice_jitter: float = 0.0
    zoom: float = 0.0
    rotate: float = 0.0
    reference_jitter: float = 0.0
    elastic: float = 0.0
    colour_jitter: float = 0.0
    single_reference: float = 0.0

    def __post_init__(self) -> None:
        jitters = self.voice_jitter, self.rotate, self.reference_jitter, self.elastic, self.colour_jitter
        if self.frames < 1 or self.per_clip < 1 or min(self.margin, *jitters) < 0 or not 0 <= self.zoom < 1:
            raise ValueError("a window has at least 1 frame, a clip gives at least 1 window")
        if not 0 <= self.single_reference <= 1:
            raise ValueError(f"single_reference is a share of windows, 0 to 1, not {self.single_reference}")


def check_batch(batch: int, per_clip: int) -> None:
    """Raises Mismatch if so many items cannot be so many of each clip."""
    if batch % per_clip:
        raise Mismatch(
            f"a batch of {batch} does not divide into {per_clip} of each clip; make --batch a multiple of {per_clip},"
            " or set data.per_clip"
        )


class Windows:
    """Draws batches from footage.  What is too short for a window and a reference is left out.

    Footage whose length is not known before it is opened counts as one frame, so that its speakers are balanced by
    their number of clips.  If it turns out to be too short or broken, a warning names it, once a process, and another
    clip takes its place: which one is a function of (seed, step) too, so that workers and resumed runs agree.
    """

    def __init__(
        self, clips: Sequence[Footage], config: WindowConfig, *, batch: int, seed: int, needs: Needs = Needs()  # noqa: B008
    ) -> None:
        check_batch(batch, config.per_clip)
        least = config.frames + needs.before
        known = [(i, clip.speaker, clip.amount or 1) for i, clip in enumerate(clips) if _may_serve(clip, least)]
        if not known:
            raise NoData(f"no clip has more than {least} frames; prepare longer ones")
        self.config, self.batch, self.seed, self.needs = config, batch, seed, needs
        self.clips = clips
        self.usable = np.array([i for i, _, _ in known])
        self.weights = balanced([speaker for _, speaker, _ in known], [frames for *_, frames in known], config.balance)
        self._left_out: set[int] = set()
        self._shards = self._by_shard(clips) if isinstance(clips, ShardClips) else []

    def __getitem__(self, step: int) -> ClipBatch:
        """Raises BadInput if clip after clip is broken."""
        rng = np.random.default_rng([self.seed, step])
        indices = self._chosen(rng, step, self.batch // self.config.per_clip)
        windows, numbers = [], []
        for place, number in enumerate(indices):
            number, drawn = self._served(int(number), rng, step, place)
            windows += drawn
            numbers += [number] * len(drawn)
        return replace(stack(windows), clip=torch.tensor(numbers))

    def _by_shard(self, clips: ShardClips) -> list[NDArray[np.int64]]:
        """For each shard the places in `usable` of its clips; those without any are passed over."""
        ends = [shard.stop for shard in clips.shards]
        cuts = np.searchsorted(self.usable, ends).tolist()
        return [np.arange(start, stop) for start, stop in pairwise([0, *cuts]) if stop > start]

    def _chosen(self, rng: Generator, step: int, count: int) -> NDArray[np.int64]:
        """Places in `usable`: anywhere, or in the shard of this step, so that processes read shards of their own."""
        if not self._shards:
            return rng.choice(len(self.usable), count, p=self.weights)
        own = self._shards[step % len(self._shards)]
        weights = self.weights[own]
        return rng.choice(own, count, p=weights / weights.sum())

    def _served(self, number: int, rng: Generator, step: int, place: int) -> tuple[int, list[ClipBatch]]:
        """The windows of this clip, or of the first sound one among those drawn by step and place in its stead.

        What a broken clip took from `rng` is given back: whether it was known to be broken changes nothing.
        """
        spare = np.random.default_rng([self.seed, step, place])
        for _ in range(PATIENCE):
            if number not in self._left_out:
                before = rng.bit_generator.state
                try:
                    return number, self._draw(self.clips[self.usable[number]], rng)
                except BadInput as problem:
                    rng.bit_generator.state = before
                    self._left_out.add(number)
                    NOTES.warning("left out: %s", problem)
            number, rng = int(self._chosen(spare, step, 1)[0]), spare
        raise NoData(f"none of {PATIENCE} clips drawn one after another can be used; see the warnings before this")

    def _draw(self, clip: Footage, rng: Generator) -> list[ClipBatch]:
        length, count, lead = self.config.frames, self.config.per_clip, self.needs.before
        room = len(clip) - length - lead + 1
        if room < 2:
            raise NoData(f"{clip.name}: its {len(clip)} frames are too few for a window of {length} and a reference")
        starts = (lead + rng.choice(room, count, replace=room < count)).tolist()
        mirrored, gain, offset = False, 1.0, 0.0
        if self.config.augment:
            mirrored, gain, offset = rng.random() < 0.5, rng.uniform(0.85, 1.15), rng.uniform(-12, 12)
        side = 1 - rng.uniform(0, self.config.zoom)
        part = (rng.uniform(0, 1 - side), rng.uniform(0, 1 - side), side)
        voices = self.config.voice_jitter
        voice = clip.mel.vocal_tract_perturbed(rng.uniform(-voices, voices), 1 + rng.uniform(-voices, voices) / 100)
        count_of = range(self.needs.references)
        references = [[int(rng.choice(self._references(len(clip), start))) for _ in count_of] for start in starts]
        if self.config.single_reference and rng.random() < self.config.single_reference:
            references = [numbers[:1] * len(numbers) for numbers in references]
        faces = clip.pictures(_numbers(starts, length, references, lead))
        if self.config.augment:
            faces = _vary(faces, mirrored=mirrored, gain=gain, offset=offset)
        if self.config.zoom:
            faces = _zoomed(faces, part)
        pictures = to_network(faces.reshape(count, lead + length + self.needs.references, *faces.shape[1:]))
        windows = zip(starts, pictures, strict=True)
        return [_window(clip, voice, start, shown, self.needs) for start, shown in windows]

    def _references(self, frames: int, start: int) -> list[int]:
        """The frames that a window's reference may be; in a clip too short for the margin, all outside the window."""
        stop, margin = start + self.config.frames, self.config.margin
        far = [k for k in range(frames) if k < start - margin or k >= stop + margin]
        return far or [k for k in range(frames) if not start <= k < stop]


def balanced(speakers: Sequence[str], frames: Sequence[int], balance: float) -> NDArray[np.float64]:
    """The probability of each clip, of this speaker and so long, by which a speaker's is ~ frames ** balance."""
    total = Counter[str]()
    for speaker, count in zip(speakers, frames, strict=True):
        total[speaker] += count
    weights = [count * total[speaker] ** (balance - 1) for speaker, count in zip(speakers, frames, strict=True)]
    return np.asarray(weights / np.sum(weights))


def window(
    clip: Footage, start: int, frames: int, reference: int | Sequence[int], needs: Needs = Needs()  # noqa: B008
) -> ClipBatch:
    """Frames start..start+frames-1 of a clip, with frame `reference` as the reference of each: a batch of one.

    Where more references are needed, one number stands for as many, spread over what is not in the window.
    ValueError if frames before are needed and there are too few.
    """
    if start < needs.before:
        raise ValueError(f"frame {start} of a clip has fewer than {needs.before} before it")
    references = _several(reference, needs.references, len(clip), range(start, start + frames))
    numbers = _numbers([start], frames, [references], needs.before)
    return _window(clip, clip.mel, start, to_network(clip.pictures(numbers)), needs)


def stack(batches: list[ClipBatch]) -> ClipBatch:
    """One batch of many with equally many frames."""
    return ClipBatch(
        torch.cat([b.faces for b in batches]),
        torch.cat([b.reference for b in batches]),
        {name: torch.cat([b.audio[name] for b in batches]) for name in batches[0].audio},
        torch.cat([b.speech for b in batches]),
        before=_joined([b.before for b in batches]),
        motion=_joined([b.motion for b in batches]),
        references=_joined([b.references for b in batches]),
    )


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    """What every one of the batches has."""
    there = [part for part in parts if part is not None]
    return torch.cat(there) if len(there) == len(parts) else None


def _may_serve(clip: Footage, frames: int) -> bool:
    return clip.amount is None or clip.amount > frames


def _several(reference: int | Sequence[int], count: int, frames: int, window: range) -> list[int]:
    """So many references: those given, or `reference` and others spread over the frames outside the window."""
    if not isinstance(reference, int):
        return list(reference)
    outside = [k for k in range(frames) if k not in window]
    spread = np.linspace(0, len(outside) - 1, count + 1)[1:].astype(int).tolist()
    return [reference, *(outside[i] for i in spread)][:count]


def _numbers(starts: list[int], length: int, references: list[list[int]], lead: int) -> list[int]:
    """The frames of windows, one window after the other, each led by `lead` frames and followed by its references."""
    windows = zip(starts, references, strict=True)
    return [k for start, others in windows for k in (*range(start - lead, start + length), *others)]


def _window(clip: Footage, mel: Mel, start: int, pictures: Tensor, needs: Needs) -> ClipBatch:
    """pictures [frames + k, 3, s, s], the k references last; with those in front that are needed before."""
    lead, several = needs.before, needs.references
    faces, references = pictures[None, lead:-several], pictures[None, -several:]
    frames, fps = faces.shape[1], clip.fps
    sound = AudioFeatures(mel, clip.banks if needs.filterbanks else None, clip.name)
    return ClipBatch(
        faces=faces,
        reference=references[:, :1].expand_as(faces),
        audio={
            condition.name: torch.from_numpy(condition.windows(sound, start, start + frames, fps))[None]
            for condition in needs.audio
        },
        speech=torch.from_numpy(mel.span(start, frames, fps))[None],
        before=pictures[None, :lead] if lead else None,
        references=references[:, None].expand(-1, frames, -1, -1, -1, -1) if several > 1 else None,
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
