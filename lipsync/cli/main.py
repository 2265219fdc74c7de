"""The programs generate.py and generate_dist.py: flags to items, errors to exit codes."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, BadValue, BatchFailed, Unwritable
from core.flags import write_config
from core.lock import locked
from core.program import exit_code
from core.progress import json_lines, say, tell
from lipsync.inspect.inspection import dry_run, inspection
from lipsync.jobs.item import FilelistItem, default_name, original_of
from lipsync.jobs.job import Job, check_place
from lipsync.jobs.manifest import Manifest
from lipsync.settings import Settings
from lipsync.threads import use_threads
from lipsync.trace import Trace, profiled

from .flags import checkpoint, parser, settings
from .legacy_flags import original_sentence, unused
from .path_checks import check_run

if TYPE_CHECKING:
    from guided_diffusion.engine.distributed import Group
    from lipsync.jobs.filelist_runner import FilelistRunner

PATIENCE = timedelta(days=30)  # shares of a list may differ by hours; a process that died is noticed at once
Meeting = Callable[[], AbstractContextManager["Group"]]


def generate(args: Sequence[str] | None = None) -> int:
    """What generate.py does.  Returns the exit code."""
    return _program(args, _alone)


def generate_dist(args: Sequence[str] | None = None) -> int:
    """What generate_dist.py does: the same by all processes that torchrun, mpiexec or srun started, or by this one.

    Only the main process returns 5 for a list of which some failed: a launcher that sees a code ends the others.
    """
    return _program(args, _together)


def _program(args: Sequence[str] | None, meet: Meeting) -> int:
    words = sys.argv[1:] if args is None else args
    with json_lines(wanted=_wants_json(words)):
        return exit_code(lambda: _run(words, meet))


def _wants_json(words: Sequence[str]) -> bool:
    """Whether --json is among the flags, or in a file of them; one that cannot be read is refused later."""
    with suppress(BadInput):
        return "--json" in parser().expanded(words)
    return "--json" in words


# Torch loads within these, after --help has answered and the paths were checked.


@contextmanager
def _alone() -> Iterator["Group"]:
    from guided_diffusion.engine.distributed import Group

    yield Group()


@contextmanager
def _together() -> Iterator["Group"]:
    from guided_diffusion.engine.distributed import group

    with group(PATIENCE) as own:
        yield own


def _run(args: Sequence[str], meet: Meeting) -> None:
    flags = parser()
    options = flags.parse(args)
    if options.from_list is False:
        options.filelist = None
    _take_named(options)
    run_settings, inspect = settings(options), inspection(options)
    listed = options.filelist is not None or bool(options.from_list)
    if listed:
        items = _listed(options, flags.expanded(args))
    else:
        items = [_single(options, run_settings)]
        if inspect is None:
            items[0].job.check(run_settings)
    manifest = Manifest(options.sample_path, options.filelist.stem) if listed else None
    check_run(options, items, manifest)
    if options.profile is not None:
        check_place(options.profile, "--profile")
    if options.write_config is not None:
        write_config(flags, options, options.write_config)
    with meet() as group:
        if group.main:
            original = original_sentence(options)
            for sentence in unused(options) if original is None else [original]:
                say(sentence)
        if inspect is None:
            _use_threads(options.threads, run_settings.device, group, many=meet is _together)
            with profiled(options.profile if group.main else None) as trace:
                (_make_list if listed else _make_one)(options, items, run_settings, group, trace)
        elif group.main and manifest is not None:
            from lipsync.inspect.list_estimate import dry_run_list

            dry_run_list(checkpoint(options), run_settings, items, manifest)
        elif group.main:
            inspect(options, items[0].job, run_settings)


def _take_named(options: argparse.Namespace) -> None:
    """VIDEO AUDIO [RESULT] without flags; a result that is not named appears here, under a name of its own."""
    if Path(options.face).suffix and Path(options.face).exists():
        raise BadValue(f"--face {options.face}: says who of the people speaks; pass a video by --video")
    if not options.named:
        return
    places = ("video", "audio", "output")
    if options.filelist is not None:
        raise BadValue(f"{options.named[0]}: is of one video, and --filelist names many; leave one of the two out")
    if len(options.named) > len(places):
        raise BadValue(f"{options.named[-1]}: without a flag there are VIDEO AUDIO [RESULT], of one video; see --help")
    for place, path in zip(places, options.named, strict=False):
        if place == "output" and not path.name:
            raise BadValue(f"{path}: is a folder; give the name of a file in it")
        if getattr(options, place) is not None:
            raise BadValue(f"{path}: stands where the {place} does, which --{place} names as well; give one of them")
        setattr(options, place, path)
    if options.output is None and options.sample_path is None and inspection(options) is None:
        options.output = Path(default_name(options.video, options.audio, options.codec))
        if options.output.exists():
            raise Unwritable(f"{options.output}: is there already; name the result: VIDEO AUDIO RESULT")


def _single(options: argparse.Namespace, chosen: Settings) -> FilelistItem:
    if options.video is None:
        raise BadValue("there is no video; pass --video and --output, or --filelist for many")
    output = options.output
    if output is None:
        if options.sample_path is None:
            raise BadValue("there is no place for the result; pass --output")
        output = options.sample_path / default_name(options.video, options.audio, chosen.codec)
    job = Job(
        options.video, options.audio, output, options.segments, options.heard,
        options.style, options.motion_in, options.motion_out,
    )  # fmt: skip
    return FilelistItem("the command line", job, chosen, original_of(output) if options.save_orig else None)


def _listed(options: argparse.Namespace, args: Sequence[str]) -> list[FilelistItem]:
    from .filelist import read_list

    if options.filelist is None:
        raise BadValue("there is no list; pass --filelist")
    if options.sample_path is None:
        raise BadValue(f"--filelist {options.filelist}: there is no place for the results; pass --sample_path")
    if options.output is not None:
        say(f"--output {options.output}: not used here, because the results of a list go to --sample_path")
    if inspection(options) not in (None, dry_run):
        raise BadValue(f"--filelist {options.filelist}: only one video can be looked at; pass it with --video")
    if not options.filelist.exists() and original_sentence(options) is not None:
        options.filelist = _drawn(options.filelist.name, options.test_video_dir or Path(), options.sample_path)
    items = read_list(options.filelist, args)
    check_place(options.sample_path / "result")
    return items


def _drawn(name: str, videos: Path, place: Path) -> Path:
    """A list in place of the original's of this name, which do not ship; drawn once, alike by all processes."""
    from dataset.filelist import write_filelist
    from dataset.filelists.make import like_original

    path = place / "filelists" / name
    if not path.exists():
        pairs, wanted = like_original(name, videos)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_filelist(path, pairs)
        say(f"{path}: {len(pairs)} pairs drawn, of the {wanted} of the original's list")
    return path


def _make_list(
    options: argparse.Namespace, items: list[FilelistItem], chosen: Settings, group: "Group", trace: Trace | None
) -> None:
    """Makes all, and says what became of each."""
    from lipsync.jobs.filelist_runner import FilelistSummary

    begin = time.monotonic()
    options.sample_path.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(options.sample_path, options.filelist.stem, group.rank)
    with locked(manifest.lock, manifest.path) if group.main else nullcontext():
        account = _batch(options, chosen, group, manifest, trace).run(items)
        if not group.main:
            return
        failed = [line for line in manifest.merge([item.job for item in items]) if line.error]
    seconds = time.monotonic() - begin
    print(FilelistSummary(len(items), account.all_done, account.all_frames, seconds, failed).table())
    print(manifest.path)
    tell("summary", listed=len(items), made=account.all_done, failed=len(failed), frames=account.all_frames,
         seconds=seconds, report=manifest.path)  # fmt: skip
    if failed or account.all_failed:
        raise BatchFailed(f"{max(len(failed), account.all_failed)} of {len(items)} failed; {manifest.path} says why")
    if all(item.where.startswith(f"{options.filelist}, pair") for item in items):
        root = options.test_video_dir or options.filelist.parent
        words = ["--real", options.filelist, "--root", root, "--fake", options.sample_path, "--output", "report",
                 "--protocol", _protocol(options, items)]  # fmt: skip
        print(f"next: python -m evaluation {shlex.join(map(str, words))}")


def _protocol(options: argparse.Namespace, items: list[FilelistItem]) -> str:
    """By which python -m evaluation measures a list of pairs: docs/evaluation.md."""
    setting = "reconstruction" if all(item.job.audio == item.job.video for item in items) else "cross"
    framing = "diff2lip-" if options.fixed_crop else "lrw-" if options.filelist.name.startswith("lrw_") else ""
    return framing + setting


def _make_one(
    options: argparse.Namespace, items: list[FilelistItem], chosen: Settings, group: "Group", trace: Trace | None
) -> None:
    """Makes the result, and says what happened."""
    account = _batch(options, chosen, group, None, trace).run(items)
    if account.problems:
        raise account.problems[0]
    if group.main:
        if account.report is None:
            raise BatchFailed(f"{items[0].job.output}: another process could not make its part; its message says why")
        print(account.report.table())
        print(items[0].job.output)


def _batch(
    options: argparse.Namespace, chosen: Settings, group: "Group", manifest: "Manifest | None", trace: Trace | None
) -> "FilelistRunner":
    from lipsync.jobs.filelist_runner import FilelistRunner
    from lipsync.pipeline import LipSyncPipeline

    chosen = replace(chosen, device=str(group.device(chosen.device)))
    return FilelistRunner(
        LipSyncPipeline(checkpoint(options), chosen, trace), group, manifest=manifest, keep=options.keep_temp
    )


def _use_threads(count: int | None, device: str, group: "Group", *, many: bool) -> None:
    """So many threads for the network and the pictures.

    None: one where many processes may share a CPU, whatever their number, so that it changes no frame; else all cores.
    """
    if count is None and many and group.device(device).type == "cpu":
        count = 1
    if count is not None:
        use_threads(count)
