"""Finds the face that is meant in a video: a track that is ready to be cut by."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture, Span
from core.errors import NoFace
from core.progress import Bar
from face_detection import (
    Box,
    Detector,
    FaceFinder,
    FaceQuery,
    Faces,
    FaceTrack,
    Landmarks,
    TrackPoints,
    align,
    assess_fitness,
    default_folder,
    find_faces,
    find_points,
    opacity,
)
from face_detection import voxceleb2_box as voxceleb2_margins
from lipsync.settings import Settings
from video import VideoInfo, picked_ahead

FADE = 0.2
"""Seconds in which a mouth fades in or out, half a syllable: long enough not to pop, and hardly to be seen double."""


class FaceSelector:
    """The faces of one video: searched once, chosen as often as asked."""

    def __init__(
        self,
        info: VideoInfo,
        settings: Settings,
        detector: Callable[[], Detector],
        landmarks: Callable[[], Landmarks] | None = None,
        *,
        framing: str = "box",
    ) -> None:
        """detector: called when something must be searched, and not before.

        landmarks: called when points are needed: of faces that are to be aligned (framing: box | aligned), and to say
        where no mouth can be made well; None where nobody is to say that, and nothing is aligned.
        """
        self.info = info
        self._landmarks, self._framing = landmarks, framing
        self._pointed: dict[tuple[str, Span], TrackPoints] = {}
        self.settings = settings
        self._detector = detector
        self._faces: dict[Span, Faces] = {}

    @cached_property
    def finder(self) -> FaceFinder:
        """Knows which blocks of the video were searched already."""
        return FaceFinder(
            self.info, self._detector(), cache_folder(self.settings), batch=self.settings.detector_batch
        )

    @property
    def fixed(self) -> Box | None:
        """The one box that the settings name for all frames, if they do."""
        if self.settings.box is not None:
            top, bottom, left, right = self.settings.box
            return Box(left, top, right, bottom)
        return voxceleb2_margins(self.info.height, self.info.width) if self.settings.fixed_crop else None

    def span(self, face: str, start: int, stop: int) -> Span | None:
        """What must be searched to know this face in frames start..stop-1: those and more, or None for nothing."""
        if self.fixed is not None:
            return None
        query = FaceQuery.parse(face)
        if query.needs_all:
            return 0, self.info.frames
        if query.seconds is None:
            return start, stop
        pointed = min(max(round(query.seconds * self.info.fps), 0), self.info.frames - 1)
        return min(start, pointed), max(stop, pointed + 1)

    def faces(self, start: int, stop: int) -> Faces:
        """Everybody in frames start..stop-1, who fills most of these first, and in what else of their blocks had to be
        searched."""
        if (start, stop) not in self._faces:
            missing = sum(last - first for first, last in self.finder.missing(start, stop))
            with Bar(total=missing, desc="find faces", unit="frame", disable=None if missing else True) as bar:
                self._faces[start, stop] = find_faces(self.finder.find(start, stop, bar.update), (start, stop))
        return self._faces[start, stop]

    def track(self, face: str, start: int, stop: int) -> FaceTrack:
        """The face that is meant, among those in frames start..stop-1: gaps bridged, smoothed, padded.

        It has all frames of the video, with nobody where nothing was searched.

        NoFace if it is in none of these frames, or is lacking in one and the settings do not allow that.
        """
        if self.fixed is not None:
            track = FaceTrack.fixed(self.info.frames, self.fixed)
            if self._framing == "box":
                return track  # what the user says is taken as it is
            return self._in_pose(track.only(start, stop), face, (start, stop))
        span = self.span(face, start, stop) or (start, stop)
        try:
            track = FaceQuery.parse(face).choose(self.faces(*span), (self.info.height, self.info.width), self.info.fps)
        except NoFace as problem:
            raise NoFace(f"{self.info.path}: {problem}") from problem
        pace = float(self.info.fps / 25)  # the filters' widths are in frames of 25 fps
        track = track.filled(round(self.settings.max_gap * self.info.fps)).smoothed(2 * pace, 4 * pace)
        track = self._in_pose(track, face, span).padded(*self.settings.pads).extended(self.info.frames)
        self._check(track, face, start, stop)
        return track

    def _in_pose(self, track: FaceTrack, face: str, span: Span) -> FaceTrack:
        """The same face assessed, if that is wanted, and aligned, if the checkpoint is of that framing."""
        if self._landmarks is None:
            return track
        if (face, span) not in self._pointed:
            numbers = np.flatnonzero(track.present)
            with (
                Bar(total=len(numbers), desc="align", unit="frame", disable=None if len(numbers) else True) as bar,
                picked_ahead(self.info.path, numbers.tolist()) as frames,
            ):
                shown = zip(numbers.tolist(), _counted(frames, bar), strict=True)
                self._pointed[face, span] = find_points(track, shown, self._landmarks())
        points = self._pointed[face, span]
        if self.settings.strict_pose != "force":
            track = assess_fitness(track, points)
        return align(track, points, float(self.info.fps / 25)) if self._framing == "aligned" else track

    def opacity(self, track: FaceTrack, start: int, stop: int) -> NDArray[np.float32] | None:
        """How much of a new mouth is seen in each source frame, f32 [n] from 0 to 1; None: all of it in all.

        track: a face that is known in frames start..stop-1.
        """
        strict = self.settings.strict_pose
        if strict == "force":
            return None
        return opacity(track, start, stop, round(FADE * self.info.fps) if strict == "fade" else 0)

    def _check(self, track: FaceTrack, face: str, start: int, stop: int) -> None:
        missing = missing_in(track, start, stop)
        if missing == [(start, stop - 1)]:
            raise NoFace(
                f"{self.info.path}: {face} has no face in any of frames {start}-{stop - 1}; choose another with --face "
                "or another time with --start and --end"
            )
        if missing and self.settings.on_no_face == "error":
            first, last = missing[0]
            raise NoFace(
                f"{self.info.path}: no face in frames {first}-{last}; trim them or pass --on_no_face keep"
            )


def missing_in(track: FaceTrack, start: int, stop: int) -> list[tuple[int, int]]:
    """The ranges of frames start..stop-1 without a face, both ends included."""
    return [
        (max(first, start), min(last, stop - 1)) for first, last in track.missing() if first < stop and last >= start
    ]


def cache_folder(settings: Settings) -> Path | None:
    """Where detections are kept, None for nowhere."""
    return default_folder() if settings.cache == "default" else settings.cache


def _counted(frames: Iterable[Picture], bar: Bar) -> Iterator[Picture]:
    """The frames, each counted as it is handed out."""
    for frame in frames:
        bar.update()
        yield frame
