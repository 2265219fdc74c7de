"""What a checkpoint is asked to say, so that its figures can be held against another's: the same pairs every time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from core.errors import NoData
from dataset.folders import VIDEO_SUFFIXES, files, files_below
from dataset.source import Source, listed
from video import probe

Kind = Literal["own", "wrong", "speech"]
FULL = "full"
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus"})


@dataclass(frozen=True)
class Pair:
    """One result: `video` saying `sound`.

    kind     own: its own sound; wrong: another clip's of its split; speech: a recording of the folder of speech
    group    seen or test, whose videos are face crops framed like VoxCeleb2's, or full, whose are whole pictures
    speaker  who is seen: figures are means over clips, then over speakers
    seconds  that are edited and measured
    manner   whose manner of speaking a style system takes, where it may not be that of `video`, which says the very
             sound: another clip of the speaker; None: nobody's
    """

    name: str
    group: str
    speaker: str
    kind: Kind
    video: Path
    sound: Path
    seconds: Fraction
    manner: Path | None = None

    @property
    def tells(self) -> bool:
        """Whether the video itself shows what lips do at this sound."""
        return self.video == self.sound


def of_split(
    listing: Path, split: str, count: int, seconds: Fraction, speech: Sequence[Path], each: int
) -> list[Pair]:
    """The pairs of `count` clips of a split of a list (0: all): own and wrong sound, in `test` also `each` of speech.

    The clips go round the speakers, and evenly through each one's.  With their own sound they move in the manner of the
    speaker's next clip of the list.  Raises BadInput for a list that is none, or a split that has fewer than two clips.
    """
    known = listed(listing, Path(split))
    taken = _spread([source for source in known if source.target.parts[1] == split], count)
    if len(taken) < 2:
        raise NoData(f"{listing}: needs two clips of the split {split}, one to give the other its sound; list more")
    lengths = [min(probe(source.video).seconds, seconds) for source in taken]
    pairs = []
    for place, (source, length) in enumerate(zip(taken, lengths, strict=True)):
        sounds: list[tuple[Kind, Path]] = [("own", source.video), ("wrong", taken[_wrong(place, lengths)].video)]
        if split == "test":
            sounds += [("speech", path) for path in _cycled(speech, place * each, each)]
        manner = _other(source, known)
        pairs += [_pair(source.video, split, source.speaker, kind, sound, length, manner) for kind, sound in sounds]
    return pairs


def of_videos(folder: Path, count: int, seconds: Fraction, speech: Sequence[Path]) -> list[Pair]:
    """The first `count` videos below a folder (0: all), with their own sound, or speech where they have none.

    Such sound need not fit the lips: the figures say how the mouth looks, not what it says.  Each counts as a speaker.
    Raises BadInput if there is no video, or a silent one and no speech.
    """
    videos = [folder / name for name in sorted(files_below(folder, VIDEO_SUFFIXES))] if folder.is_dir() else []
    if not videos:
        raise NoData(f"--full {folder}: there is no video below it; check the path")
    pairs = []
    for place, video in enumerate(videos[: count or None]):
        info = probe(video)
        if not info.audio and not speech:
            raise NoData(f"{video}: has no sound; pass --speech with something that it can say")
        sound = video if info.audio else _cycled(speech, place, 1)[0]
        pairs.append(_pair(video, FULL, video.stem, "own", sound, min(info.seconds, seconds)))
    return pairs


def recordings(folder: Path | None) -> list[Path]:
    """The sounds in a folder by name; none of no folder.  Raises BadInput if it has none."""
    if folder is None:
        return []
    sounds = [folder / name for name in files(folder, SOUND_SUFFIXES)] if folder.is_dir() else []
    if not sounds:
        endings = ", ".join(sorted(SOUND_SUFFIXES))
        raise NoData(f"--speech {folder}: there is no sound in it; known endings: {endings}")
    return sounds


def _pair(
    video: Path, group: str, speaker: str, kind: Kind, sound: Path, seconds: Fraction, manner: Path | None = None
) -> Pair:
    says = "" if sound == video else f"_says_{sound.stem}"
    name = f"{group}/{speaker}.{video.stem}{says}_{kind}"
    return Pair(name, group, speaker, kind, video, sound, seconds, manner if sound == video else None)


def _other(source: Source, known: Sequence[Source]) -> Path | None:
    """The speaker's next clip, whatever its split."""
    place = known.index(source)
    following = (one for one in (*known[place + 1 :], *known[:place]) if one.speaker == source.speaker)
    return next((one.video for one in following), None)


def _spread(sources: Sequence[Source], count: int) -> list[Source]:
    """`count` of them, one of each speaker in turn, those of a speaker from all over the list; 0: all."""
    of_speaker: dict[str, list[Source]] = {}
    for source in sources:
        of_speaker.setdefault(source.speaker, []).append(source)
    rounds = zip_longest(*(_halving(of_speaker[speaker]) for speaker in sorted(of_speaker)))
    in_turn = [source for one in rounds for source in one if source is not None]
    return in_turn[: count or None]


def _halving(sources: Sequence[Source]) -> Iterator[Source]:
    """All of them, each as far from those before as it can be: by their numbers' bits read backwards."""
    bits = max(len(sources) - 1, 1).bit_length()
    for number in range(1 << bits):
        place = int(f"{number:0{bits}b}"[::-1], 2)
        if place < len(sources):
            yield sources[place]


def _wrong(place: int, lengths: Sequence[Fraction]) -> int:
    """The next clip that lasts as long as this one; else the longest of the others."""
    others = [(place + step) % len(lengths) for step in range(1, len(lengths))]
    return next((one for one in others if lengths[one] >= lengths[place]), max(others, key=lambda one: lengths[one]))


def _cycled(paths: Sequence[Path], first: int, count: int) -> list[Path]:
    return [paths[(first + k) % len(paths)] for k in range(count)] if paths else []
