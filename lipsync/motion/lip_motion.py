"""What the lips of a job do, for systems that are told: stage 1 says it, or a file.

    lips.npz    motion f32 [n, d] of the result's frames from the first that speaks, opening f32 [n], fps
    lips.png    the opening, predicted, above that of the style reference
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio import Mel, Sound, open_sound
from core.atomic import atomic
from core.errors import BadInput, NoFace
from core.npz import UNREADABLE, check_arrays
from face_detection import FaceTrack
from lipsync.jobs.job import Job, picture_of
from lipsync.planning.face_selection import FaceSelector
from systems.stage1 import Stage1
from video import VideoInfo, probe, write_picture

from .plot import openings
from .style_reference import FPS, read_manner, stretches_of

Motion = NDArray[np.float32]
AHEAD = 3000   # frames that stage 1 is asked for at a time, two minutes; its memory does not grow with the sound
MARGIN = 100   # frames to both sides that it hears besides
SILENCE = Sound(Mel(np.full((1, 80), -4, np.float32), 0.0), lambda: ())


@dataclass(frozen=True)
class StyleReference:
    """What is imitated: a style reference (None: nobody in particular), and the rest [d] of the mouth that moves."""

    reference: Any
    rest: Tensor | None


class LipMotionSource:
    """What the lips of one job do.  Computed whole and the same by every process that makes a part of the result."""

    def __init__(
        self,
        model: Stage1,
        job: Job,
        info: VideoInfo,
        fps: Fraction,
        strength: float,
        casting: Callable[[VideoInfo], FaceSelector],
        say: Callable[[str], None],
    ) -> None:
        self.model, self.job, self.info, self.fps, self.strength = model, job, info, fps, strength
        self._casting, self._say = casting, say
        self._given = None if job.motion_in is None else read_motion(job.motion_in, model.config.motion_dim)
        self._made: list[tuple[Motion, StyleReference | None]] = []

    def __call__(self, track: Callable[[], FaceTrack], sound: Sound, frames: int) -> Motion:
        """The motion f32 [frames, d] of a face of the video that says so many frames of the sound, from its start."""
        if (self.job.motion_in or self.job.motion_out) and self._made:
            raise BadInput("--motion_in and --motion_out: are for one face that says one sound; leave --segments out")
        if self._given is not None:
            manner, motion = None, self._at(*self._given, frames)
        else:
            manner = self._manner(track())
            motion = self._at(self._predicted(sound, int(frames / self.fps * FPS) + 2, manner), FPS, frames)
        self._made.append((motion, manner))
        return motion

    def export(self, path: Path) -> None:
        """Writes what was computed, and a picture of it beside."""
        motion, manner = self._made[0]
        opening = self._opening(torch.from_numpy(motion))
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, motion=motion, opening=opening, fps=np.float64(self.fps))
        known = None if manner is None or manner.reference is None else self._opening(manner.reference.motion)
        write_picture(picture_of(path), openings((opening, float(self.fps)), (known, float(FPS))))

    def _opening(self, motion: Tensor) -> Motion:
        return np.asarray(self.model.space.opening(motion), np.float32)

    def _manner(self, track: FaceTrack) -> StyleReference:
        """The manner of the style video around the own mouth's rest; without one, the own manner."""
        own = self._own(track)
        return own if self.job.style is None else StyleReference(self._style, own.rest)

    def _own(self, track: FaceTrack) -> StyleReference:
        """How the face speaks in the video itself; a still or silent one says nothing of that."""
        try:
            sound = open_sound(self.info.path)
        except BadInput:
            sound = None
        heard = self.model.hear(sound or SILENCE, stretches_of(self.info))
        found = read_manner(self.info, heard, lambda start, stop: track, self.model.read, self.model.size)
        try:
            reference = self.model.reference_of(*found)
        except BadInput:
            return StyleReference(None, None)
        if sound is None:
            if self.job.style is None:
                self._say(f"{self.info.path}: it has no sound, so there is no manner of speaking in it; pass one with"
                          " --style_video")  # fmt: skip
            return StyleReference(None, reference.rest)
        return StyleReference(reference, reference.rest)

    @cached_property
    def _style(self) -> Any:
        """What --style_video shows: its largest face."""
        path = self.job.style
        assert path is not None  # asked for only then
        try:
            info, sound = probe(path), open_sound(path)
            casting, heard = self._casting(info), self.model.hear(sound, stretches_of(info))
            found = read_manner(
                info, heard, lambda start, stop: casting.track("largest", start, stop), self.model.read, self.model.size
            )
            return self.model.reference_of(*found)
        except (BadInput, NoFace) as problem:
            raise type(problem)(f"--style_video {problem}") from problem

    def _predicted(self, sound: Sound, frames: int, manner: StyleReference) -> Motion:
        """The motion of so many frames at 25 a second, two minutes at a time, each made on the same grid."""
        heard, parts = self.model.hear(sound, [range(frames)]), []
        for start in range(0, frames, AHEAD):
            first, last = max(0, start - MARGIN), min(start + AHEAD + MARGIN, frames)
            made = self.model.predictor.predict(heard(first, last), manner.reference, self.strength, manner.rest)
            parts.append(made[start - first : start - first + AHEAD])
        return np.asarray(torch.cat(parts), np.float32)

    def _at(self, motion: Motion, fps: Fraction, frames: int) -> Motion:
        """So many frames of the result, between the two of `motion` that are nearest in time."""
        places = np.arange(frames) * float(fps / self.fps)
        if places[-1] > len(motion):
            raise BadInput(
                f"--motion_in {self.job.motion_in}: its {len(motion)} frames at {float(fps):g} a second end after"
                f" {len(motion) / float(fps):.2f} s, what is said after {float(frames / self.fps):.2f} s; give more"
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
        raise BadInput(f"--motion_in {path}: not lip motion ({problem}); give what --motion_out wrote") from problem
    if motion.ndim != 2 or motion.shape[1] != numbers or not len(motion) or not np.isfinite(motion).all():
        raise BadInput(f"--motion_in {path}: motion is {motion.shape}; give finite numbers [frames, {numbers}]")
    if not 1 <= fps <= 240:
        raise BadInput(f"--motion_in {path}: {fps:g} frames a second; give from 1 to 240")
    return motion, Fraction(fps).limit_denominator(1001)
