"""A case -> the samples that are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from pathlib import Path

import numpy as np

from audio import log_mel, read_sound
from core.arrays import Pictures
from core.errors import LipSyncError
from face_detection import Detector, cut, mouth_mask, paste
from face_detection.mediapipe_points import MOUTH
from video import VideoInfo, pick_frames, probe

from .cases import Case
from .framing import CropBoxes, crop_boxes
from .metrics.landmarks import Landmarks
from .metrics.lip_points import LipPoints
from .protocol import CLIP, SHORT, Protocol
from .video_sample import FPS, WIDE, VideoSample

ASPECT = 0.02  # that the shapes of a result's and a real picture may differ by


class ClipError(LipSyncError):
    """A clip that cannot be evaluated.  flaw: missing, short or broken."""

    def __init__(self, flaw: str, reason: str) -> None:
        super().__init__(reason)
        self.flaw = flaw


@dataclass(frozen=True)
class FaceFinders:
    """What is needed to look at clips: a detector where faces are detected, landmarks if they are at hand.

    landmarks find the mouth, and may be None; lips: who finds MediaPipe's points of the lips, and may be the same.
    most: frames of a clip that are looked at, at 25 a second.
    """

    protocol: Protocol
    detector: Detector | None = None
    landmarks: Landmarks | None = None
    lips: LipPoints | None = None
    most: int = CLIP


@dataclass(frozen=True)
class Clip:
    """A real video, the result, and the real video with a mouth of its own from elsewhere: of the same moments."""

    case: Case
    real: VideoSample
    result: VideoSample
    pasted: VideoSample

    def __post_init__(self) -> None:
        if not len(self.real) == len(self.result) == len(self.pasted):
            raise ValueError(f"{self.case.name}: the sides of a clip show the same moments")


def load(case: Case, finders: FaceFinders) -> Clip:
    """Reads a clip.  Raises ClipError if it cannot be evaluated."""
    real, result = _opened(case, finders.protocol)
    moments = min(_moments(real), _moments(result), finders.most)
    try:
        crops = crop_boxes(real, finders.protocol.framing, _numbers(real, moments), finders.detector)
        scaled = [boxes.scaled(_scale(result.width, real.width), _scale(result.height, real.height)) for boxes in crops]
        size = finders.protocol.size
        shown = _pictures(_read(real, moments), crops, size)
        own = _sample(real.path, shown, crops, finders)
        other = _sample(result.path, _pictures(_read(result, moments), scaled, size), crops, finders)
        pasted = _pictures(_with_reference(real, crops, size), crops, size)
    except ClipError:
        raise
    except LipSyncError as problem:
        raise ClipError("broken", str(problem)) from problem
    lent = replace(other, faces=pasted[0], wide=pasted[1], mouth=None, lips=None)
    return Clip(case, own, other, _seen(lent, finders))


def _opened(case: Case, protocol: Protocol) -> tuple[VideoInfo, VideoInfo]:
    """The real video and the result.  Raises ClipError if one is not there or does not fit the other."""
    if case.result is None:
        raise ClipError("missing", f"{case.looked}: there is no such result")
    if case.real is None:
        raise ClipError("broken", f"{case.name}: its real video, or the sound's, is not below --root")
    try:
        real, result = probe(case.real), probe(case.result)
        lasts = min(float(real.seconds), _said(case, real, case.result, protocol))
    except LipSyncError as problem:
        raise ClipError("broken", str(problem)) from problem
    if lasts - float(result.seconds) > SHORT:
        raise ClipError(
            "short", f"{case.result}: lasts {float(result.seconds):.2f} s, and should last {lasts:.2f} s"
        )
    if abs(real.width * result.height / (real.height * result.width) - 1) > ASPECT:
        raise ClipError(
            "broken",
            f"{case.result}: is {result.width} x {result.height}, of another shape than the real video"
            f" ({real.width} x {real.height}); results are whole pictures",
        )
    return real, result


def _said(case: Case, real: VideoInfo, result: Path, protocol: Protocol) -> float:
    """How long the words last, in seconds."""
    if case.sound is not None and case.sound != case.real:
        return read_sound(case.sound).seconds
    return read_sound(result).seconds if protocol.setting == "cross" else float(real.seconds)


def _scale(result: int, real: int) -> float:
    """How many times longer a side of the result is; an odd one may have got one more pixel when it was written."""
    return 1.0 if result == real + real % 2 else result / real


def _moments(info: VideoInfo) -> int:
    """How many times 1/25 s begin before the video ends."""
    return ceil(info.seconds * FPS)


def _numbers(info: VideoInfo, moments: int) -> list[int]:
    """The frames that are on screen at those moments."""
    return [floor(k / FPS * info.fps) for k in range(moments)]


def _read(info: VideoInfo, moments: int) -> Iterator[np.ndarray]:
    return pick_frames(info.path, _numbers(info, moments))


def _pictures(frames: Iterator[np.ndarray], seen: Sequence[CropBoxes], size: int) -> tuple[Pictures, Pictures]:
    """u8 [t, size, size, 3] and [t, 224, 224, 3]; the frames themselves are not kept."""
    faces, wides = [], []
    for frame, boxes in zip(frames, seen, strict=True):
        faces.append(cut(frame, boxes.face, size))
        wides.append(cut(frame, boxes.wide, WIDE))
    return np.stack(faces), np.stack(wides)


def _with_reference(info: VideoInfo, seen: Sequence[CropBoxes], size: int) -> Iterator[np.ndarray]:
    """The real frames, the lower half of each face from the middle of the clip's other half."""
    count = len(seen)
    early, late = count // 4, 3 * count // 4
    numbers = _numbers(info, count)
    frames = list(pick_frames(info.path, [numbers[early], numbers[late]]))
    mouths = [cut(frame, seen[k].face, size) for frame, k in zip(frames, (early, late), strict=True)]
    mask = mouth_mask(size, feather=0)
    for k, frame in enumerate(_read(info, count)):
        yield paste(frame, mouths[k < count / 2], seen[k].face, mask)


def _sample(
    path: Path, shown: tuple[Pictures, Pictures], seen: Sequence[CropBoxes], finders: FaceFinders
) -> VideoSample:
    """With its sound, cut to what is shown."""
    whole = read_sound(path)
    sound = replace(whole, samples=whole.samples[: len(seen) * whole.rate // int(FPS)])
    return _seen(VideoSample(*shown, seen[0].place(WIDE), sound, log_mel(sound)), finders)


def _seen(sample: VideoSample, finders: FaceFinders) -> VideoSample:
    """With the points of its mouth and of its lips, as far as somebody can find them."""
    both = None if finders.lips is None else finders.lips.find(sample.wide, sample.place)
    if finders.landmarks is None:
        mouth = None
    elif finders.landmarks is finders.lips and both is not None:
        mouth = both[:, : len(MOUTH)]
    else:
        mouth = finders.landmarks.find(sample.wide, sample.place)
    return replace(sample, mouth=mouth, lips=None if both is None else both[:, len(MOUTH) :])
