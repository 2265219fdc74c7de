"""The networks of a pipeline, each loaded once, however many results are made with them."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audio import Sound, open_sound
from core.arrays import Picture, Pictures
from core.errors import LipSyncError
from core.progress import say
from dataset import AudioFeatures, to_network
from face_detection import Box, Detector, Landmarks, load_detector
from face_detection.searching import LONGEST
from systems.registry import load_motion
from systems.stage1 import Stage1
from video import VideoInfo

from .jobs.job import Job
from .motion.lip_motion import LipMotionSource
from .onnx.face_occluder import FaceOccluder
from .onnx.face_restorer import FaceRestorer
from .onnx.voice_separator import VoiceSeparator
from .planning.face_selection import FaceSelector
from .rendering.registration import Conditioning, Registration
from .rendering.renderer import Synthesizer
from .rendering.retouching import Retoucher
from .settings import Settings

T = TypeVar("T")


class Models:
    """The lip-sync system of a checkpoint, and what goes before it, loaded when first needed."""

    def __init__(self, checkpoint: Path, settings: Settings) -> None:
        """BadInput if there is no such checkpoint, device or precision."""
        self.synthesizer = Synthesizer(checkpoint, settings, say)
        self._detectors: dict[str, Detector] = {}
        self._networks: dict[tuple[object, ...], Any] = {}
        self._loading = threading.Lock()

    @cached_property
    def stage1(self) -> Stage1 | None:
        """What predicts lip motion, for a system that is told it; on the CPU in float32: it says the same anywhere."""
        return load_motion(self.synthesizer.folder) if self.synthesizer.needs.motion else None

    @cached_property
    def landmarks(self) -> Landmarks:
        """The landmark network."""
        return Landmarks()

    def retoucher(self, settings: Settings) -> Retoucher | None:
        """What retouches new faces under these settings; None if nothing does.  BadInput for a network that cannot."""
        restorer = occluder = None
        if settings.face_restorer is not None and settings.restorer_strength:
            restorer = self._network(FaceRestorer, settings.face_restorer)
        if settings.face_occluder is not None:
            occluder = self._network(FaceOccluder, settings.face_occluder)
        return Retoucher(restorer, occluder, settings.restorer_strength) if restorer or occluder else None

    def hidden(self, settings: Settings) -> Callable[[Picture, Box], float] | None:
        """How much of a mouth something is before, by the face occluder; None if there is none."""
        path = settings.face_occluder
        return None if path is None else self._network(FaceOccluder, path).over_mouth

    def separator(self, settings: Settings) -> VoiceSeparator | None:
        """What hears the voice alone; None if nothing does.  BadInput for a network that cannot."""
        path, rate = settings.voice_separator, settings.separator_rate
        return None if path is None else self._network(VoiceSeparator, path, rate)

    def _network(self, kind: Callable[..., T], path: Path, *more: object) -> T:
        key = (kind, path, *more)
        with self._loading:
            if key not in self._networks:
                self._networks[key] = kind(path, self.synthesizer.device, *more)
            network: T = self._networks[key]
            return network

    def detector(self, name: str) -> Detector:
        """A face detector, by its name among the settings."""
        with self._loading:
            if name not in self._detectors:
                self._detectors[name] = load_detector(name, device=str(self.synthesizer.device), say=say)
            return self._detectors[name]

    def warm(self, settings: Settings) -> threading.Thread:
        """Uses the detector and the network once, in a thread, while the first frames of a video are read.

        A device loads its libraries and kernels when they are first used, and what is to be recorded or compiled is so
        then.  What fails here fails again where it is needed, and is said there.
        """

        def run() -> None:
            with suppress(LipSyncError, RuntimeError, MemoryError, OSError):
                if settings.box is None and not settings.fixed_crop:
                    blank = np.zeros((LONGEST * 9 // 16, LONGEST, 3), np.uint8)
                    self.detector(settings.detector).detect([blank] * settings.detector_batch)
                self.synthesizer.warm()

        thread = threading.Thread(target=run, name="warm", daemon=True)
        thread.start()
        return thread

    def uses_landmarks(self, settings: Settings) -> bool:
        """Whether a result depends on the landmarks of faces: where they are aligned, or assessed."""
        fixed = settings.box is not None or settings.fixed_crop
        return self.synthesizer.framing == "aligned" or (settings.strict_pose != "force" and not fixed)

    def face_selector(self, info: VideoInfo, settings: Settings) -> FaceSelector:
        """The faces of a video, searched when they are asked for."""
        return FaceSelector(
            info, settings, lambda: self.detector(settings.detector),
            (lambda: self.landmarks) if self.uses_landmarks(settings) else None, framing=self.synthesizer.framing,
        )  # fmt: skip

    def openings(self, faces: Pictures) -> NDArray[np.float32]:
        """How far mouths are open: u8 [n, s, s, 3] -> f32 [n]; of a system that is told lip motion."""
        assert self.stage1 is not None, "only what is told motion orders references by it"
        return np.asarray(self.stage1.space.opening(self.stage1.read(to_network(faces))), np.float32)

    def lip_motion(
        self, settings: Settings, job: Job, info: VideoInfo, listen: Callable[[Path], Sound] = open_sound
    ) -> LipMotionSource | None:
        """What the lips of a job do, for a system that is told; listen: to the sounds of videos."""
        if self.stage1 is None:
            return None
        # These settings are of the video alone, and a style is read wherever there is a face.
        whole = replace(settings, box=None, fixed_crop=False, pads=(0.0, 0.0, 0.0, 0.0), strict_pose="force")
        shown = replace(info, frames=1) if settings.first_frame else info  # of a still no more is known
        return LipMotionSource(
            self.stage1, job, shown, settings.style_strength, self.synthesizer.sampling.audio_strength,
            lambda other: self.face_selector(other, whole), listen,
        )  # fmt: skip

    def registration(
        self,
        settings: Settings,
        info: VideoInfo,
        pick: Callable[[list[int]], Iterable[Picture]],
        hear: Callable[[], AudioFeatures],
    ) -> Registration | None:
        """What brings new faces to their place in a video; None if nothing does.

        pick: rising source frames -> their pictures, u8 [h, w, 3]; hear: what is heard in the video, if it has sound.
        """
        stage1, conditions = self.stage1, self.synthesizer.needs.audio
        if not settings.registration or (conditions and not info.audio):
            return None
        own = cache(hear)

        def conditioning(frames: Sequence[int], faces: Pictures) -> Conditioning | None:
            motion = None if stage1 is None else np.asarray(stage1.read(to_network(faces)), np.float32)
            if conditions and own().mel.silent:
                return None
            return Conditioning({
                condition.name: np.concatenate([condition.windows(own(), k, k + 1, info.fps) for k in frames])
                for condition in conditions
            }, motion)  # fmt: skip

        return Registration(pick, self.synthesizer, conditioning)
