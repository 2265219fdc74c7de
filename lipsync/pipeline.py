"""Two passes over a video: find the face, then make it speak.  Every arrow is a generator; memory is bounded.

    pass 1   read_frames -> detector -> sightings (cached) -> people -> the track that is meant, filled, smoothed
    pass 2   read_frames -> cut --+
             sound -> windows ----+-> sample -> paste -> write_video (+ the sound that was given)
"""

import resource
import sys
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from audio import Mel, read_mel
from face_detection import Detector, FaceTrack, Selector, load_detector
from video import VideoInfo, probe

from .casting import Casting
from .dubbing import Dubbing
from .jobs import Job, Report
from .plan import Plan, make_plan
from .references import References, choose_references
from .segments import Segment, read_segments
from .settings import Settings
from .stopwatch import Stopwatch
from .synthesis import Synthesizer
from .turns import frames_of, make_turns, missing, segments_of


class Sounds:
    """The mels of a job, each read once."""

    def __init__(self, audio: Path | None) -> None:
        self._audio = audio
        self._mels: dict[Path, Mel] = {}

    def mel(self, segment: Segment) -> Mel:
        """What a segment says."""
        path = segment.sound or self._audio
        assert path is not None  # a Segment without a sound is made only where there is one for all
        if path not in self._mels:
            self._mels[path] = read_mel(path)
        return self._mels[path]

    def seconds(self, segments: list[Segment]) -> float:
        """When the last word is said: that of the sound for all, else of the segments' own."""
        if self._audio is not None:
            return self.mel(Segment(0, None, "", self._audio)).seconds
        ends = [segment.start + self.mel(segment).seconds for segment in segments]
        return max(min(end, s.end) if s.end is not None else end for end, s in zip(ends, segments, strict=True))


@dataclass(frozen=True)
class Draft:
    """What is known of a job before any face is searched."""

    info: VideoInfo
    plan: Plan
    segments: list[Segment]
    sounds: Sounds
    watch: Stopwatch


class Dubber:
    """A loaded system, a detector and settings: dubs any number of jobs."""

    def __init__(self, checkpoint: Path, settings: Settings) -> None:
        Selector.parse(settings.face)  # refused before anything is loaded
        self.settings = settings
        self.synthesizer = Synthesizer(checkpoint, settings, say)
        self._detector: Detector | None = None

    @property
    def detector(self) -> Detector:
        """Loaded when first needed: a fixed crop needs none."""
        if self._detector is None:
            self._detector = load_detector(self.settings.detector, device=str(self.synthesizer.device), say=say)
        return self._detector

    def dub(self, job: Job) -> Report:
        """Writes job.output.  Raises BadInput, NoFace or OutOfMemory; then nothing is written."""
        job.check(self.settings)
        dubbing = self.prepare(job)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        written = dubbing.write(job.output, sound=dubbing.sound)
        return self.report(dubbing, written)

    def draft(self, job: Job) -> Draft:
        """What can be said of a job without searching a face; reads its sounds."""
        watch = Stopwatch()
        listed = read_segments(job.segments, self.settings.face, job.audio) if job.segments else None
        segments = segments_of(job.audio, listed, self.settings)
        info = probe(job.video)
        with watch("sound"):
            sounds = Sounds(job.audio)
            plan = make_plan(info, sounds.seconds(segments), self.settings)
        return Draft(info, plan, segments, sounds, watch)

    def unsearched(self, job: Job) -> list[tuple[int, int]]:
        """The blocks of source frames that `prepare` would search; none that the cache knows."""
        draft = self.draft(job)
        casting = self.casting(draft.info)
        blocks: set[tuple[int, int]] = set()
        for segment in draft.segments:
            span = casting.span(segment.face, *draft.plan.sources(*frames_of(segment, draft.plan)))
            blocks |= set(casting.finder.missing(*span)) if span else set()
        return sorted(blocks)

    def search(self, video: Path, blocks: Sequence[tuple[int, int]]) -> None:
        """Searches these blocks for the cache, so that nobody else has to: processes may share out `unsearched`."""
        finder = self.casting(probe(video)).finder
        for start, stop in blocks:
            finder.find(start, stop)

    def prepare(self, job: Job, *, within: tuple[int, int] | None = None) -> Dubbing:
        """Everything that must be known before a frame is made; of frames `within` of the result alone, if given."""
        draft = self.draft(job)
        casting = self.casting(draft.info)
        size, how, seed = self.synthesizer.size, self.settings.reference, self.settings.seed

        def references(track: FaceTrack) -> References:
            with draft.watch("reference"):
                return choose_references(job.video, track, size, how, seed)

        with draft.watch("detect"):
            turns = make_turns(draft.segments, draft.plan, casting, draft.sounds.mel, references, within=within)
        return Dubbing(
            job, draft.info, draft.plan, draft.segments, turns, self.settings, self.synthesizer, draft.watch
        )

    def casting(self, info: VideoInfo) -> Casting:
        """The faces of a video, searched when they are asked for."""
        return Casting(info, self.settings, lambda: self.detector)

    def report(self, dubbing: Dubbing, frames: int) -> Report:
        """What happened to a dubbing of which so many frames were written."""
        plan, turns = dubbing.plan, dubbing.turns
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        low, high = plan.sources(0, plan.frames)
        shots = {shot for turn in turns for shot in turn.track.shots if low < shot < high}
        return Report(
            frames,
            dubbing.edited,
            missing(turns, plan),
            dubbing.watch.seconds,
            peak,
            source_frames=high - low,
            shots=len(shots) + 1,
            batch=self.synthesizer.batch,
        )

    def adjusted(self, **changes: object) -> "Dubber":
        """The same loaded system and detector under other settings; those of the model itself cannot be changed so.

        ValueError for a setting that the loaded system was made with.
        """
        loaded = {"quality", "sampler", "steps", "seed", "batch", "device", "precision"}
        if fixed := loaded & {name for name, value in changes.items() if getattr(self.settings, name) != value}:
            raise ValueError(f"the loaded system was made with its own {', '.join(sorted(fixed))}")
        other = copy(self)
        other.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        if other.settings.detector != self.settings.detector:
            other._detector = None
        return other


def say(sentence: str) -> None:
    """Tells the user, beside a progress bar."""
    tqdm.write(sentence, file=sys.stderr)
