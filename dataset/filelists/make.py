"""Test lists of one's own: which videos shall say which sound.

    python -m dataset.filelists.make reconstruction --root DATA --output list.txt [--videos 5000]
    python -m dataset.filelists.make cross --root DATA --output list.txt --videos 71
    python -m dataset.filelists.make cross --root DATA --output list.txt --pairs 5000
    python -m dataset.filelists.make original --root DATA --output lrw_cross.txt

reconstruction   every video with its own sound
cross            with another's: every ordered pair of --videos videos, as the original's list of 71 has it, or --pairs
                 different pairs drawn from all of them.  Sound and video are of two speakers wherever a folder says who
                 speaks (SPEAKER/VIDEO/CLIP)
original         in place of one of the original's, by its name: as many pairs, or as there are, seed 797

Of VoxCeleb2 and LRW as published, the test clips alone count.

What is drawn depends on --seed and the names in the folder alone.
"""

import argparse
import random
import re
import sys
from collections import Counter
from itertools import permutations
from pathlib import Path, PurePosixPath

from core.errors import BadValue, NoData, NotFound, Unwritable
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code
from dataset.filelist import Pair, write_filelist
from dataset.folders import VIDEO_SUFFIXES, files_below

TRAINED_ON = (r"(?:.*/)?dev/mp4/.*", r"(?:.*/)?([A-Z]+)/(?:train|val)/\1_[0-9]+")
"""What nobody tests on: VoxCeleb2's dev, LRW's train and val."""
UNLISTED = re.compile(r"[\t\r\n\ud800-\udfff]")
"""What a name cannot have in it to stand in a list: see dataset/filelist.py.  Halves of characters are bytes of a name
that is no UTF-8."""
ORIGINALS = {
    "voxceleb2_test_n_5000_seed_797_cross": ("cross", 5000),
    "voxceleb2_test_n_5000_reconstruction": ("reconstruction", 5000),
    "voxceleb2_test_n_500_seed_797_cross": ("cross", 500),
    "voxceleb2_test_n_500_reconstruction": ("reconstruction", 500),
    "lrw_cross": ("cross", 28_000),
    "lrw_reconstruction": ("reconstruction", 25_000),
}
"""What the original's lists are called, what they are of, and about how many pairs they have."""
SEED = 797


def names(root: Path) -> list[str]:
    """The videos below a folder, without their endings, in a fixed order; of VoxCeleb2 and LRW those of test alone.

    Raises BadInput if there is none, or a list cannot hold the name of one.
    """
    if not root.is_dir():
        raise NotFound(f"--root {root}: no such folder; check the path of the data")
    stems = sorted({str(PurePosixPath(name).with_suffix("")) for name in files_below(root, VIDEO_SUFFIXES)})
    if not stems:
        raise NoData(f"--root {root}: no video below it; choose the folder that holds the data")
    if unlisted := next(filter(UNLISTED.search, stems), None):
        raise Unwritable(
            f"--root {root}: no list can hold {unlisted!r}, with a TAB, the end of a line, or no UTF-8 in it; rename it"
        )
    for rest in TRAINED_ON:
        if any(re.fullmatch(rest, name) for name in stems):
            left = [name for name in stems if not re.fullmatch(rest, name)]
            if not left:
                raise NoData(f"--root {root}: only clips to train on are below it; add those of test")
            return left
    return stems


def reconstruction(videos: list[str]) -> list[Pair]:
    """Every video with its own sound."""
    return [Pair(name, name) for name in videos]


def every_pair(videos: list[str]) -> list[Pair]:
    """Every ordered pair of two different videos: n (n - 1)."""
    return [Pair(sound, video) for sound, video in permutations(videos, 2)]


def drawn_pairs(videos: list[str], count: int, seed: int, *, fewer: bool = False) -> list[Pair]:
    """Different pairs of two videos of two speakers.  Raises BadInput if there are too few, or if fewer will do, none.
    """
    rng = random.Random(seed)
    speakers = Counter(who for who in map(speaker, videos) if who is not None)
    possible = len(videos) * (len(videos) - 1) - sum(own * (own - 1) for own in speakers.values())
    if possible < (1 if fewer else count):
        remedy = "ask for fewer" if possible else "add videos of another speaker"
        raise BadValue(f"--pairs {count}: there are only {possible} pairs of different speakers; {remedy}")
    if possible <= count:  # all of them: drawing the last ones would take for ever
        every = [pair for pair in every_pair(videos) if _of_two(pair.sound, pair.video)]
        return rng.sample(every, len(every))
    pairs: dict[Pair, None] = {}
    while len(pairs) < count:
        sound, video = rng.choice(videos), rng.choice(videos)
        if sound != video and _of_two(sound, video):
            pairs[Pair(sound, video)] = None
    return list(pairs)


def _of_two(sound: str, video: str) -> bool:
    return speaker(sound) is None or speaker(sound) != speaker(video)


def like_original(name: str, root: Path) -> tuple[list[Pair], int]:
    """The pairs of a list in place of the original's of this name, as many if there are, and how many it has.

    Raises BadInput if none of the original's is called so, or the folder has no pair.
    """
    kind, count = next((what for start, what in ORIGINALS.items() if name.startswith(start)), ("", 0))
    if kind == "cross":
        return drawn_pairs(names(root), count, SEED, fewer=True), count
    if kind == "reconstruction":
        return reconstruction(chosen(names(root), count, SEED, fewer=True)), count
    raise BadValue(f"{name}: no list of the original is called so; there are {', '.join(ORIGINALS)}")


def chosen(videos: list[str], count: int | None, seed: int, *, fewer: bool = False) -> list[str]:
    """`count` of the videos, drawn, in their order; all if None.  Raises BadInput if there are fewer, unless they do.
    """
    if count is None or (fewer and count > len(videos)):
        return videos
    if not 1 <= count <= len(videos):
        raise BadValue(f"--videos {count}: there are {len(videos)} videos; ask for 1 to so many")
    return sorted(random.Random(seed).sample(videos, count))


def speaker(name: str) -> str | None:
    """Who is seen in SPEAKER/VIDEO/CLIP; None if the path does not say."""
    parts = name.split("/")
    return "/".join(parts[:-2]) if len(parts) > 2 else None


def pairs(options: argparse.Namespace) -> list[Pair]:
    """What the command line asks for."""
    if options.kind == "original":
        drawn, options.pairs = like_original(options.output.name, options.root)
        options.fewer = True
        return drawn
    stems = names(options.root)
    if options.kind == "cross" and options.pairs is not None:
        some = chosen(stems, options.videos, options.seed, fewer=options.fewer)
        return drawn_pairs(some, options.pairs, options.seed, fewer=options.fewer)
    if options.kind == "cross" and options.videos is None:
        raise BadValue(f"--root {options.root}: has {len(stems)} videos; say how many with --videos or --pairs")
    if options.kind == "cross" and options.videos == 1:
        raise BadValue("--videos 1: one video has no other to take its sound from; ask for 2 or more")
    if options.kind == "cross":
        return every_pair(chosen(stems, options.videos, options.seed))
    return reconstruction(chosen(stems, options.videos, options.seed, fewer=options.fewer))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("kind", choices=("reconstruction", "cross", "original"))
    parser.add_argument("--root", type=reads, required=True, metavar="DATA", help="folder that the names are below of")
    parser.add_argument("--output", type=writes, required=True, metavar="LIST")
    parser.add_argument("--videos", type=int, help="how many videos to draw (default: all)")
    parser.add_argument("--pairs", type=int, help="cross: how many pairs to draw (default: all)")
    parser.add_argument("--fewer", action="store_true", help="where there are not so many, take as many as there are")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    videos = files_below(options.root, VIDEO_SUFFIXES) if options.root.is_dir() else []
    guard(parser, options, inputs=[("the video", options.root / name) for name in videos])
    drawn = pairs(options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    count = write_filelist(options.output, drawn)
    wanted = options.videos if options.pairs is None else options.pairs
    fewer = options.fewer and wanted is not None and count < wanted
    less = f", not {wanted}: {options.root} has no more" if fewer else ""
    sys.stderr.write(f"{options.output}: {count} pairs{less}\n")


if __name__ == "__main__":
    sys.exit(exit_code(main))
