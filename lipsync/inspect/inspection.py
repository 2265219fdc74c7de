"""What generate.py does instead of a video: say what would be done, show one moment, show who is to be seen."""

import argparse
from collections.abc import Callable

from core.errors import BadValue
from core.guard import check
from lipsync.cli.flags import checkpoint
from lipsync.jobs.job import Job, check_place
from lipsync.settings import Settings

Inspection = Callable[[argparse.Namespace, Job, Settings], None]

# Torch loads within these, after --help has answered and the paths were checked.


def dry_run(options: argparse.Namespace, job: Job, settings: Settings) -> None:
    """Says what would be done."""
    job.check(settings)
    from lipsync.pipeline import LipSyncPipeline

    from .dry_run import estimate

    print(estimate(LipSyncPipeline(checkpoint(options), settings), job).table())


def preview(options: argparse.Namespace, job: Job, settings: Settings) -> None:
    """Writes one moment before and after."""
    _check_still(job)
    job.check_inputs()
    job.check_networks(settings)
    from . import preview as stills

    picture = stills.preview(checkpoint(options), settings, job, options.preview)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    stills.write_preview(job.output, picture)
    print(job.output)


def list_faces(options: argparse.Namespace, job: Job, settings: Settings) -> None:
    """Writes who is to be seen, and says when."""
    _check_still(job)
    check(job.reads, job.writes)
    from video import write_picture

    from . import preview as stills

    picture, lines = stills.contact_sheet(job.video, settings)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    write_picture(job.output, picture)
    print("\n".join(lines))
    print(job.output)


def inspection(options: argparse.Namespace) -> Inspection | None:
    """The inspection that the flags ask for, if any."""
    inspections: dict[str, Inspection] = {"list_faces": list_faces, "preview": preview, "dry_run": dry_run}
    return next((run for flag, run in inspections.items() if getattr(options, flag) not in (None, False)), None)


def _check_still(job: Job) -> None:
    if job.output.suffix.lower() != ".png":
        raise BadValue(f"--output {job.output}: this is a picture; choose the ending .png")
    check_place(job.output)
