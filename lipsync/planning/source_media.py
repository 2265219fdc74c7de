"""The video and the sounds of a job: what is known of them, each found out once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

from audio import MEL_RATE, FilterBanks, Sound, broken_samples, open_sound, read_filterbanks
from audio.activity import Activity, speech_activity
from audio.silero import silero_activity
from core.arrays import Span
from core.errors import BadInput, BadValue, Mismatch, NoData
from core.progress import say_once
from dataset import AudioFeatures
from face_detection import FaceTrack
from lipsync.jobs.job import Job
from lipsync.models import Models
from lipsync.motion.lip_motion import Motion
from lipsync.rendering.registration import Registration
from lipsync.settings import Settings
from lipsync.stopwatch import Stopwatch
from media import damage_of
from video import Mono, VideoInfo, pick_frames, probe

from .audio_mix import mix
from .references import References, choose_references
from .speaker_segments import SpeakerSegment, read_segments
from .timeline import Plan
from .turns import frames_of


@dataclass(frozen=True)
class HeardSound:
    """What a network hears of a segment, its silence treated as the settings say.

    banks  the same as AV-HuBERT hears it; None for a system that does not
    gate   when the mouth is generated; None: always
    """

    sound: Sound
    banks: FilterBanks | None
    gate: Activity | None


class SourceMedia:
    """Reads, searches and listens when it is asked, and keeps what it found."""

    def __init__(self, job: Job, settings: Settings, models: Models, watch: Stopwatch) -> None:
        """BadInput for a video that cannot be read, and for a flag of style if the system has none."""
        self.job, self.watch = job, watch
        self._settings, self._models = settings, models
        self._separator = models.separator(settings)
        self._sound, self._filterbanks = cache(self._opened), cache(self._read_filterbanks)
        self._check_style()
        self.segments = self._read_segments()
        self.info: VideoInfo = probe(job.video)
        if self.info.hdr:
            say_once(f"{job.video}: is HDR or of a wide gamut; it is mapped to SDR, all of the picture")
        self.faces = models.face_selector(self.info, settings)
        self.track = cache(self.faces.track)
        self._lip_motion = models.lip_motion(settings, job, self.info, self._open)

    @cached_property
    def seconds(self) -> float:
        """When the last word is said: that of the sound for all, else of the segments' own."""
        if self.job.audio is not None:
            return self._lasts(self.job.audio)
        ends = [segment.start + self._lasts(self._path(segment)) for segment in self.segments]
        return max(min(end, s.end) if s.end is not None else end for end, s in zip(ends, self.segments, strict=True))

    def references(self, track: FaceTrack, shown: Sequence[Span] | None) -> References:
        """What shows the network the mouth of a face.

        shown: the source frames that will be, all if None; what only others need is not read.
        """
        needs, settings = self._models.synthesizer.needs, self._settings
        with self.watch("reference"):
            return choose_references(
                self.info.path, track, self._models.synthesizer.size, settings.reference, settings.seed,
                count=needs.references, within=shown, openings=self._models.openings if needs.ordered else None,
                hidden=self._models.hidden(settings),
            )  # fmt: skip

    def heard(self, segment: SpeakerSegment) -> HeardSound:
        """What a segment says."""
        path, silence = self._path(segment), self._settings.silence
        sound = self._sound(path)
        banks = self._filterbanks(path) if self._models.synthesizer.needs.filterbanks else None
        if silence == "model":
            return HeardSound(sound, banks, None)
        activity = silero_activity(sound) if self._settings.speech_detector == "silero" else speech_activity(sound.mel)
        if silence == "original":
            return HeardSound(sound, banks, activity)
        faded = None if banks is None else banks.faded(activity.gate_gain, MEL_RATE)
        return HeardSound(sound.silence_suppressed(activity), faded, None)

    def motion(self, segment: SpeakerSegment, sound: Sound, plan: Plan) -> Motion | None:
        """What the lips do while a segment says a sound, f32 [n, d] from where that begins; None if nobody is told.

        It is of the whole segment, whatever part of it is made, so that every process makes the same.
        """
        if self._lip_motion is None:
            return None
        first, stop = frames_of(segment, plan)
        frames = stop if segment.sound is None else stop - first
        with self.watch("motion"):
            return self._lip_motion(
                lambda: self.track(segment.face, *plan.sources(first, stop)), sound, frames, plan.fps
            )

    def registration(self) -> Registration | None:
        """What brings new faces to their place; None if nothing does."""
        return self._models.registration(
            self._settings, self.info, partial(pick_frames, self.info.path), self._own_sound
        )

    def _own_sound(self) -> AudioFeatures:
        path, banks = self.info.path, self._models.synthesizer.needs.filterbanks
        return AudioFeatures(self._open(path).mel, self._read_filterbanks(path) if banks else None)

    def write_motion(self) -> None:
        """What the lips do, where the job says."""
        if self._lip_motion is not None and self.job.motion_out is not None:
            self.job.motion_out.parent.mkdir(parents=True, exist_ok=True)
            self._lip_motion.export(self.job.motion_out)

    @property
    def warnings(self) -> list[str]:
        """What is wrong with what was read and is used all the same: files that are cut off or damaged."""
        job = self.job
        return damage_of(job.video, job.audio, job.heard, job.style, *(path for _, path in job.sounds))

    @property
    def output_sound(self) -> Path | Mono:
        """The sound of the result: what the job names for that, else the words, else the mix of its segments' sounds.
        """
        sound = self.job.heard or self.job.audio
        if sound is not None:
            return sound
        return mix(self.segments)

    def _read_segments(self) -> list[SpeakerSegment]:
        """Those of the list; without one, one: the face of the settings says the sound, from their start to their end.
        """
        if self.job.segments is not None:
            return read_segments(self.job.segments, self._settings.face, self.job.audio)
        if self.job.audio is None:
            raise BadValue("there are no words; pass --audio, or --segments")
        return [SpeakerSegment(self._settings.start, self._settings.end, self._settings.face, None)]

    def _check_style(self) -> None:
        """BadInput for a flag of style if the system has none, or a style video in which nobody speaks."""
        job, synthesizer = self.job, self._models.synthesizer
        paths = {"--style_video": job.style, "--motion_in": job.motion_in, "--motion_out": job.motion_out}
        flags = [flag for flag, value in paths.items() if value is not None]
        flags += ["--style_strength"] * (self._settings.style_strength != 1)
        if flags and not synthesizer.needs.motion:
            raise Mismatch(
                f"{', '.join(flags)}: {synthesizer.checkpoint} knows no style; leave that out, or pass a style"
                " model with --model_path, such as checkpoints/style-small"
            )
        if job.style is None:
            return
        try:
            speaks = probe(job.style).audio
        except BadInput as problem:
            raise type(problem)(f"--style_video {problem}") from problem
        if not speaks:
            raise NoData(f"--style_video {job.style}: it has no sound; give a video of somebody who speaks")

    def _lasts(self, path: Path) -> float:
        """Seconds of a sound; that of its voice alone is as long, and need not be made for this."""
        return self._sound(path).mel.seconds if self._separator is None else self._separator.seconds(path)

    def _open(self, path: Path) -> Sound:
        """What is heard of a sound: all of it, or the voice alone."""
        if self._separator is None:
            return open_sound(path)
        with self.watch("separate"):
            return self._separator.open_sound(path)

    def _read_filterbanks(self, path: Path) -> FilterBanks:
        if self._separator is None:
            return read_filterbanks(path)
        with self.watch("separate"):
            return self._separator.read_filterbanks(path)

    def _opened(self, path: Path) -> Sound:
        """Its samples are read when somebody asks for them."""
        sound = self._open(path)
        if sound.mel.silent:
            say_once(f"{path}: is silent throughout; nobody speaks")
        if wrong := broken_samples(path):
            say_once(f"{path}: {wrong} of its samples are no numbers and are heard as silence; export it again")
        return sound

    def _path(self, segment: SpeakerSegment) -> Path:
        path = segment.sound or self.job.audio
        assert path is not None  # a segment without a sound is made only where there is one for all
        return path


@dataclass(frozen=True)
class JobPlan:
    """What is known of a job before any face is searched."""

    plan: Plan
    media: SourceMedia

    @property
    def blocks(self) -> list[Span]:
        """The blocks of source frames that must be searched to know all faces of the job, known ones among them."""
        faces = self.media.faces
        spans = [
            faces.span(segment.face, *self.plan.sources(*frames_of(segment, self.plan)))
            for segment in self.media.segments
        ]
        return sorted({block for span in spans if span for block in faces.finder.blocks(*span)})
