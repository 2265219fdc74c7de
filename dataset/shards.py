"""Shards: prepared clips in tar files of some hundred MB, as WebDataset has them, for clusters whose disks hate files.

    SHARDS/train-000000.tar     ann__talk.npz     a prepared clip (prepared.py)
                                ann__talk.json    {"speaker": "ann", "name": "talk", "frames": 80}
    SHARDS/train-000000.json    where each clip lies in the tar, so that nobody has to read through it

The split is the tar's name.  A tar without its .json, as somebody else may have written it, is read through once.
Number k of the samples draws from shard k mod n of n: of 8 processes each opens an eighth of them, whichever process
makes a sample it is the same, and a run that goes on draws what it would have drawn.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np

from core.atomic import atomic
from core.errors import NoData, Unreadable, not_opened

from .prepared import KEPT, Contents, Entry, PreparedClip, contents_of, readable
from .splits import SPLITS

NAME = re.compile(rf"({'|'.join(SPLITS)})-(\d+)\.tar")
INDEX = ".json"
CLIP = ".npz"
FIELDS = ("start", "length", "speaker", "name", "frames")


@dataclass(frozen=True)
class Place:
    """Where a clip lies in a tar, in bytes, and what is known of it before it is read."""

    start: int
    length: int
    speaker: str
    name: str
    frames: int


@dataclass(frozen=True)
class ShardClip(PreparedClip):
    """A prepared clip in a tar.  entry.path: the tar and the member, for messages."""

    tar: Path
    place: Place

    @property
    def name(self) -> str:
        return self.place.name

    @cached_property
    def amount(self) -> int:
        return self.place.frames

    def contents(self) -> Contents:
        return _contents(self.tar, self.place.start, self.place.length, self.entry.path)


class ShardClips(Sequence[ShardClip]):
    """The clips of some tars.  shards: for each tar, the numbers of its clips."""

    def __init__(self, tars: Sequence[Path], size: int) -> None:
        self.tars, self.size = tars, size
        places = [places_in(tar) for tar in tars]
        ends = np.cumsum([len(clips) for clips in places]).tolist()
        self.shards = [range(end - len(clips), end) for end, clips in zip(ends, places, strict=True)]
        self._places = [(number, place) for number, clips in enumerate(places) for place in clips]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> ShardClip: ...
    @overload
    def __getitem__(self, place: slice) -> list[ShardClip]: ...
    def __getitem__(self, place: int | slice) -> ShardClip | list[ShardClip]:
        if isinstance(place, slice):
            return [self._clip(*location) for location in self._places[place]]
        return self._clip(*self._places[place])

    def __iter__(self) -> Iterator[ShardClip]:
        return (self._clip(*location) for location in self._places)

    def _clip(self, number: int, place: Place) -> ShardClip:
        tar = self.tars[number]
        return ShardClip(Entry(tar / f"{place.name}{CLIP}", place.speaker), self.size, tar, place)


def has_shards(folder: Path) -> bool:
    """Whether tars of any split lie in this folder."""
    return bool(_tars(folder))


def sharded(folder: Path, size: int) -> dict[str, ShardClips]:
    """The clips of each split, in a fixed order.  BadInput if a tar holds none, or the first clip is of another size.
    """
    tars = _tars(folder)
    splits = {split: [tar for tar in tars if tar.name.startswith(f"{split}-")] for split in SPLITS}
    clips = {split: ShardClips(own, size) for split, own in splits.items() if own}
    for own in clips.values():
        own[0].pictures([0])
    return clips


def places_in(tar: Path) -> list[Place]:
    """Where the clips of a tar lie: by its index, or by reading through it if it has none, or one of another tar.

    BadInput if it is no tar, or holds no clip.
    """
    size = tar.stat().st_size
    index = tar.with_suffix(INDEX)
    if index.is_file():
        try:
            known = json.loads(index.read_bytes())
            if known["bytes"] == size and known["clips"]:
                return [_place(row) for row in known["clips"]]
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            raise Unreadable(f"{index}: not the index of a shard ({problem}); delete it, the tar will do") from problem
    places = _read_through(tar)
    if not places:
        raise NoData(f"{tar}: holds no clips; write shards with python -m dataset.write_shards, or take it away")
    return places


def write_index(tar: Path, places: Sequence[Place]) -> None:
    """The index of a tar that is complete."""
    rows = [[getattr(place, field) for field in FIELDS] for place in places]
    with atomic(tar.with_suffix(INDEX)) as temporary:
        temporary.write_text(json.dumps({"bytes": tar.stat().st_size, "clips": rows}), "ascii")


def _place(row: Sequence[Any]) -> Place:
    start, length, speaker, name, frames = row
    return Place(int(start), int(length), str(speaker), str(name), int(frames))


def _read_through(tar: Path) -> list[Place]:
    try:
        with tarfile.open(tar, "r:") as file:
            members = {member.name: member for member in file if member.isfile()}
            indices = {name: file.extractfile(member) for name, member in members.items() if name.endswith(INDEX)}
            says = {name: json.loads(opened.read()) for name, opened in indices.items() if opened is not None}
    except (tarfile.TarError, OSError, ValueError, RecursionError) as problem:
        wrong = Unreadable(f"{tar}: not a readable shard ({problem}); write it again, or take it away")
        raise not_opened(f"{tar}", problem) or wrong from problem
    places = []
    for name, member in members.items():
        if name.endswith(CLIP):
            key = name.removesuffix(CLIP)
            known = _known(says.get(key + INDEX), f"{tar}, {key}{INDEX}")
            known = {"speaker": key, "name": key} | known
            frames = known.get("frames") or _frames(tar, member)
            speaker, clip = str(known["speaker"]), str(known["name"])
            places.append(Place(member.offset_data, member.size, speaker, clip, int(frames)))
    return places


def _known(told: object, where: str) -> dict[str, Any]:
    if told is not None and not isinstance(told, dict):
        raise Unreadable(f"{where}: is no object that names the speaker; write the shard again")
    return told or {}


def _frames(tar: Path, member: tarfile.TarInfo) -> int:
    name = tar / member.name
    return len(_contents(tar, member.offset_data, member.size, name).ends)


@lru_cache(maxsize=KEPT)
def _contents(tar: Path, start: int, length: int, where: Path) -> Contents:
    with readable(where), tar.open("rb") as file:
        file.seek(start)
        return contents_of(io.BytesIO(file.read(length)))


def _tars(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.tar") if NAME.fullmatch(path.name)) if folder.is_dir() else []

