"""One video -> the clips that can be learned from.  Memory: one clip of at most 20 seconds, and the mel of all."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from audio import FilterBanks, Mel, read_filterbanks, read_mel
from face_detection import (
    Detector,
    Faces,
    FaceTrack,
    Sightings,
    cut,
    find_faces,
    load_detector,
    search,
    voxceleb2_box,
)
from media import damage_of
from video import VideoInfo, pick_frames, probe, read_frames

from .clip import Clip
from .prepared import save_clip
from .report import Line
from .source import Source
from .span import FPS, Least, Span, spans
from .sync_filter import Scorer, SyncFilter

BRIDGED = Fraction(1, 5)  # seconds for which a face may be out of sight within a clip
STEADY = 2.0, 4.0  # how far the place and the size of a face are smoothed, in frames of 25 per second; as in lipsync


@dataclass(frozen=True)
class Cutting:
    """How clips are cut.  size: of the faces, in pixels; detector: by name, as `load_detector` knows it."""

    size: int = 128
    detector: str = "auto"
    least: Least = field(default_factory=Least)
    sync: SyncFilter = field(default_factory=SyncFilter)

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ValueError(f"a face has at least 8 pixels a side, not {self.size}")


@dataclass(frozen=True)
class Take:
    """A stretch of a video, its clip if it can be used, and the sound of the whole video, in which it begins there.

    The clip's filter banks are cut from `banks` when it is known whether the sound must be shifted.
    """

    span: Span
    clip: Clip | None
    sound: Mel
    banks: FilterBanks


def prepare_source(source: Source, cutting: Cutting, scorer: Scorer | None) -> list[Line]:
    """Writes the clips of a video and says what became of each of its stretches.  BadInput if it cannot be read."""
    lines: list[Line] = []
    count = 0
    for take in _takes(source, cutting):
        target = source.target if source.framed else source.numbered(count)
        clip, line = _judged(take, cutting.sync, scorer)
        if clip is not None:
            save_clip(target, replace(clip, name=target.stem))
            line |= {"clip": "/".join(target.parts[-3:])}
            count += 1
        lines.append(line)
    warnings = damage_of(source.video)
    return [{**line, "warnings": warnings} for line in lines] if warnings else lines


def _takes(source: Source, cutting: Cutting) -> Iterator[Take]:
    info, sound, banks = probe(source.video), read_mel(source.video), read_filterbanks(source.video)
    if source.framed:
        yield Take(*_whole(source, info, sound, cutting.size), sound, banks)
        return
    track = _track(info, _detector(cutting.detector))
    for span in spans(track, info.fps, cutting.least):
        clip = None if span.flaw else _clip(source, info, track, span, sound, cutting.size)
        yield Take(span, clip, sound, banks)


def _whole(source: Source, info: VideoInfo, sound: Mel, size: int) -> tuple[Span, Clip]:
    """A face crop as it is, at its own rate."""
    box = voxceleb2_box(info.height, info.width)
    faces = np.stack([cut(frame, box, size) for frame in read_frames(source.video)])
    span = Span(Fraction(0), info.frames, 0, info.frames, box.height)
    return span, Clip(source.target.stem, source.speaker, faces, sound, info.fps)


def _track(info: VideoInfo, detector: Detector) -> FaceTrack:
    place, size = STEADY
    pace = float(info.fps / FPS)
    sightings = list(search(read_frames(info.path), detector))
    detections = _largest(find_faces(Sightings.joined(sightings)))
    return detections.filled(round(BRIDGED * info.fps)).smoothed(place * pace, size * pace)


def _largest(faces: Faces) -> FaceTrack:
    """In each shot the one person who fills most of it, whoever that is in the others."""
    boxes = np.full((faces.frames, 4), np.nan, np.float32)
    for start, stop in pairwise([*faces.shots, faces.frames]):
        candidates = [track.boxes[start:stop] for track in faces.tracks]
        boxes[start:stop] = max(candidates, key=_filled, default=np.nan)
    return FaceTrack(boxes, ~np.isnan(boxes[:, 0]), faces.shots)


def _filled(boxes: NDArray[np.float32]) -> float:
    """The areas of f32 [n, 4] boxes in all, those that are there."""
    return float(np.nansum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))


def _clip(source: Source, info: VideoInfo, track: FaceTrack, span: Span, sound: Mel, size: int) -> Clip:
    numbers = span.numbers(info.fps)
    shown = zip(numbers, pick_frames(info.path, numbers), strict=True)
    faces = np.stack([cut(frame, box, size) for number, frame in shown if (box := track.box(number)) is not None])
    return Clip(source.target.stem, source.speaker, faces, sound.excerpt(span.begin, span.frames / FPS), FPS)


def _judged(take: Take, sync: SyncFilter, scorer: Scorer | None) -> tuple[Clip | None, dict[str, object]]:
    """The clip with its sound in place, None if it is to be left out, and the line that says so."""
    span, clip = take.span, take.clip
    fps = FPS if clip is None else clip.fps
    line: dict[str, object] = {
        "begin": round(float(span.begin), 3),
        "seconds": round(float(span.frames / fps), 3),
        "frames": span.frames,
        "face": round(span.face),
    }
    if clip is None:
        return None, line | {"skipped": span.flaw}
    seconds = span.frames / fps
    if scorer is None:
        return replace(clip, banks=take.banks.excerpt(span.begin, seconds)), line
    offset = scorer(clip.faces, clip.mel, fps)
    line |= {"offset": offset.frames, "confidence": offset.confidence}
    shift = sync.correction(offset)
    if shift is None:
        return None, line | {"skipped": f"sync confidence below {sync.min_confidence:g}"}
    begin = span.begin + Fraction(shift) / fps
    if shift:
        clip = replace(clip, mel=take.sound.excerpt(begin, seconds))
    return replace(clip, banks=take.banks.excerpt(begin, seconds)), line


@cache
def _detector(name: str) -> Detector:
    return load_detector(name)
