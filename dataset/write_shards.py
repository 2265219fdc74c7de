"""Any training data -> shards (shards.py), which a cluster reads in few large files.

    python -m dataset.write_shards DATA --output SHARDS [--size 128] [--shards 64]

DATA is whatever train.py reads.  Each of the shards is a fair sample of its split.  Processes read shards of their own
if their number divides that of the shards; more shards than a thousandth of the clips cost only file names.
A shard that is there already is passed over, so the same command goes on; SHARDS/shards.json says by which numbers
clips went into shards, and others are refused.  Clips that cannot be read are named and left out, and the exit code is
5.
"""

import argparse
import io
import json
import re
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.atomic import atomic
from core.errors import BadInput, BadValue, BatchFailed, Mismatch, NoData, Unreadable
from core.flags import Parser
from core.guard import check, reads, writes_into
from core.lock import locked
from core.program import GOES_ON, exit_code
from core.progress import say

from .clip import Clip
from .footage import Footage
from .layout import layout_of
from .prepared import write_clip
from .shards import CLIP, INDEX, NAME, ShardClips, has_shards, places_in, write_index

NOT_IN_KEYS = re.compile(r"[./\s\\]+")  # WebDataset's key ends at the first dot; a tar has folders
NOTE = "shards.json"
LIMIT = 16  # broken clips that are named


def write_shards(data: Path, output: Path, size: int, count: int) -> None:
    """Writes every split of the data and says what there is.

    Raises BatchFailed, after all else is done, if some clips could not be read; BadInput if `output` has shards of
    another size or number, or of other data.
    """
    splits = layout_of(data).read(data, size)
    _remember(output, size, count, {split: len(clips) for split, clips in splits.items() if len(clips)})
    problems: list[str] = []
    written = []
    with tqdm(total=sum(map(len, splits.values())), unit="clip", disable=None) as bar:
        for split, clips in splits.items():
            shards = min(count, len(clips))
            there = sum(
                _write(output / f"{split}-{shard:06d}.tar", clips, range(shard, len(clips), shards), problems, bar)
                for shard in range(shards)
            )
            written += [f"{there} clips {split} in {shards} shard{'' if shards == 1 else 's'}"] if shards else []
    say(f"{output}: {', '.join(written) or 'no clips'}")
    if problems:
        more = f"; and {len(problems) - LIMIT} more" if len(problems) > LIMIT else ""
        raise BatchFailed(f"{len(problems)} clips left out: " + "; ".join(problems[:LIMIT]) + more)


def _remember(output: Path, size: int, count: int, clips: dict[str, int]) -> None:
    """Notes by which numbers clips go into shards.  clips: of each split.  BadInput if shards are there by others."""
    path, known = output / NOTE, {}
    if has_shards(output) and path.exists():
        before = _noted(path)
        for name, value in (("size", size), ("shards", count)):
            if before[name] != value:
                raise Mismatch(f"{output}: its shards were written with --{name} {before[name]}; pass that, or choose"
                               " another --output")  # fmt: skip
        known = before["clips"]
        for split, total in clips.items():
            if known.get(split, total) != total:
                raise Mismatch(f"{output}: its shards of {split} are of {known[split]} clips, and the data have {total}"
                               " now; choose another --output")  # fmt: skip
    else:
        for tar in output.glob("*.tar"):
            _check(tar, size, count, clips)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps({"size": size, "shards": count, "clips": known | clips}), "ascii")


def _noted(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_bytes())
        return {"size": int(note["size"]), "shards": int(note["shards"]), "clips": dict(note["clips"])}
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise Unreadable(f"{path}: is no note about shards ({problem}); move it away") from problem


def _check(tar: Path, size: int, count: int, clips: dict[str, int]) -> None:
    """BadInput if a shard of which no note tells cannot be one of these."""
    name = NAME.fullmatch(tar.name)
    if name is None or name[1] not in clips:
        return
    number, total = int(name[2]), clips[name[1]]
    shards = min(count, total)
    if number >= shards or len(places_in(tar)) > len(range(number, total, shards)):
        raise Mismatch(f"{tar}: is none of {count} shards of these clips; pass the --shards that it was written by, or"
                       " choose another --output")  # fmt: skip
    side = ShardClips([tar], 0)[0].pictures([0]).shape[1]
    if side != size:
        raise Mismatch(f"{tar}: holds faces of {side} px; pass --size {side}, or choose another --output")


def _write(tar: Path, clips: Sequence[Footage], numbers: range, problems: list[str], bar: "tqdm[None]") -> int:
    """-> how many clips are in it."""
    if tar.exists():
        places = places_in(tar)  # refuses what is no shard
        bar.update(len(numbers))
        return len(places)
    names = set()
    with atomic(tar) as temporary:
        with tarfile.open(temporary, "w") as file:
            for number in numbers:
                try:
                    names.add(_add(file, clips[number], number))
                except BadInput as problem:
                    problems.append(str(problem))
                bar.update()
        if not names:
            raise NoData(f"{tar}: none of its clips can be read ({problems[-1]}); mend them, or take fewer"
                         " --shards and another --output")
    places = places_in(tar)
    write_index(tar, places)
    return len(places)


def _add(file: tarfile.TarFile, clip: Footage, number: int) -> str:
    """Writes one clip under a key of its own."""
    whole = Clip(clip.name, clip.speaker, clip.pictures(range(len(clip))), clip.mel, clip.fps, clip.banks)
    key = NOT_IN_KEYS.sub("_", f"{number:08d}__{clip.speaker}__{Path(clip.name).stem}")[:200]
    contents = io.BytesIO()
    write_clip(contents, whole)
    index = {"speaker": clip.speaker, "name": clip.name, "frames": len(whole)}
    for ending, data in ((CLIP, contents.getvalue()), (INDEX, json.dumps(index).encode())):
        member = tarfile.TarInfo(key + ending)
        member.size = len(data)
        file.addfile(member, io.BytesIO(data))
    return key


def parser() -> argparse.ArgumentParser:
    """What `run` understands."""
    flags = Parser(__doc__)
    flags.add_argument("data", type=reads, metavar="DATA")
    flags.add_argument("--output", type=writes_into, required=True, metavar="SHARDS")
    flags.add_argument("--size", type=int, default=128, help="pixels of a face (default 128)")
    flags.add_argument("--shards", type=int, default=64, metavar="N", help="of each split (default 64)")
    return flags


def run(options: argparse.Namespace) -> None:
    """The program.  Raises as `write_shards`."""
    if options.size < 8 or options.shards < 1:
        raise BadValue("--size is 8 or more, --shards 1 or more; correct them")
    check([("DATA", options.data)], [("--output", options.output)])
    check([("DATA", options.data)], [("--output", options.output / name) for name in ("train-000000.tar", NOTE)])
    with locked(options.output / ".lock", options.output):
        write_shards(options.data, options.output, options.size, options.shards)


def main(args: Sequence[str] | None = None) -> int:
    options = parser().parse_args(args)
    return exit_code(lambda: run(options), stopped=GOES_ON)


if __name__ == "__main__":
    sys.exit(main())
