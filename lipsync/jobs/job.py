"""A job, and the report of what became of it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.atomic import check_replaceable
from core.errors import BadValue, NotFound, Unwritable
from core.guard import Named, check
from lipsync.planning.speaker_segments import sounds_of
from lipsync.settings import Settings
from video import codec_for, hardware

from .chunks import folder_of


@dataclass(frozen=True)
class Job:
    """One video that shall say something.

    audio     the words; None if segments name all of them
    segments  a file that says who speaks when, and what (see speaker_segments.py)
    heard     the sound of the result, if it is another than the one that drives the mouth
    style     a video of the manner of speaking, for systems that imitate one; None: `video` itself
    motion_in, motion_out   what the lips are to do instead, and where to write what they do (see lip_motion.py)
    """

    video: Path
    audio: Path | None
    output: Path
    segments: Path | None = None
    heard: Path | None = None
    style: Path | None = None
    motion_in: Path | None = None
    motion_out: Path | None = None

    @property
    def reads(self) -> list[Named]:
        """What is read, and the flag that says so; the sounds that segments name are in `sounds`."""
        flags = {
            "--video": self.video, "--audio": self.audio, "--segments": self.segments, "--mux_audio": self.heard,
            "--style_video": self.style, "--motion_in": self.motion_in,
        }  # fmt: skip
        return [(flag, path) for flag, path in flags.items() if path is not None]

    @property
    def sounds(self) -> list[Named]:
        """The sounds that the segments name; none where these cannot be read."""
        if self.segments is None:
            return []
        return [(f"the sound in --segments {self.segments}:", sound) for sound in sounds_of(self.segments)]

    @property
    def writes(self) -> list[Named]:
        """What is written; RESULT_orig is not the job's but the item's."""
        motion = self.motion_out
        drawn = [] if motion is None else [("--motion_out", motion), ("the picture beside it,", picture_of(motion))]
        return [("--output", self.output), *drawn]

    @property
    def parts(self) -> Named:
        """The folder of what is made on the way."""
        return f"the chunks of --output {self.output}, in", folder_of(self.output)

    def check(self, settings: Settings) -> None:
        """Raises BadInput, before any work, if the inputs are not there or the output cannot be."""
        self.check_inputs()
        self.check_networks(settings)
        codec_for(settings.codec, self.output, transparent=settings.patch)
        if settings.encoder is not None:
            hardware(settings.encoder, settings.crf)

    def check_networks(self, settings: Settings) -> None:
        """Raises BadInput if a network of the user's is not there, or would be written over."""
        check_there(settings)
        check(settings.networks, self.writes, [self.parts])

    def check_reads(self) -> None:
        """Raises BadInput if an input is not there."""
        if self.audio is None and self.segments is None:
            raise BadValue(f"{self.video}: there are no words for it; pass --audio, or --segments")
        for flag, path in self.reads:
            if not path.exists():
                raise NotFound(f"{flag} {path}: no such file; check the path")

    def check_inputs(self) -> None:
        """Raises BadInput if an input is not there, or nothing can be written at the output's place."""
        self.check_reads()
        check([*self.reads, *self.sounds], self.writes, [self.parts])
        check_place(self.output)
        if self.motion_out is not None:
            if self.motion_out.suffix != ".npz":
                raise BadValue(f"--motion_out {self.motion_out}: choose the ending .npz")
            check_place(self.motion_out, "--motion_out")


def check_there(settings: Settings) -> None:
    """Raises BadInput if a network of the user's is not there."""
    for flag, path in settings.networks:
        if not path.is_file():
            raise NotFound(f"{flag} {path}: no such file; check the path")


def picture_of(motion: Path) -> Path:
    """Where the curves of --motion_out are drawn."""
    return motion.with_suffix(".png")


def check_place(output: Path, flag: str = "--output") -> None:
    """Raises BadInput if no file can be written there."""
    check_replaceable(output, f"{flag} {output}")
    standing = next(folder for folder in output.absolute().parents if folder.exists())
    try:
        tempfile.TemporaryFile(dir=standing).close()
    except OSError as problem:
        raise Unwritable(
            f"{flag} {output}: cannot write there ({problem.strerror}); choose a folder you may write to"
        ) from problem


@dataclass(frozen=True)
class Report:
    """What happened to a job.

    frames, edited  of the result; source_frames of it were searched or shown, in so many shots
    missing         inclusive ranges of source frames that were to speak and had no face
    unfit           the same of those in which no mouth can be made well, and why: the original is seen there
    seconds         per stage, of which some are side by side; elapsed: from the first to the last, whoever worked
    waited          seconds in which a stage beside others had nothing to do, or nobody to hand it to
    peak_memory     in bytes
    extras          what was asked for beyond a new mouth: networks of the user's, the mark (`Settings.extras`)
    warnings        sentences about files that are cut off or damaged, and were used as far as they go
    batch           frames sampled at a time in the end: less than the grid if memory was too small, and then the
                    frames are no longer, bit for bit, those of a run that had enough
    """

    frames: int
    edited: int
    missing: list[tuple[int, int]]
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    source_frames: int = 0
    shots: int = 1
    batch: int = 0
    unfit: list[tuple[int, int, str]] = field(default_factory=list)
    elapsed: float = 0.0
    waited: dict[str, float] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def bottleneck(self) -> str | None:
        """Of the stages side by side the one that waited least; None if there were none."""
        return min(self.waited, key=self.waited.__getitem__, default=None)

    def table(self) -> str:
        """A few aligned lines for a person to read."""
        rows = [
            ("frames", f"{self.frames}"),
            ("edited", f"{self.edited}"),
            ("passed through", f"{self.frames - self.edited}"),
        ]
        if self.shots > 1:
            rows.append(("shots", f"{self.shots}"))
        if self.missing:
            rows.append(("no face in", ranges(self.missing)))
        for reason in dict.fromkeys(why for *_, why in self.unfit):
            rows.append((f"{reason} in", ranges([(a, b) for a, b, why in self.unfit if why == reason])))
        rows += [(name.replace("_", " "), what) for name, what in self.extras.items()]
        rows += [("warning", sentence) for sentence in self.warnings]
        rows += [(stage, self._spent(stage)) for stage in self.seconds]
        rows += [("total", f"{self.elapsed:.1f} s, {self.frames / max(self.elapsed, 1e-9):.2f} frames/s")]
        if self.peak_memory:
            rows.append(("peak memory", f"{self.peak_memory / 2**20:.0f} MiB"))
        return aligned(rows)

    def _spent(self, stage: str) -> str:
        spent = f"{self.seconds[stage]:.1f} s"
        if stage not in self.waited:
            return spent
        slowest = ", the bottleneck" if stage == self.bottleneck else ""
        return f"{spent}, waited {self.waited[stage]:.1f} s{slowest}"


def unfit_sentence(video: Path, spans: Sequence[tuple[int, int, str]]) -> str | None:
    """What a user should know of frames in which no mouth is made (see `Report.unfit`), of many the first; None if
    there are none."""
    if not spans:
        return None
    named = [f"{why} in {ranges([(first, last)])}" for first, last, why in spans[:NAMED]]
    more = [f"{len(spans) - NAMED} more, which the report names"] if len(spans) > NAMED else []
    return (
        f"{video}: the mouth stays as it was where none can be made well, of the video's frames: "
        f"{', '.join([*named, *more])}; --strict_pose force makes one there too"
    )


NAMED = 5  # ranges of frames that a sentence has room for


def ranges(spans: Sequence[tuple[int, int]]) -> str:
    """Inclusive ranges of frames for a person: 3-7, 12."""
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in spans)


def aligned(rows: list[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
