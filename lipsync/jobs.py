"""What is to be done, and what happened."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from errors import BadInput
from video import CONTAINERS


@dataclass(frozen=True)
class Job:
    """One video that shall say one sound."""

    video: Path
    audio: Path
    output: Path

    def check(self) -> None:
        """Raises BadInput, before any work, if the inputs are not there or the output cannot be."""
        for flag, path in (("--video", self.video), ("--audio", self.audio)):
            if not path.exists():
                raise BadInput(f"{flag} {path}: no such file; check the path")
            if self.output.exists() and self.output.samefile(path):
                raise BadInput(f"--output {self.output}: is the input itself; choose another name")
        if self.output.is_dir():
            raise BadInput(f"--output {self.output}: is a folder; name a file, such as {self.output / 'result.mp4'}")
        if self.output.suffix.lower() not in CONTAINERS:
            raise BadInput(f"--output {self.output}: choose one of the endings {', '.join(CONTAINERS)}")
        standing = next(folder for folder in self.output.absolute().parents if folder.exists())
        try:
            tempfile.TemporaryFile(dir=standing).close()
        except OSError as problem:
            raise BadInput(
                f"--output {self.output}: cannot write there ({problem.strerror}); choose a folder you may write to"
            ) from problem


@dataclass(frozen=True)
class Report:
    """What happened to a job.  missing: inclusive ranges of source frames without a face; seconds per stage."""

    frames: int
    edited: int
    missing: list[tuple[int, int]]
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0

    def table(self) -> str:
        """A few aligned lines for a person to read."""
        total = sum(self.seconds.values())
        rows = [
            ("frames", f"{self.frames}"),
            ("edited", f"{self.edited}"),
            ("passed through", f"{self.frames - self.edited}"),
        ]
        if self.missing:
            rows.append(("no face in", ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in self.missing)))
        rows += [(stage, f"{spent:.1f} s") for stage, spent in self.seconds.items()]
        rows += [("total", f"{total:.1f} s, {self.frames / max(total, 1e-9):.2f} frames/s")]
        if self.peak_memory:
            rows.append(("peak memory", f"{self.peak_memory / 2**20:.0f} MiB"))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
