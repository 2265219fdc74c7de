"""Two passes over a video: find the face, then make it speak.  Every arrow is a generator; memory is bounded.

    pass 1   read_frames -> detector -> FaceTrack -> filled -> smoothed
    pass 2   read_frames -> cut --+
             sound -> windows ----+-> sample -> paste -> write_video (+ the sound that was given)
"""

import resource
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from audio import Mel, read_mel
from dataset import ClipBatch, to_network, to_pictures
from errors import BadInput, NoFace, OutOfMemory
from face_detection import (
    Detector,
    FaceTrack,
    cut,
    jaw_mask,
    load_detector,
    mouth_mask,
    paste,
    track_face,
    voxceleb2_box,
)
from guided_diffusion.device import resolve_device, resolve_precision
from guided_diffusion.samplers import SampleConfig
from systems import registry
from systems.system import Speaker
from video import VideoInfo, probe, read_frames, write_video

from .jobs import Job, Report
from .plan import Plan, make_plan
from .references import References, choose_references
from .settings import Settings
from .stopwatch import Stopwatch

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """A frame of the result before it speaks: its picture, which source frame it is, its face or None."""

    picture: Picture
    source: int
    face: Picture | None


class Dubber:
    """A loaded system, a detector and settings: dubs any number of jobs."""

    def __init__(self, checkpoint: Path, settings: Settings) -> None:
        self.settings = settings
        self.device = resolve_device(settings.device)
        precision = resolve_precision(settings.precision, self.device)
        system = registry.load_system(checkpoint).to(self.device)
        system = system.to(memory_format=torch.channels_last)  # the quicker one everywhere (docs/speed.md)
        self.speaker = Speaker(system, sampling(system, settings), seed=settings.seed, precision=precision)
        self.size = system.size
        self.batch = settings.batch or (8 if self.device.type == "cpu" else 32)
        self._detector: Detector | None = None

    @property
    def detector(self) -> Detector:
        """Loaded when first needed: a fixed crop needs none."""
        if self._detector is None:
            self._detector = load_detector(self.settings.detector, device=str(self.device), say=_say)
        return self._detector

    def dub(self, job: Job) -> Report:
        """Writes job.output.  Raises BadInput, NoFace or OutOfMemory; then nothing is written."""
        job.check()
        watch = Stopwatch()
        info = probe(job.video)
        with watch("sound"):
            mel = read_mel(job.audio)
        plan = make_plan(info, mel.seconds, self.settings)
        with watch("detect"):
            track = self._track(info, plan.used)
        with watch("reference"):
            references = choose_references(
                job.video, track, self.size, self.settings.reference, self.settings.seed
            )
        frames = self._spoken(info, plan, track, references, mel, watch)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        with watch("encode"):
            written = write_video(
                job.output, frames, info.fps, sound=job.audio, crf=self.settings.crf, pixel_aspect=info.pixel_aspect
            )
        edited = sum(bool(track.present[plan[k]]) for k in range(plan.frames))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Report(written, edited, track.missing(), watch.seconds, peak)

    def _track(self, info: VideoInfo, frames: int) -> FaceTrack:
        """The face in the first `frames` frames, gaps bridged, smoothed.  Raises NoFace if it is in none."""
        if self.settings.fixed_crop:
            return FaceTrack.fixed(frames, voxceleb2_box(info.height, info.width))
        pictures = _progress(read_frames(info.path, stop=frames), frames, "find the face")
        track = track_face(pictures, self.detector)
        pace = float(info.fps / 25)  # the filters' widths are in frames of 25 fps
        track = track.filled(round(self.settings.max_gap * info.fps)).smoothed(2 * pace, 4 * pace)
        if not track.present.any():
            raise NoFace(f"{info.path}: no face in any of {frames} frames; use a video that shows one from the front")
        if self.settings.on_no_face == "error" and (missing := track.missing()):
            first, last = missing[0]
            raise NoFace(f"{info.path}: no face in frames {first}-{last}; trim them or pass --on_no_face keep")
        return track

    def _spoken(
        self, info: VideoInfo, plan: Plan, track: FaceTrack, references: References, mel: Mel, watch: Stopwatch
    ) -> Iterator[Picture]:
        """The frames of the result."""
        shape = {"jaw": jaw_mask, "half": mouth_mask}[self.settings.mask]
        mask = shape(self.size, feather=round(self.settings.feather * self.size))
        pictures = watch.iterate("read", plan.read(info.path, info.height * info.width * 3))
        shown = (
            Shown(picture, plan[k], None if (box := track.box(plan[k])) is None else cut(picture, box, self.size))
            for k, picture in enumerate(_progress(pictures, plan.frames, "speak"))
        )
        first = 0
        while batch := list(islice(shown, self.batch)):
            windows = mel.windows(first, first + len(batch), info.fps)
            with watch("generate"):
                faces = self._generate(batch, references, windows)
            for item, face in zip(batch, faces, strict=True):
                box = track.box(item.source)
                if face is None or box is None:
                    yield item.picture
                    continue
                with watch("paste"):
                    spoken = paste(item.picture, face, box, mask)
                yield spoken
            first += len(batch)

    def _generate(
        self, batch: list[Shown], references: References, windows: NDArray[np.float32]
    ) -> list[Picture | None]:
        """The new face of each frame that has one.  The batch is padded to one size, so that its numerics are too."""
        edited = [i for i, item in enumerate(batch) if item.face is not None]
        if not edited:
            return [None] * len(batch)
        padded = edited + [edited[-1]] * (self.batch - len(edited))
        faces = np.stack([face for i in padded if (face := batch[i].face) is not None])
        shown = references.of([batch[i].source for i in padded], faces)
        mel = torch.from_numpy(windows[padded])
        clips = ClipBatch(to_network(faces)[None], to_network(shown)[None], mel[None], mel[:1])
        try:
            spoken = self.speaker(clips.to(self.device))[0]
        except (torch.OutOfMemoryError, MemoryError) as problem:
            raise OutOfMemory(f"out of memory with --batch {self.batch}; pass a smaller one") from problem
        if not bool(torch.isfinite(spoken).all()):
            raise BadInput(f"the network gave no picture in {self.settings.precision}; pass --precision fp32")
        result: list[Picture | None] = [None] * len(batch)
        for i, face in zip(edited, to_pictures(spoken), strict=False):
            result[i] = face
        return result


def sampling(system: Any, settings: Settings) -> SampleConfig:
    """What the checkpoint says for --quality, changed by --sampler and --steps."""
    config: SampleConfig = {"balanced": system.sampling, **system.qualities}[settings.quality]
    if settings.sampler is not None:
        config = replace(config, sampler=settings.sampler)
    if settings.steps is not None:
        config = replace(config, spacing=settings.steps)
    return config


def _progress(items: Iterable[Picture], total: int, what: str) -> Iterable[Picture]:
    bar: Iterable[Picture] = tqdm(items, total=total, desc=what, unit="frame", disable=None)
    return bar


def _say(sentence: str) -> None:
    tqdm.write(sentence, file=sys.stderr)
