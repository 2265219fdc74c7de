"""What data is worth, clip by clip: whether each can be used, how quickly they come, whether sound and lips agree.

Memory does not grow with the data: of every clip a `ClipCheck` remains until it is counted.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from audio import SILENCE, Mel
from core.errors import BadInput, NoData
from guided_diffusion.engine.loading import batches_of

from .footage import Footage
from .sampling import WindowConfig, Windows
from .sync_filter import Offset, Scorer

LEAST_SHARE = 0.75  # of the clips whose own sound must be surer than another clip's, or nothing is said of sync
LEAST_CLIPS = 5
HEARD = 125  # frames of a clip that are compared with its sound
SURE = 0.9  # share of the foreign sounds below whose confidence a clip's own offset is not believed
BATCH, FRAMES = 4, 5  # of the windows by which the loader is timed
NAMED = 8  # clips of a kind that are named


@dataclass(frozen=True)
class ClipCheck:
    """A clip that was opened: its face in the middle u8 [s, s, 3] RGB, and more; or what is wrong.

    short: has no room for a window of 5 frames and a reference, as most presets want them.
    """

    split: str
    speaker: str
    name: str
    seconds: float = 0.0
    fps: Fraction = Fraction(0)
    silent: bool = False
    short: bool = False
    face: NDArray[np.uint8] | None = None
    problem: str | None = None


class Everything(Sequence[tuple[str, Footage]]):
    """The clips of all splits in one row, each with its split."""

    def __init__(self, splits: Mapping[str, Sequence[Footage]]) -> None:
        self.splits = dict(splits)

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    def __getitem__(self, number: int) -> tuple[str, Footage]:  # type: ignore[override]
        for split, clips in self.splits.items():
            if number < len(clips):
                return split, clips[number]
            number -= len(clips)
        raise IndexError(number)

    def firsts(self) -> dict[str, int]:
        """The first clip of each speaker."""
        firsts: dict[str, int] = {}
        everybody = (clip.speaker for clips in self.splits.values() for clip in clips)
        for number, speaker in enumerate(everybody):
            firsts.setdefault(speaker, number)
        return firsts


class ClipChecks:
    """checks[k]: the `ClipCheck` at clip numbers[k]; picklable, for worker processes."""

    def __init__(self, clips: Everything, numbers: Sequence[int]) -> None:
        self.clips, self.numbers = clips, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> ClipCheck:
        split, clip = self.clips[self.numbers[place]]
        try:
            frames = len(clip)
            face = clip.pictures([frames // 2, frames - 1])[0]
            silent = not (clip.mel.columns > SILENCE).any()
            seconds, short = float(frames / clip.fps), frames <= FRAMES
            return ClipCheck(split, clip.speaker, clip.name, seconds, clip.fps, silent, short, face)
        except BadInput as problem:
            return ClipCheck(split, clip.speaker, clip.name, problem=str(problem))

    def all(self, workers: int) -> Iterator[ClipCheck]:
        """Each in turn, made here or by so many processes."""
        return batches_of(self, range(len(self)), workers)


@dataclass
class Named:
    """How many clips are of a kind, and what the first of them are called."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Counts one."""
        self.count += 1
        self.names += [name] if len(self.names) < NAMED else []

    def __str__(self) -> str:
        more = [f"{self.count - len(self.names):,} more"] if self.count > len(self.names) else []
        return f"{self.count:,}" + (f": {', '.join([*self.names, *more])}" if self.names else "")


@dataclass
class Tally:
    """What all checks together say.  By split: clips opened, and seconds of those that can be used."""

    opened: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    rates: Counter[Fraction] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    silent: Named = field(default_factory=Named)
    short: Named = field(default_factory=Named)
    broken: int = 0

    def add(self, checked: ClipCheck) -> None:
        """Counts one."""
        self.opened[checked.split] += 1
        self.broken += checked.problem is not None
        if checked.face is not None:
            self.seconds[checked.split] += checked.seconds
            self.rates[checked.fps] += 1
            self.sizes[len(checked.face)] += 1
            for kind, is_one in ((self.silent, checked.silent), (self.short, checked.short)):
                if is_one:
                    kind.add(checked.name)


def spread(numbers: Sequence[int], count: int) -> list[int]:
    """So many of them, evenly."""
    return [numbers[k] for k in sorted(set(np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int)))]


def shown(clips: Everything, count: int) -> list[int]:
    """Clips of as many speakers as there are, up to `count`; more of each if there are fewer speakers."""
    sampled = spread(list(clips.firsts().values()), count)
    rest = spread(range(len(clips)), count)
    return sorted([*sampled, *[number for number in rest if number not in sampled][: count - len(sampled)]])


def faces_per_second(clips: Sequence[Footage], workers: int, seconds: float) -> float:
    """How many come out of the loader, five frames and a reference of a clip at a time.  BadInput if none do."""
    drawn = batches_of(Windows(clips, WindowConfig(frames=FRAMES), batch=BATCH, seed=0), range(10**6), workers)
    for _ in range(1 + workers):
        next(drawn)
    begin, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < seconds or not count:
        next(drawn)
        count += BATCH * FRAMES
    return count / spent


@dataclass(frozen=True)
class Sync:
    """What an expert says of some clips: names, frames by which their sound is late, how sure it is of that.

    foreign: how sure it is of the same faces with the sound of another clip.
    """

    names: list[str]
    frames: NDArray[np.float64]
    confidence: NDArray[np.float64]
    foreign: NDArray[np.float64]

    @property
    def told(self) -> float:
        """Share of the clips whose own sound it is surer of than of another's; 0.5 by chance."""
        return float((self.confidence > self.foreign).mean())

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Whose own offset is to be believed: surer than nine of ten foreign sounds."""
        return np.asarray(self.confidence > np.quantile(self.foreign, SURE))


def sync_of(clips: Iterable[Footage], scorer: Scorer) -> Sync:
    """Of each clip the first seconds, with its sound and with that of the clip before it.

    Raises BadInput if too few can be compared, or the scorer does not tell a clip's own sound from another's.
    """
    names: list[str] = []
    own: list[Offset] = []
    foreign: list[float] = []
    first = before = None
    for name, faces, mel, fps in _heard(clips):
        names.append(name)
        own.append(scorer(faces, mel, fps))
        if before is not None:
            foreign.append(scorer(faces, before, fps).confidence)
        first, before = first or (faces, fps), mel
    if len(names) < LEAST_CLIPS or first is None or before is None:
        raise NoData(f"{len(names)} clips have frames and sound enough, {LEAST_CLIPS} are needed")
    foreign.insert(0, scorer(first[0], before, first[1]).confidence)
    frames, confidence = np.array([[one.frames, one.confidence] for one in own]).T
    sync = Sync(names, frames, confidence, np.array(foreign))
    if sync.told < LEAST_SHARE:
        raise BadInput(
            f"of {len(names)} clips the expert is surer of their own sound than of another's in {sync.told:.0%} only,"
            " where 50 % is chance"
        )
    return sync


def _heard(clips: Iterable[Footage]) -> Iterator[tuple[str, NDArray[np.uint8], Mel, Fraction]]:
    """What can be compared.  Clips that cannot be read were named before."""
    for clip in clips:
        try:
            faces, mel = clip.pictures(range(min(len(clip), HEARD))), clip.mel
        except BadInput:
            continue
        if len(faces) >= FRAMES and (mel.columns > SILENCE).any():
            yield clip.name, faces, mel, clip.fps
