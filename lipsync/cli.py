"""The program generate.py: flags to a job and settings, errors to exit codes."""

import argparse
import sys
from collections.abc import Callable, Sequence

from errors import BadInput, LipSyncError

from .flags import parser, settings
from .jobs import Job, check_place
from .originals import unused
from .settings import Settings


def generate(args: Sequence[str] | None = None) -> int:
    """What generate.py does.  Returns the exit code."""

    def work() -> None:
        options = parser().parse(sys.argv[1:] if args is None else args)
        chosen = settings(options)
        for sentence in unused(options):
            print(sentence, file=sys.stderr)
        job = Job(options.video, options.audio, options.output, options.segments, options.heard)
        command = next((run for flag, run in COMMANDS.items() if getattr(options, flag) not in (None, False)), dub)
        command(options, job, chosen)

    return exit_code(work)


def exit_code(work: Callable[[], None]) -> int:
    """Runs a program; a problem that the user can act on becomes one sentence and its exit code, a bug still raises."""
    try:
        work()
    except LipSyncError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


# Torch loads within these, after --help has answered and the paths were checked.


def dub(options: argparse.Namespace, job: Job, chosen: Settings) -> None:
    """Writes the result and says what happened."""
    job.check(chosen)
    from systems.registry import DEFAULT_CHECKPOINT

    from .pipeline import Dubber

    print(Dubber(options.model_path or DEFAULT_CHECKPOINT, chosen).dub(job).table())
    print(job.output)


def dry_run(options: argparse.Namespace, job: Job, chosen: Settings) -> None:
    """Says what would be done."""
    job.check(chosen)
    from systems.registry import DEFAULT_CHECKPOINT

    from .estimate import estimate
    from .pipeline import Dubber

    print(estimate(Dubber(options.model_path or DEFAULT_CHECKPOINT, chosen), job).table())


def preview(options: argparse.Namespace, job: Job, chosen: Settings) -> None:
    """Writes one moment before and after."""
    _check_still(job)
    job.check_inputs()
    from systems.registry import DEFAULT_CHECKPOINT
    from video import write_picture

    from . import stills

    picture = stills.preview(options.model_path or DEFAULT_CHECKPOINT, chosen, job, options.preview)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    write_picture(job.output, picture)
    print(job.output)


def list_faces(options: argparse.Namespace, job: Job, chosen: Settings) -> None:
    """Writes who is to be seen, and says when."""
    _check_still(job)
    if job.output.exists() and job.video.exists() and job.output.samefile(job.video):
        raise BadInput(f"--output {job.output}: is the input itself; choose another name")
    from video import write_picture

    from . import stills

    picture, lines = stills.contact_sheet(job.video, chosen)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    write_picture(job.output, picture)
    print("\n".join(lines))
    print(job.output)


COMMANDS = {"list_faces": list_faces, "preview": preview, "dry_run": dry_run}


def _check_still(job: Job) -> None:
    if job.output.suffix.lower() != ".png":
        raise BadInput(f"--output {job.output}: this is a picture; choose the ending .png")
    check_place(job.output)
