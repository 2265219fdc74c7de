"""Lists of videos, and what each line asks for.

    SOUND VIDEO            the original's form: paths below a root without endings (see dataset.filelist); the result
                           is SOUND_VIDEO.mp4 with dots for slashes, as the original names it
    video,audio,output     a CSV with a header line, or JSON lines: paths with endings, and any flag of COLUMNS that
                           differs from the command line's; without an output the result is VIDEO_AUDIO.mp4

A list whose name ends in .csv, .jsonl or .json, or that begins with {, is of the second form.
"""

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from core.errors import BadInput, BadValue, NoData, Unwritable
from core.flags import spelled
from core.rows import JSON, check_columns, read_rows, read_text
from dataset.filelist import read_filelist
from lipsync.jobs.item import FilelistItem, default_name, original_of
from lipsync.jobs.job import Job
from video import chunk_suffix

from .flags import add_flags, settings

PATHS = ("video", "audio", "segments", "mux_audio", "style_video", "motion_in")
COLUMNS = (
    *PATHS, "output", "save_orig", "length", "extend", "start", "end", "fps", "face", "face_detector", "pads", "box",
    "is_voxceleb2", "on_no_face", "max_gap", "strict_pose", "silence", "speech_detector", "style_strength", "mask",
    "feather", "detail", "registration", "restorer_strength", "mark", "mark_text", "sampling_ref_type",
    "sampling_input_type", "codec", "crf", "compare", "debug_mask", "patch",
)  # fmt: skip
"""What rows may say.  Flags of the model itself are the same for a whole list: it is loaded once."""


def read_list(listing: Path, args: Sequence[str]) -> list[FilelistItem]:
    """What a list asks for under the flags `args`, in its order; a line that is there twice counts once.

    args: as `Parser.expanded` gives them.

    A row that says what it cannot has a `problem`.  BadInput if it is no list, all rows are such, a result would lie
    outside of --sample_path, or two would have the same name.
    """
    rows = listing.suffix.lower() in (".csv", *JSON) or read_text(listing).lstrip().startswith("{")
    items = list(_rows(listing, args) if rows else _pairs(listing, args))
    if not items:
        raise NoData(f"{listing}: it is empty; give one row per video")
    if all(item.problem for item in items):
        raise next(item.problem for item in items if item.problem)
    return _distinct(items)


def _pairs(listing: Path, args: Sequence[str]) -> Iterable[FilelistItem]:
    options = _parser().parse_args(args)
    if options.motion_out is not None:
        raise BadValue("--motion_out is for one video; pass it without --filelist")
    run_settings, root = settings(options), options.test_video_dir or listing.parent
    suffix = chunk_suffix(run_settings.codec)
    for number, pair in enumerate(read_filelist(listing), 1):
        name = "_".join(path.replace("/", ".") for path in (pair.sound, pair.video))
        output = options.sample_path / f"{name}{suffix}"
        job = Job(root / pair.video, root / pair.sound, output, heard=options.heard, style=options.style)
        yield FilelistItem(
            f"{listing}, pair {number}", job, run_settings, original_of(output) if options.save_orig else None, root
        )


def _rows(listing: Path, args: Sequence[str]) -> Iterable[FilelistItem]:
    parser, words = _parser(), args
    common = parser.parse_args(words)
    for number, row in read_rows(listing):
        place = f"{listing}, row {number}"
        row = {spelled(f"--{name}")[2:]: value for name, value in row.items()}
        check_columns(row, COLUMNS, place)
        output = _inside(common.sample_path, row["output"], place) if row.get("output") else None
        flags = [f"--{name}={value}" for name, value in row.items() if value]
        try:
            options = parser.parse_args([*words, *flags])
            yield _item(place, options, row, listing.parent, output)
        except BadInput as problem:
            video = Path(row.get("video") or place)
            job = Job(video, None, output or common.sample_path / f"{listing.stem}, row {number}")
            yield FilelistItem(place, job, settings(common), problem=type(problem)(f"{place}: {problem}"))


def _item(
    where: str, options: argparse.Namespace, row: dict[str, str], folder: Path, output: Path | None
) -> FilelistItem:
    """Paths in a row are below the root, those of the command line are not.  output: that of the row, None: none."""
    root = options.test_video_dir or folder
    if options.motion_out is not None:
        raise BadValue("--motion_out is for one video; pass it without --filelist")
    paths = (options.video, options.audio, options.segments, options.heard, options.style, options.motion_in)
    video, audio, *others = (
        root / row[name] if row.get(name) else other for name, other in zip(PATHS, paths, strict=True)
    )
    if video is None:
        raise NoData("it names no video; give it one")
    row_settings = settings(options)
    output = output or options.sample_path / default_name(video, audio, row_settings.codec)
    source = original_of(output) if options.save_orig else None
    return FilelistItem(where, Job(video, audio, output, *others), row_settings, source)


def _inside(folder: Path, name: str, where: str) -> Path:
    """A result below the folder.  BadInput if its name leads out of it."""
    path = Path(os.path.normpath(folder.absolute() / name))
    if not path.is_relative_to(os.path.normpath(folder.absolute())):
        raise Unwritable(f"{where}: its result {name} lies outside of --sample_path {folder}; name a file below that")
    return folder / path.relative_to(os.path.normpath(folder.absolute()))


def _distinct(items: Sequence[FilelistItem]) -> list[FilelistItem]:
    by_output: dict[Path, FilelistItem] = {}
    for item in items:
        first = by_output.setdefault(item.job.output, item)
        if (first.job, first.settings) != (item.job, item.settings):
            raise Unwritable(
                f"{item.where}: its result {item.job.output} is that of {first.where} too; give them different names"
            )
    return list(by_output.values())


class _RowParser(argparse.ArgumentParser):
    """Says a mistake as BadInput."""

    def error(self, message: str) -> NoReturn:
        raise BadValue(f"{message}; correct it")


def _parser() -> argparse.ArgumentParser:
    parser = _RowParser(allow_abbrev=False)
    add_flags(parser)
    return parser
