"""Registration of new faces: the mouth is moved to where the person's is, and gets the person's colours (ours).

A network draws the mouth where most people have it; for some people, in some poses, that is several pixels off.  To
measure it, a few frames of the video are rendered with the lip motion that is read from them, or, by a network that
hears, with the video's own sound, so that each should come out as it is.  The median over these frames of the optical
flow (Farneback 2003) between output and frame, smoothed, is the displacement; what then differs, smoothed, is the error
of colour, and lips have one of their own, wherever they are.  All new faces of a half of a shot are corrected alike, so
nothing of what the lips do in one frame is in it.  A still picture is measured by itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture, Pictures, smoothstep
from dataset.conditions import AudioWindows
from face_detection import FaceTrack, LipColour, cut, displaced
from lipsync.planning.halves import Half, PerHalf, evenly_over
from lipsync.planning.references import References

from .renderer import NetworkInputs, Synthesizer

Field = NDArray[np.float32]

COUNT = 8     # frames of a half that are rendered to measure by; 12 and 24 measured the same
LEAST = 4     # frames that are enough to measure by; of a still picture one is
HELD = 4      # halves that are remembered
SIDE = 128    # pixels of the faces that flow is computed on
SMOOTH, TONE = 6 / 128, 3 / 128  # of the side: deviations of the Gaussians that flow and colour are smoothed by
COARSER = 3         # times as broad are these where one frame is all there is, whose mouth has one shape
LARGEST = 4 / 128   # of the side: a larger displacement is a false match
ABOVE, BELOW = 0.5, 0.66  # of the side: nothing is moved above the one, all below the other
LIGHT, OTHER = 12.0, 30.0  # levels of 255: up to the one a difference is of light, from the other of what is seen
SPARSE = 0.2        # share of the pixels around one that must tell its light, for that to be added whole


@dataclass(frozen=True)
class Correction:
    """What is done to each new face, in this order.

    flow f32 [s, s, 2]   how far from each pixel, in x and y, the network draws what belongs there
    colour f32 [s, s, 3] what is added, levels of 255
    lips                 the colour of the person's lips
    """

    flow: Field
    colour: Field
    lips: LipColour

    def __call__(self, face: Picture) -> Picture:
        """u8 [s, s, 3] RGB -> the same."""
        top, changed = self._top, face.copy()
        if top < len(face):
            moved = displaced(face, self.flow[top:], cv2.INTER_CUBIC, top)
            changed[top:] = lit(moved, self.colour[top:])
        return self.lips.over(changed)

    @cached_property
    def _top(self) -> int:
        """The first row in which anything is moved or added."""
        somewhere = np.flatnonzero(self.flow.any(axis=(1, 2)) | self.colour.any(axis=(1, 2)))
        return int(somewhere[0]) if len(somewhere) else len(self.flow)


@dataclass(frozen=True)
class Conditioning:
    """What a network is told of n frames besides pictures: what is heard around each, by the names of the system's
    conditions, f32 [n, ...]; what the lips do, f32 [n, d], or None."""

    audio: Mapping[str, AudioWindows]
    motion: AudioWindows | None


class OwnConditioning(Protocol):
    """What a network must be told to draw frames of the video as they are."""

    def __call__(self, frames: Sequence[int], faces: Pictures) -> Conditioning | None:
        """frames: rising; faces: theirs, u8 [n, s, s, 3].  None where that is not known."""
        ...


class Registration:
    """Corrects the new faces of one result."""

    def __init__(
        self,
        pick: Callable[[list[int]], Iterable[Picture]],
        network: Synthesizer,
        own: OwnConditioning,
    ) -> None:
        """pick: rising source frames -> their pictures, u8 [h, w, 3]; network: draws faces."""
        self._pick, self._network, self._own = pick, network, own
        self._of_half: PerHalf[Correction | None] = PerHalf(HELD)

    def __call__(
        self, track: FaceTrack, references: References, sources: Sequence[int], faces: Pictures
    ) -> Pictures:
        """New faces u8 [n, s, s, 3] of these source frames, each in its place.

        Raises OutOfMemory as the network does.
        """
        corrected = [
            face if (correct := self.of(track, references, source)) is None else correct(face)
            for source, face in zip(sources, faces, strict=True)
        ]
        return np.stack(corrected)

    def of(self, track: FaceTrack, references: References, source: int) -> Correction | None:
        """The correction of the new face of a source frame; None where there is too little to measure by."""
        return self._of_half.of(track, source, lambda half: self._found(track, references, half))

    def _found(self, track: FaceTrack, references: References, half: Half) -> Correction | None:
        frames = evenly_over(half.fit, COUNT).tolist() if len(half.fit) else []
        if len(frames) < (1 if half.alone else LEAST):
            return None
        boxes = [box for k in frames if (box := track.box(k)) is not None]
        pictures = zip(self._pick(frames), boxes, strict=True)
        real = np.stack([cut(picture, box, self._network.size) for picture, box in pictures])
        if (own := self._own(frames, real)) is None:
            return None
        shown = NetworkInputs(real, references.of(frames, real), own.audio, own.motion)
        grid = self._network.grid
        groups = [slice(first, first + grid) for first in range(0, len(real), grid)]
        drawn = np.concatenate([self._network(range(len(real[group])), shown.part(group)) for group in groups])
        return correction(real, drawn)


def correction(real: Pictures, drawn: Pictures) -> Correction:
    """Faces u8 [n, s, s, 3] RGB and the same as the network draws them -> what makes the latter more like the former.
    """
    size, coarser = real.shape[1], 1 if len(real) > 1 else COARSER
    share = smoothstep((np.arange(size, dtype=np.float32) / size - ABOVE) / (BELOW - ABOVE))[:, None, None]
    between = np.median([_flow(one, other) for one, other in zip(real, drawn, strict=True)], axis=0)
    field = np.clip(_smooth(between, coarser * SMOOTH * SIDE), -LARGEST * SIDE, LARGEST * SIDE) * (size / SIDE)
    flow = np.asarray(share * cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
    moved = [displaced(face, flow, cv2.INTER_CUBIC) for face in drawn]
    missing = [one.astype(np.float32) - other for one, other in zip(real, moved, strict=True)]
    colour = np.asarray(share * _light(np.median(missing, axis=0), coarser * TONE * size), np.float32)
    return Correction(flow, colour, LipColour.between(list(real), [lit(face, colour) for face in moved]))


def lit(face: Picture, colour: Field) -> Picture:
    """u8 [s, s, 3] RGB -> the same, colour f32 [s, s, 3] added."""
    return np.asarray(cv2.add(face, colour, dtype=cv2.CV_8U), np.uint8)


def _flow(real: Picture, drawn: Picture) -> Field:
    """Where in `drawn` lies what `real` has at each pixel: f32 [SIDE, SIDE, 2]."""
    one, other = (
        cv2.cvtColor(cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        for face in (real, drawn)
    )
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    cv2.calcOpticalFlowFarneback(one, other, flow, 0.5, 4, 15, 3, 7, 1.5, 0)
    return flow


def _light(missing: NDArray[np.floating], deviation: float) -> Field:
    """The differences f32 [s, s, 3] that light makes, smoothed: teeth and the dark of a mouth count for nothing."""
    counts = np.clip((OTHER - np.abs(missing).max(axis=2)) / (OTHER - LIGHT), 0, 1)
    smooth, counted = (_smooth(values, deviation) for values in (missing * counts[..., None], counts))
    return np.asarray(smooth / np.maximum(counted, SPARSE)[..., None], np.float32)


def _smooth(field: NDArray[np.floating], deviation: float) -> Field:
    return np.asarray(cv2.GaussianBlur(field.astype(np.float32), (0, 0), deviation), np.float32)
