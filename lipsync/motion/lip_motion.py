"""What the lips of a job do, for systems that are told: stage 1 says it, or a file.

    lips.npz    motion f32 [n, d] of the result's frames from the first that speaks, opening f32 [n], fps
    lips.png    the opening, predicted, above that of the style reference
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio import Mel, Sound, open_sound
from core.atomic import atomic
from core.errors import BadInput, BadValue, Mismatch, NoFace, Unreadable
from core.npz import UNREADABLE, check_arrays
from core.progress import say
from face_detection import FaceTrack
from lipsync.jobs.job import Job, picture_of
from lipsync.planning.face_selection import FaceSelector
from systems.stage1 import LiveMotion, Stage1, StyleReference
from video import VideoInfo, probe, write_picture

from .plot import openings
from .style_reference import FPS, read_style

Motion = NDArray[np.float32]
AHEAD = 3000   # frames that stage 1 is asked for at a time, two minutes; its memory does not grow with the sound
MARGIN = 100   # frames to both sides that it hears besides
SILENCE = Sound(Mel(np.full((1, 80), -4, np.float32), 0.0), lambda: ())


@dataclass(frozen=True)
class Style:
    """What is imitated (None: no style in particular), and the motion [d] of the neutral mouth."""

    reference: StyleReference | None
    neutral: Tensor


class LipMotionSource:
    """What the lips of one job do.  Computed whole and the same by every process that makes a part of the result."""

    def __init__(
        self,
        model: Stage1,
        job: Job,
        info: VideoInfo,
        strength: float,
        audio_strength: float,
        faces: Callable[[VideoInfo], FaceSelector],
        listen: Callable[[Path], Sound] = open_sound,
    ) -> None:
        """info: of the video; strength: how much of the style is taken over, 0 to 1; audio_strength: how far lips move,
        1 as was learned; faces: those of a style video; listen: to the video and that, as `open_sound`.

        BadInput if --motion_in is no lip motion.
        """
        self.model, self.job, self.info = model, job, info
        self.strength, self._audio_strength = strength, audio_strength
        self._faces, self._listen = faces, listen
        self._given = None if job.motion_in is None else read_motion(job.motion_in, model.config.motion_dim)
        self._predictions: list[tuple[Motion, Fraction, Style | None]] = []

    def __call__(self, track: Callable[[], FaceTrack], sound: Sound, frames: int, fps: Fraction) -> Motion:
        """The motion f32 [frames, d] of a face of the video that says so many frames of the sound, from its start.

        track: the face; asked for only where its style counts.
        """
        if (self.job.motion_in or self.job.motion_out) and self._predictions:
            raise BadValue("--motion_in and --motion_out: are for one face that says one sound; leave --segments out")
        if self._given is not None:
            style, motion = None, self._resampled(*self._given, frames, fps)
        else:
            style = self.style_of(track())
            predicted = self._predicted(sound, int(frames / fps * FPS) + 2, style)
            motion = self._resampled(predicted, FPS, frames, fps)
        self._predictions.append((motion, fps, style))
        return motion

    def export(self, path: Path) -> None:
        """Writes what was computed, and a picture of it beside."""
        motion, fps, style = self._predictions[0]
        opening = self._opening(torch.from_numpy(motion))
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, motion=motion, opening=opening, fps=np.float64(fps))
        known = None if style is None or style.reference is None else self._opening(style.reference.motion)
        write_picture(picture_of(path), openings((opening, float(fps)), (known, float(FPS))))

    def _opening(self, motion: Tensor) -> Motion:
        return np.asarray(self.model.space.opening(motion), np.float32)

    def style_of(self, track: FaceTrack) -> Style:
        """The style of the style video around the own neutral mouth; without one, the own style."""
        own = self._own_style(track)
        return own if self.job.style is None else Style(self._given_style, own.neutral)

    def _own_style(self, track: FaceTrack) -> Style:
        """How the face speaks in the video itself; a silent or still one says nothing of that but the mouth's shape."""
        try:
            sound = self._listen(self.info.path)
        except BadInput:
            sound = SILENCE
        heard, motion = read_style(self.info, sound, lambda start, stop: track, self.model)
        try:
            reference = self.model.reference_of(heard, motion)
        except BadInput:
            reference = None
        if reference is not None and not sound.mel.silent:
            return Style(reference, reference.neutral)
        if reference is not None and self.job.style is None:
            say(f"{self.info.path}: it has no sound, so there is no manner of speaking in it; pass one with"
                " --style_video")  # fmt: skip
        return Style(None, self.model.neutral_of(motion.mean(dim=0)))

    @cached_property
    def _given_style(self) -> StyleReference:
        """What --style_video shows: its largest face."""
        path = self.job.style
        assert path is not None  # asked for only then
        try:
            info, sound = probe(path), self._listen(path)
            track = partial(self._faces(info).track, "largest")
            return self.model.reference_of(*read_style(info, sound, track, self.model))
        except (BadInput, NoFace) as problem:
            raise type(problem)(f"--style_video {problem}") from problem

    def _predicted(self, sound: Sound, frames: int, style: Style) -> Motion:
        """The motion of so many frames at 25 a second, two minutes at a time, each made on the same grid."""
        features, parts = self.model.hear(sound, [range(frames)]), []
        for start in range(0, frames, AHEAD):
            first, last = max(0, start - MARGIN), min(start + AHEAD + MARGIN, frames)
            motion = self.model.predictor.predict(
                features(first, last), style.reference, self.strength, style.neutral, self._audio_strength
            )
            parts.append(motion[start - first : start - first + AHEAD])
        return np.asarray(torch.cat(parts), np.float32)

    def live(self, track: FaceTrack, lookahead: float | None) -> Callable[[], LiveMotion]:
        """What predicts the motion of a face of the video from a sound as it comes; one for each sound."""
        style = self.style_of(track)
        return lambda: self.model.live(style.reference, self.strength, style.neutral, lookahead, self._audio_strength)

    def _resampled(self, motion: Motion, rate: Fraction, frames: int, fps: Fraction) -> Motion:
        """Motion at `rate` a second -> so many frames at `fps`, each between the two that are nearest in time."""
        places = np.arange(frames) * float(rate / fps)
        if places[-1] > len(motion):
            raise Mismatch(
                f"--motion_in {self.job.motion_in}: its {len(motion)} frames at {float(rate):g} a second end after"
                f" {len(motion) / float(rate):.2f} s, what is said after {float(frames / fps):.2f} s; give more"
            )
        low = np.minimum(places.astype(int), len(motion) - 1)
        high, share = np.minimum(low + 1, len(motion) - 1), (places - low)[:, None]
        between = motion[low] * (1 - share) + motion[high] * share
        return np.asarray(np.where(share == 0, motion[low], between), np.float32)


def read_motion(path: Path, numbers: int) -> tuple[Motion, Fraction]:
    """What --motion_out wrote, or somebody edited.  BadInput if it is not that."""
    try:
        check_arrays(path)
        with np.load(path, allow_pickle=False) as file:
            motion, fps = np.asarray(file["motion"], np.float32), float(file["fps"])
    except UNREADABLE as problem:
        raise Unreadable(f"--motion_in {path}: not lip motion ({problem}); give what --motion_out wrote") from problem
    if motion.ndim != 2 or motion.shape[1] != numbers or not len(motion) or not np.isfinite(motion).all():
        raise Unreadable(f"--motion_in {path}: motion is {motion.shape}; give finite numbers [frames, {numbers}]")
    if not 1 <= fps <= 240:
        raise BadValue(f"--motion_in {path}: {fps:g} frames a second; give from 1 to 240")
    return motion, Fraction(fps).limit_denominator(1001)
