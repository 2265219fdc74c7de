"""One row of a list, or what the command line asks for: a job and its settings."""

from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import BadInput
from core.guard import Named
from lipsync.settings import Settings
from video import chunk_suffix

from .job import Job


@dataclass(frozen=True)
class FilelistItem:
    """One line of a list.

    where   the line, for a person
    job     its paths; those of a video and a sound without endings are below `root`
    source  where the video as it was shall go
    problem why it cannot be made; all else of it is then what could be read
    """

    where: str
    job: Job
    settings: Settings
    source: Path | None = None
    root: Path | None = None
    problem: BadInput | None = None

    @property
    def writes(self) -> list[Named]:
        """What is written for it."""
        return [*self.job.writes, *([] if self.source is None else [("--save_orig", self.source)])]

    def located(self) -> Job:
        """The job with the files that its names mean.  BadInput if there is none."""
        if self.root is None:
            return self.job
        from dataset.filelist import locate  # torch loads with it

        names = [str(path.relative_to(self.root)) for path in (self.job.video, self.job.audio) if path is not None]
        video, audio = (locate(self.root, name) for name in names)
        return replace(self.job, video=video, audio=audio)


def default_name(video: Path, audio: Path | None, codec: str) -> str:
    """The name of a result that was given none: VIDEO_AUDIO.mp4, as the original names it."""
    return "_".join(path.stem for path in (video, audio) if path is not None) + chunk_suffix(codec)


def original_of(output: Path) -> Path:
    """Where --save_orig puts the video as it was: RESULT_orig.mp4, as the original does."""
    return output.with_name(f"{output.stem}_orig{output.suffix}")
