"""What a run of generate.py reads against what it writes, over all rows of a list."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

from core.errors import BadInput, Unwritable
from core.guard import Named, check, check_folder, roles
from lipsync.jobs.item import FilelistItem
from lipsync.jobs.job import check_place, picture_of
from lipsync.jobs.manifest import Manifest

from .flags import parser

OF_ITEMS = (
    "named", "video", "audio", "segments", "heard", "style", "motion_in", "motion_out", "output", "test_video_dir",
)  # fmt: skip
"""Flags that the items say, each for itself; all others are those of the run."""


def check_run(options: argparse.Namespace, items: Sequence[FilelistItem], manifest: Manifest | None) -> None:
    """BadInput, before any work, if a result would be written over something that is read, or over another result."""
    rest = argparse.Namespace(**{name: value for name, value in vars(options).items() if name not in OF_ITEMS})
    read, written = roles(parser(), rest)
    items = [item for item in items if item.problem is None]
    for item in items:
        prefix = "" if manifest is None else f"{item.where}: "
        read += [(f"{prefix}{name}", path) for name, path in _inputs(item)]
        written += [(f"{prefix}{name}", path) for name, path in item.writes]
    if manifest is not None:
        written.append(("the report", manifest.path))
        for name, path in read:
            if manifest.is_own(path):
                raise Unwritable(f"{name} {path}: is called as a report of this list; give one of them another name")
    if options.cache_dir is not None:
        written.append(("--cache_dir", options.cache_dir))
        check_folder("--cache_dir", options.cache_dir)
    check(read, written, [item.job.parts for item in items])
    for item in items:
        _check_beside(item)
        if item.source is not None and manifest is None:
            check_place(item.source, "--save_orig")


def _check_beside(item: FilelistItem) -> None:
    """Unwritable if a file is there that would be written beside a named one, and no run can have made it."""
    job = item.job
    besides = [(job.output, "--save_orig", item.source)]
    if job.motion_out is not None:
        besides.append((job.motion_out, "--motion_out", picture_of(job.motion_out)))
    for named, flag, path in besides:
        if path is not None and path.exists() and not named.exists() and not job.parts[1].exists():
            raise Unwritable(
                f"{flag} writes {path} beside {named}, and it is there already; move it away, or choose another name"
            )


def _inputs(item: FilelistItem) -> Iterator[Named]:
    """What a row reads; of names that mean no file it is said when its turn comes."""
    try:
        job = item.located()
    except BadInput:
        job = replace(item.job, segments=None)
    yield from (*job.reads, *job.sounds)
