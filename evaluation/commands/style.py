"""Does a style reference help?  Error of predicted lip motion with one's own, another speaker's and no reference."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core.atomic import atomic
from core.errors import NoData
from systems import registry
from systems.metrics import correlation
from systems.stage1 import LEAST
from systems.style import LipMotion
from systems.style.labels import LabelledClip
from systems.style.motion import FPS
from systems.style.sequences import GAP

from ..report import plots
from ..report.files import write_json
from ..report.results import over_speakers
from ..report.tables import markdown, shown
from ..stage1 import LabelledClips, by_speaker

OTHERS = 5   # other speakers whose references are tried for each clip
NEAREST = 0.1  # share of a reference that counts as sounding alike
FIGURES = ("position", "movement", "opening r")


@torch.inference_mode()
def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Prints the tables.  Raises BadInput if there is nothing to measure, or one speaker alone."""
    model = registry.load_motion(options.model_path)
    assert isinstance(model, LipMotion)
    cases = list(Cases(model, options.data, options.reference, options.clips))
    if not cases:
        raise NoData(f"{options.data}: no held-out clips with landmarks; find them with scripts/fit_motion.py")
    measure = Measure(model, cases)
    rows = [(case.group, case.speaker, measure.of(number)) for number, case in enumerate(cases)]
    attention = [measure.attention(number) for number in range(len(cases))]
    for group in [name for name in ("seen", "unseen") if any(row[0] == name for row in rows)]:
        print(tables(rows, group))
        attended = [(c.group, c.speaker, {"": looked}) for c, (_, looked) in zip(cases, attention, strict=True)]
        for name in attention[0][1]:
            print(f"\nattention, {name}: {summary(attended, group, lambda f, n=name: f[''][n])}")  # type: ignore[misc]
    if options.output is not None:
        write_json(options.output, [{"group": g, "speaker": s, "figures": f} for g, s, f in rows])
    if options.picture is not None:
        example = max(range(len(cases)), key=lambda k: (cases[k].group == "unseen", len(cases[k].target.sound)))
        case = cases[example]
        with atomic(options.picture) as temporary:
            plots.attention(temporary, attention[example][0].numpy(), _mel(case.reference), _mel(case.target))


def _mel(stretch: "Stretch") -> np.ndarray:
    """What is heard in the middle of each frame's window.  f32 [80, t]"""
    return stretch.sound[:, :, stretch.sound.shape[2] // 2].T.numpy()


@dataclass(frozen=True)
class Stretch:
    """25 frames a second of somebody speaking: sound [n, 80, 16], as the model hears it [n, h]; motion [n, d] as it is
    read, and as the landmarks have it."""

    sound: Tensor
    heard: Tensor
    read: Tensor
    real: Tensor

    def cut(self, first: int, last: int) -> "Stretch":
        return Stretch(*(value[first:last] for value in self._values()))

    def _values(self) -> tuple[Tensor, ...]:
        return self.sound, self.heard, self.read, self.real

    @classmethod
    def joined(cls, parts: Sequence["Stretch"]) -> "Stretch":
        return cls(*map(torch.cat, zip(*(part._values() for part in parts), strict=True)))


@dataclass(frozen=True)
class StyleCase:
    """What is to be predicted, who speaks, and the speaker's reference."""

    group: str
    speaker: str
    target: Stretch
    reference: Stretch


class Cases:
    """Finds what is to be measured."""

    def __init__(self, model: LipMotion, data: Path, most: int, clips: int) -> None:
        """most: frames of a reference; clips: of a speaker."""
        self.most, self.clips, self.labelled = most, clips, LabelledClips(model, data)

    def __iter__(self) -> Iterator[StyleCase]:
        """All of both groups, in a fixed order."""
        trained = by_speaker(self.labelled.splits["train"])
        for group, split in (("seen", "seen"), ("unseen", "test")):
            speakers = by_speaker(self.labelled.splits.get(split, []))
            for speaker, own in tqdm(speakers.items(), desc=group, unit="speaker", disable=None):
                for clip in _spread(own, self.clips):
                    rest = trained[speaker] if group == "seen" else [other for other in own if other is not clip]
                    case = self._case(group, clip, rest)
                    if len(case.target.sound) >= LEAST and len(case.reference.sound) >= LEAST:
                        yield case

    def _case(self, group: str, clip: LabelledClip, rest: Sequence[LabelledClip]) -> StyleCase:
        if rest:
            return StyleCase(group, clip.speaker, self._stretch(clip), self._reference(rest))
        half = len(clip) // 2
        whole = self._stretch(clip)
        return StyleCase(group, clip.speaker, whole.cut(half + GAP, len(clip)), whole.cut(0, min(half, self.most)))

    def _reference(self, clips: Sequence[LabelledClip]) -> Stretch:
        """Clips spread over all of them, end to end."""
        mean = sum(map(len, clips)) / len(clips)
        parts = [self._stretch(clip) for clip in _spread(clips, max(1, round(self.most / mean)))]
        return Stretch.joined(parts).cut(0, self.most)

    def _stretch(self, known: LabelledClip) -> Stretch:
        last = min(len(known.moves), 2 * self.most + GAP)
        sound = torch.from_numpy(known.sound.mel.windows(0, last, FPS))
        features, read = self.labelled.heard(known)[:last], self.labelled.read(known, last)
        return Stretch(sound, features, read, known.moves[:last])


def _spread(clips: Sequence[LabelledClip], most: int) -> list[LabelledClip]:
    indices = np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(int))
    return [clips[number] for number in indices]


Style = tuple[Tensor, Tensor]  # what is heard [r, h] and the motion [r, d] of a reference


class Measure:
    """What is predicted for cases under every condition, and how far it is from the truth."""

    def __init__(self, model: LipMotion, found: Sequence[StyleCase]) -> None:
        self.model, self.found = model, found
        self.styles = [(case.reference.heard, case.reference.read) for case in found]
        self.speakers = {
            group: sorted({case.speaker for case in found if case.group == group}) for group in ("seen", "unseen")
        }
        for group, names in self.speakers.items():
            if len(names) == 1:
                raise NoData(f"{group}: {names[0]} is the only speaker there; another's style needs another speaker")

    def of(self, number: int) -> dict[str, dict[str, float]]:
        """condition -> figure -> value, of one case."""
        rng = np.random.default_rng(number)
        own, case = self.styles[number], self.found[number]
        features = case.target.heard
        neutral, frames = own[1].mean(dim=0), len(own[1])
        others = [self.styles[k] for k in self._others(case, rng)]
        shuffled = [(own[0], own[1][rng.permutation(frames)]) for _ in range(OTHERS)]
        moved = [(own[0], own[1].roll(int(shift), 0)) for shift in np.linspace(0, frames, OTHERS + 2)[1:-1]]

        def styled(style: Style, at: Tensor) -> Tensor:
            return at + self._movement(features, style)[0]

        predicted = {
            "own": [styled(own, neutral)],
            "another's": [styled(other, other[1].mean(dim=0)) for other in others],
            "none": [self._nobody(features)],
            "another's manner, own rest": [styled(other, neutral) for other in others],
            "no manner, own rest": [neutral + self._nobody(features)],
            "no movement, own rest": [neutral.expand(len(features), -1)],
            "own, motion shuffled": [styled(style, neutral) for style in shuffled],
            "own, motion shifted": [styled(style, neutral) for style in moved],
        }
        real = case.target.real
        return {name: _mean([self._figures(one, real) for one in motions]) for name, motions in predicted.items()}

    def attention(self, number: int) -> tuple[Tensor, dict[str, float]]:
        """Who looks where [t, r]; and whether that sounds alike: the mean difference of the mels over that of all
        frames, and the share of the attention on the tenth of the reference that sounds most alike."""
        case = self.found[number]
        weights = self._movement(case.target.heard, self.styles[number])[1]
        apart = torch.cdist(case.target.sound.flatten(1), case.reference.sound.flatten(1), p=1)
        nearest = apart <= apart.quantile(NEAREST, dim=1, keepdim=True)
        return weights, {
            "difference of mels": float((weights * apart).sum(dim=1).mean() / apart.mean()),
            "share on the nearest tenth": float((weights * nearest).sum(dim=1).mean()),
        }

    def _others(self, case: StyleCase, rng: np.random.Generator) -> list[int]:
        """A reference each of some other speakers of the same group."""
        names = [name for name in self.speakers[case.group] if name != case.speaker]
        drawn = rng.permutation(names)[:OTHERS]
        return [next(k for k, other in enumerate(self.found) if other.speaker == name) for name in drawn]

    def _movement(self, heard: Tensor, style: Style) -> tuple[Tensor, Tensor]:
        movement = (style[1] - style[1].mean(dim=0))[None]
        mask = torch.ones(movement.shape[:2], dtype=torch.bool)
        predicted = self.model.predictor.movement(heard[None], style[0][None], movement, mask)
        return predicted.movement[0], predicted.attention[0]

    def _nobody(self, heard: Tensor) -> Tensor:
        blank = heard.new_zeros(1, 0, self.model.space.numbers)
        return self.model.predictor.movement(heard[None], heard[None, :0], blank, blank[..., 0].bool()).movement[0]

    def _figures(self, predicted: Tensor, real: Tensor) -> dict[str, float]:
        space = self.model.space
        centred = [motion - motion.mean(dim=0) for motion in (predicted, real)]
        return {
            "position": 100 * float(space.distance(predicted, real).mean()),
            "movement": 100 * float(space.distance(*centred).mean()),
            "opening r": correlation(space.opening(predicted), space.opening(real)) or 0.0,
        }


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([value[name] for value in values])) for name in values[0]}


Row = tuple[str, str, Mapping[str, Mapping[str, float]]]  # group, speaker, condition -> figure -> value
Value = Callable[[Mapping[str, Mapping[str, float]]], float]


def summary(rows: Sequence[Row], group: str, value: Value) -> str:
    """Mean over speakers [interval]."""
    values = ((speaker, value(figures)) for row_group, speaker, figures in rows if row_group == group)
    return shown(over_speakers(values), 3)


def tables(rows: Sequence[Row], group: str) -> str:
    """Markdown: every condition's figures, and what they are worse by than the own reference's."""
    of_group = [row for row in rows if row[0] == group]

    def table(title: str, names: Sequence[str], value: Callable[[str, str], Value]) -> str:
        cells = [[name, *(summary(rows, group, value(name, kind)) for kind in FIGURES)] for name in names]
        return markdown([title, *FIGURES], cells)

    names = list(of_group[0][2])
    return "\n".join([
        f"\n{group} speakers: {len({speaker for _, speaker, _ in of_group})}, {len(of_group)} clips\n",
        table("reference", names, lambda name, kind: lambda figures: figures[name][kind]),
        "",
        table("minus own", names[1:], lambda name, kind: lambda figures: figures[name][kind] - figures["own"][kind]),
    ])  # fmt: skip
