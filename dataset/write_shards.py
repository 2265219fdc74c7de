"""Any training data -> shards (shards.py), which a cluster reads in few large files.

    python -m dataset.write_shards DATA --output SHARDS [--size 128] [--shards 64]

DATA is whatever train.py reads.  Each of the shards is a fair sample of its split.  Processes read shards of their own
if their number divides that of the shards; more shards than a thousandth of the clips cost only file names.
A shard that is there already is passed over, so the same command goes on; clips that cannot be read are named and left
out, and the exit code is 5.
"""

import argparse
import io
import json
import re
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from core.atomic import atomic
from core.errors import BadInput, BadValue, BatchFailed, NoData
from core.flags import Parser
from core.guard import check, reads, writes_into
from core.lock import locked
from core.program import exit_code

from .clip import Clip
from .footage import Footage
from .layout import layout_of
from .prepared import write_clip
from .shards import CLIP, INDEX, places_in, write_index

NOT_IN_KEYS = re.compile(r"[./\s\\]+")  # WebDataset's key ends at the first dot; a tar has folders
LIMIT = 16  # broken clips that are named


def write_shards(data: Path, output: Path, size: int, count: int) -> None:
    """Writes every split of the data.  BatchFailed, after all else is done, if some clips could not be read."""
    splits = layout_of(data).read(data, size)
    problems: list[str] = []
    with tqdm(total=sum(map(len, splits.values())), unit="clip", disable=None) as bar:
        for split, clips in splits.items():
            shards = min(count, len(clips))
            for shard in range(shards):
                _write(output / f"{split}-{shard:06d}.tar", clips, range(shard, len(clips), shards), problems, bar)
    if problems:
        more = f"; and {len(problems) - LIMIT} more" if len(problems) > LIMIT else ""
        raise BatchFailed(f"{len(problems)} clips left out: " + "; ".join(problems[:LIMIT]) + more)


def _write(tar: Path, clips: Sequence[Footage], numbers: range, problems: list[str], bar: "tqdm[None]") -> None:
    if tar.exists():
        places_in(tar)  # refuses what is no shard
        bar.update(len(numbers))
        return
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
            raise NoData(f"{tar}: none of its clips can be read ({problems[-1]}); use fewer --shards, or mend them")
    write_index(tar, places_in(tar))


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
    check([("DATA", options.data)], [("--output", options.output / "train-000000.tar")])
    with locked(options.output / ".lock", options.output):
        write_shards(options.data, options.output, options.size, options.shards)


def main(args: Sequence[str] | None = None) -> int:
    options = parser().parse_args(args)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
