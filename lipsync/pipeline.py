"""Two passes over a video: find the face, then make it speak.  Every arrow is a generator; memory is bounded.

    pass 1   read_frames -> detector -> sightings (cached) -> people -> the track that is meant, filled, smoothed
    pass 2   read_frames -> cut --+
             sound -> windows ----+-> sample -> paste -> write_video (+ the sound that was given)
"""

import sys
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from audio import FilterBanks, Mel, Sound, broken_samples, open_sound, read_filterbanks, sound_blocks
from core.arrays import Span
from core.errors import BadInput
from dataset import to_network
from face_detection import Detector, FaceTrack, Landmarks, Selector, load_detector
from guided_diffusion.engine.device import process_memory
from lipsync.jobs.job import Job, Report, unfit_sentence
from lipsync.jobs.runner import JobRunner
from lipsync.motion.lip_motion import LipMotionSource, Motion
from lipsync.planning.face_selection import FaceSelector
from lipsync.planning.references import References, choose_references
from lipsync.planning.speaker_segments import SpeakerSegment, read_segments
from lipsync.planning.timeline import Plan, make_plan
from lipsync.planning.turns import frames_of, make_turns, missing, segments_of, unfit
from lipsync.rendering.render_job import RenderJob
from lipsync.rendering.renderer import Synthesizer
from systems.registry import load_motion
from systems.stage1 import Stage1
from video import VideoInfo, probe

from .settings import Settings
from .stopwatch import Stopwatch

SILENT = -3.999  # of a mel, where -4 is silence
LOADED = frozenset({"quality", "sampler", "steps", "seed", "batch", "device", "precision"})
"""The settings that a loaded system was made with."""


class JobAudio:
    """The sounds of a job, the mel of each read once."""

    def __init__(self, audio: Path | None) -> None:
        self._audio = audio
        self._sounds: dict[Path, Sound] = {}
        self._banks: dict[Path, FilterBanks] = {}

    def mel(self, segment: SpeakerSegment) -> Mel:
        """The mel of what a segment says."""
        return self.sound(segment).mel

    def sound(self, segment: SpeakerSegment) -> Sound:
        """What a segment says; its samples are read when somebody asks for them."""
        path = self._path(segment)
        if path not in self._sounds:
            sound = self._sounds[path] = open_sound(path)
            if float(sound.mel.columns.max()) <= SILENT:
                say(f"{path}: is silent throughout; nobody speaks")
            if wrong := broken_samples(path):
                say(f"{path}: {wrong} of its samples are no numbers and are heard as silence; export it again")
        return self._sounds[path]

    def banks(self, segment: SpeakerSegment) -> FilterBanks:
        """The same as AV-HuBERT hears it."""
        path = self._path(segment)
        if path not in self._banks:
            self._banks[path] = read_filterbanks(path)
        return self._banks[path]

    def _path(self, segment: SpeakerSegment) -> Path:
        path = segment.sound or self._audio
        assert path is not None  # a Segment without a sound is made only where there is one for all
        return path

    def seconds(self, segments: list[SpeakerSegment]) -> float:
        """When the last word is said: that of the sound for all, else of the segments' own."""
        if self._audio is not None:
            return self.mel(SpeakerSegment(0, None, "", self._audio)).seconds
        ends = [segment.start + self.mel(segment).seconds for segment in segments]
        return max(min(end, s.end) if s.end is not None else end for end, s in zip(ends, segments, strict=True))


@dataclass(frozen=True)
class JobPlan:
    """What is known of a job before any face is searched."""

    job: Job
    info: VideoInfo
    plan: Plan
    segments: list[SpeakerSegment]
    sounds: JobAudio
    casting: FaceSelector
    watch: Stopwatch

    @property
    def blocks(self) -> list[Span]:
        """The blocks of source frames that must be searched to know all faces of the job, known ones among them."""
        spans = [
            self.casting.span(segment.face, *self.plan.sources(*frames_of(segment, self.plan)))
            for segment in self.segments
        ]
        return sorted({block for span in spans if span for block in self.casting.finder.blocks(*span)})


class LipSyncPipeline:
    """A loaded system, a detector and settings: dubs any number of jobs."""

    def __init__(self, checkpoint: Path, settings: Settings) -> None:
        Selector.parse(settings.face)  # refused before anything is loaded
        self.settings = settings
        self.synthesizer = Synthesizer(checkpoint, settings, say)
        self._detectors: dict[str, Detector] = {}
        self._shared: dict[str, Any] = {}  # with all that `adjusted` makes of it: stage 1, the landmark network

    @property
    def stage1(self) -> Stage1 | None:
        """What says how lips move, for a system that is told; on the CPU in float32: it says the same anywhere."""
        if self.synthesizer.needs.motion and "stage1" not in self._shared:
            self._shared["stage1"] = load_motion(self.synthesizer.folder)
        return self._shared.get("stage1")

    @property
    def detector(self) -> Detector:
        """Loaded when first needed: a fixed crop needs none."""
        name = self.settings.detector
        if name not in self._detectors:
            self._detectors[name] = load_detector(name, device=str(self.synthesizer.device), say=say)
        return self._detectors[name]

    def dub(self, job: Job) -> Report:
        """Writes job.output.  Raises BadInput, NoFace or OutOfMemory; then there is no new result."""
        with JobRunner(self, job) as runner:
            runner.make()
            return runner.finish()

    def plan_job(self, job: Job) -> JobPlan:
        """What can be said of a job without searching a face; reads its sounds."""
        self._check_style(job)
        watch = Stopwatch()
        listed = read_segments(job.segments, self.settings.face, job.audio) if job.segments else None
        segments = segments_of(job.audio, listed, self.settings)
        info = probe(job.video)
        if info.hdr:
            say(f"{job.video}: is HDR or of a wide gamut; it is mapped to SDR, all of the picture")
        with watch("sound"):
            sounds = JobAudio(job.audio)
            if job.heard is not None:
                next(sound_blocks(job.heard))  # refused now rather than when all frames are made
            plan = make_plan(info, sounds.seconds(segments), self.settings)
        return JobPlan(job, info, plan, segments, sounds, self.casting(info), watch)

    def prepare(
        self, job: Job | JobPlan, *, within: Span | None = None, made: Sequence[Span] | None = None
    ) -> RenderJob:
        """Everything that must be known before a frame is made; of frames `within` of the result alone, if given.

        made: the stretches of the result that will be made, all if None.  It changes no frame: what only others need is
        not read.
        """
        job_plan = job if isinstance(job, JobPlan) else self.plan_job(job)
        size, how, seed = self.synthesizer.size, self.settings.reference, self.settings.seed
        shown = None if made is None else [job_plan.plan.sources(*span) for span in made]

        def references(track: FaceTrack) -> References:
            with job_plan.watch("reference"):
                needs = self.synthesizer.needs
                return choose_references(
                    job_plan.info.path, track, size, how, seed, count=needs.references, within=shown,
                    openings=self._openings if needs.ordered else None,
                )  # fmt: skip

        def banks(segment: SpeakerSegment) -> FilterBanks | None:
            return job_plan.sounds.banks(segment) if self.synthesizer.needs.rows else None

        moves = self._moves(job_plan)

        def motion(track: Callable[[], FaceTrack], sound: Sound, frames: int) -> Motion | None:
            if moves is None:
                return None
            with job_plan.watch("motion"):
                return moves(track, sound, frames)

        with job_plan.watch("detect"):
            turns = make_turns(
                job_plan.segments, job_plan.plan, job_plan.casting, job_plan.sounds.sound, references, within=within,
                banks_of=banks, motion_of=motion,
            )  # fmt: skip
        return RenderJob(
            job_plan.job, job_plan.info, job_plan.plan, job_plan.segments, turns, self.settings, self.synthesizer,
            job_plan.watch, moves,
        )  # fmt: skip

    def _moves(self, job_plan: JobPlan) -> LipMotionSource | None:
        """What the lips of a job do, if the system is told."""
        if self.stage1 is None:
            return None
        # These are of the video alone, and a manner is read wherever there is a face.
        elsewhere = self.adjusted(box=None, fixed_crop=False, pads=(0.0, 0.0, 0.0, 0.0), strict_pose="force")
        return LipMotionSource(
            self.stage1,
            job_plan.job,
            job_plan.info,
            job_plan.plan.fps,
            self.settings.style_strength,
            elsewhere.casting,
            say,
        )

    def _check_style(self, job: Job) -> None:
        """BadInput for a flag of style if the system has none."""
        given = {"--style_video": job.style, "--motion_in": job.motion_in, "--motion_out": job.motion_out}
        flags = [flag for flag, value in given.items() if value is not None]
        flags += ["--style_strength"] * (self.settings.style_strength != 1)
        if flags and not self.synthesizer.needs.motion:
            raise BadInput(
                f"{', '.join(flags)}: {self.synthesizer.checkpoint} knows no style; leave that out, or pass a style"
                " model with --model_path, such as checkpoints/style-small"
            )

    def casting(self, info: VideoInfo) -> FaceSelector:
        """The faces of a video, searched when they are asked for."""
        landmarks = self._load_landmarks if self.looks_at_points else None
        return FaceSelector(info, self.settings, lambda: self.detector, landmarks, framing=self.synthesizer.framing)

    @property
    def looks_at_points(self) -> bool:
        """Whether a result depends on the points of faces: where they are aligned, or judged."""
        fixed = self.settings.box is not None or self.settings.fixed_crop
        return self.synthesizer.framing == "aligned" or (self.settings.strict_pose != "force" and not fixed)

    def _load_landmarks(self) -> Landmarks:
        if "landmarks" not in self._shared:
            self._shared["landmarks"] = Landmarks()
        return self._shared["landmarks"]  # type: ignore[no-any-return]

    def _openings(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """How far mouths are open: u8 [n, s, s, 3] -> f32 [n]."""
        assert self.stage1 is not None, "only what is told motion orders references by it"
        return np.asarray(self.stage1.space.opening(self.stage1.read(to_network(faces))), np.float32)

    def warn(self, render_job: RenderJob) -> None:
        """Says where no mouth is made, if that is anywhere."""
        if sentence := unfit_sentence(render_job.info.path, self._unfit(render_job)):
            say(sentence)

    def _unfit(self, render_job: RenderJob) -> list[tuple[int, int, str]]:
        return unfit(render_job.turns, render_job.plan)

    def report(self, render_job: RenderJob) -> Report:
        """What happened to a render job whose frames were written."""
        plan, turns = render_job.plan, render_job.turns
        low, high = plan.sources(0, plan.frames)
        shots = {shot for turn in turns for shot in turn.track.shots if low < shot < high}
        return Report(
            plan.frames,
            render_job.edited,
            missing(turns, plan),
            render_job.watch.seconds,
            process_memory(),
            source_frames=high - low,
            shots=len(shots) + 1,
            batch=self.synthesizer.batch,
            unfit=self._unfit(render_job),
        )

    def adjusted(self, **changes: object) -> "LipSyncPipeline":
        """The same loaded system and detectors under other settings; those of the model itself cannot be changed so.

        ValueError for a setting that the loaded system was made with.
        """
        if fixed := LOADED & {name for name, value in changes.items() if getattr(self.settings, name) != value}:
            raise ValueError(f"the loaded system was made with its own {', '.join(sorted(fixed))}")
        other = copy(self)
        other.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        return other


def say(sentence: str) -> None:
    """Tells the user, beside a progress bar."""
    tqdm.write(sentence, file=sys.stderr)
