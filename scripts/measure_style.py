"""Does a style reference help?  Error of predicted lip motion with one's own, another speaker's and no reference.

    python scripts/measure_style.py --data PREPARED --model_path FILE|FOLDER [--output figures.json] [--picture a.png]

PREPARED has landmarks from scripts/fit_motion.py; they are the truth, while references are read by the model's reader,
as in generation.  seen: clips of the split `seen`; the reference is of the same speakers' clips in `train`.  unseen:
clips of `test`; the reference is the speaker's other clips end to end, or the first half of an only clip, whose second
half is then predicted.  References have at most --reference frames, a speaker at most --clips clips.
Figures are means per speaker, then over speakers, with 95 % bootstrap intervals over speakers:
    position  distance of the points from the real ones, per cent of the distance between the eyes
    movement  the same, each clip's mean taken out of both
    opening r correlation of predicted and real opening of the mouth within a clip
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.atomic import atomic
from core.errors import BadInput
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code
from dataset import PackClip, to_network
from evaluation.bootstrap import interval
from systems import registry
from systems.style import LipMotion, labelled
from systems.style.labels import LabelledClip
from systems.style.motion import FPS, LEAST
from systems.style.motion_progress import hearing
from systems.style.sequences import GAP

OTHERS = 5   # other speakers whose references are tried for each clip
NEAREST = 0.1  # share of a reference that counts as sounding alike
FIGURES = ("position", "movement", "opening r")
CELL = 5     # pixels of a frame in the picture


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
class Case:
    """What is to be predicted, who speaks, and the speaker's reference."""

    group: str
    speaker: str
    target: Stretch
    reference: Stretch


class Cases:
    """Finds what is to be measured; no clip is heard or read twice."""

    def __init__(self, model: LipMotion, data: Path, most: int, clips: int) -> None:
        """most: frames of a reference; clips: of a speaker."""
        self.model, self.most, self.clips = model, most, clips
        self.splits = labelled(data, model.size, model.space)
        self.hear = hearing(model, torch.float32)
        self._known: dict[Path, Stretch] = {}

    def __iter__(self) -> Iterator[Case]:
        """All of both groups, in a fixed order."""
        trained = _by_speaker(self.splits["train"])
        for group, split in (("seen", "seen"), ("unseen", "test")):
            speakers = _by_speaker(self.splits.get(split, []))
            for speaker, own in tqdm(speakers.items(), desc=group, unit="speaker", disable=None):
                for clip in _spread(own, self.clips):
                    rest = trained[speaker] if group == "seen" else [other for other in own if other is not clip]
                    case = self._case(group, clip, rest)
                    if len(case.target.sound) >= LEAST and len(case.reference.sound) >= LEAST:
                        yield case

    def _case(self, group: str, clip: LabelledClip, rest: Sequence[LabelledClip]) -> Case:
        if rest:
            return Case(group, clip.speaker, self._stretch(clip), self._reference(rest))
        half = len(clip) // 2
        whole = self._stretch(clip)
        return Case(group, clip.speaker, whole.cut(half + GAP, len(clip)), whole.cut(0, min(half, self.most)))

    def _reference(self, clips: Sequence[LabelledClip]) -> Stretch:
        """Clips spread over all of them, end to end."""
        mean = sum(map(len, clips)) / len(clips)
        parts = [self._stretch(clip) for clip in _spread(clips, max(1, round(self.most / mean)))]
        return Stretch.joined(parts).cut(0, self.most)

    def _stretch(self, known: LabelledClip) -> Stretch:
        path = known.clip.path if isinstance(known.clip, PackClip) else known.clip.entry.path
        if path not in self._known:
            last = min(len(known.moves), 2 * self.most + GAP)
            sound = torch.from_numpy(known.sound.mel.windows(0, last, FPS))
            read = self.model.read(to_network(known.clip.pictures(known.sources[:last])))
            self._known[path] = Stretch(sound, self.hear(known)[:last], read, known.moves[:last])
        return self._known[path]


def _by_speaker(clips: Sequence[LabelledClip]) -> dict[str, list[LabelledClip]]:
    found = defaultdict(list)
    for clip in clips:
        found[clip.speaker].append(clip)
    return found


def _spread(clips: Sequence[LabelledClip], most: int) -> list[LabelledClip]:
    kept = np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(int))
    return [clips[number] for number in kept]


Style = tuple[Tensor, Tensor]  # what is heard [r, h] and the motion [r, d] of a reference


class Measure:
    """What is predicted for cases under every condition, and how far it is from the truth."""

    def __init__(self, model: LipMotion, found: Sequence[Case]) -> None:
        self.model, self.found = model, found
        self.styles = [(case.reference.heard, case.reference.read) for case in found]
        self.speakers = {
            group: sorted({case.speaker for case in found if case.group == group}) for group in ("seen", "unseen")
        }
        for group, names in self.speakers.items():
            if len(names) == 1:
                raise BadInput(f"{group}: {names[0]} is the only speaker there; another's style needs another speaker")

    def of(self, number: int) -> dict[str, dict[str, float]]:
        """condition -> figure -> value, of one case."""
        rng = np.random.default_rng(number)
        own, case = self.styles[number], self.found[number]
        heard = case.target.heard
        rest, frames = own[1].mean(dim=0), len(own[1])
        others = [self.styles[k] for k in self._others(case, rng)]
        shuffled = [(own[0], own[1][rng.permutation(frames)]) for _ in range(OTHERS)]
        moved = [(own[0], own[1].roll(int(shift), 0)) for shift in np.linspace(0, frames, OTHERS + 2)[1:-1]]

        def styled(style: Style, at: Tensor) -> Tensor:
            return at + self._movement(heard, style)[0]

        predicted = {
            "own": [styled(own, rest)],
            "another's": [styled(other, other[1].mean(dim=0)) for other in others],
            "none": [self._nobody(heard)],
            "another's manner, own rest": [styled(other, rest) for other in others],
            "no manner, own rest": [rest + self._nobody(heard)],
            "no movement, own rest": [rest.expand(len(heard), -1)],
            "own, motion shuffled": [styled(style, rest) for style in shuffled],
            "own, motion shifted": [styled(style, rest) for style in moved],
        }
        return {name: _mean([self._figures(one, case.target.real) for one in made]) for name, made in predicted.items()}

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

    def _others(self, case: Case, rng: np.random.Generator) -> list[int]:
        """A reference each of some other speakers of the same group."""
        names = [name for name in self.speakers[case.group] if name != case.speaker]
        chosen = rng.permutation(names)[:OTHERS]
        return [next(k for k, other in enumerate(self.found) if other.speaker == name) for name in chosen]

    def _movement(self, heard: Tensor, style: Style) -> tuple[Tensor, Tensor]:
        movement = (style[1] - style[1].mean(dim=0))[None]
        mask = torch.ones(movement.shape[:2], dtype=torch.bool)
        made, weights = self.model.predictor.movement(heard[None], style[0][None], movement, mask)
        return made[0], weights[0]

    def _nobody(self, heard: Tensor) -> Tensor:
        blank = heard.new_zeros(1, 0, self.model.space.numbers)
        made, _ = self.model.predictor.movement(heard[None], heard[None, :0], blank, blank[..., 0].bool())
        return made[0]

    def _figures(self, predicted: Tensor, real: Tensor) -> dict[str, float]:
        space = self.model.space
        centred = [motion - motion.mean(dim=0) for motion in (predicted, real)]
        openings = np.stack([space.opening(motion).numpy() for motion in (predicted, real)])
        steady = (openings.std(axis=1) < 1e-6).any()
        return {
            "position": 100 * float(space.distance(predicted, real).mean()),
            "movement": 100 * float(space.distance(*centred).mean()),
            "opening r": 0.0 if steady else float(np.corrcoef(openings)[0, 1]),
        }


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([value[name] for value in values])) for name in values[0]}


Row = tuple[str, str, dict[str, dict[str, float]]]  # group, speaker, condition -> figure -> value


def summary(rows: Sequence[Row], group: str, value: Callable[[dict[str, dict[str, float]]], float]) -> str:
    """Mean over speakers [interval]."""
    by_speaker = defaultdict(list)
    for where, speaker, figures in rows:
        if where == group:
            by_speaker[speaker].append(value(figures))
    means = [float(np.mean(values)) for values in by_speaker.values()]
    bounds = interval(means)
    text = f"{np.mean(means):.3f}"
    return text if bounds is None else f"{text} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def tables(rows: Sequence[Row], group: str) -> Iterator[str]:
    """Markdown: every condition's figures, and what they are worse by than the own reference's."""
    chosen = [row for row in rows if row[0] == group]
    speakers = len({speaker for _, speaker, _ in chosen})
    yield f"\n{group} speakers: {speakers}, {len(chosen)} clips\n"
    yield f"| reference | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}"
    for name in chosen[0][2]:
        cells = [summary(rows, group, lambda f, n=name, k=kind: f[n][k]) for kind in FIGURES]  # type: ignore[misc]
        yield f"| {name} | {' | '.join(cells)} |"
    yield f"\n| minus own | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}"
    for name in list(chosen[0][2])[1:]:
        cells = [
            summary(rows, group, lambda f, n=name, k=kind: f[n][k] - f["own"][k])  # type: ignore[misc]
            for kind in FIGURES
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def picture(case: Case, weights: Tensor) -> NDArray[np.uint8]:
    """The attention, bright where it is; the reference's mel above, the input's on the left, low bands outside."""

    def mel(sound: Tensor) -> NDArray[np.uint8]:
        middle = sound[:, :, sound.shape[2] // 2].T.numpy()             # [80, t]
        return np.asarray((middle[::-1] + 4) / 8 * 255, np.uint8)

    share = (weights / weights.quantile(0.995)).clamp(max=1).numpy() ** 0.5
    heat = cv2.applyColorMap(np.asarray(share * 255, np.uint8), cv2.COLORMAP_INFERNO)
    top = cv2.cvtColor(mel(case.reference.sound), cv2.COLOR_GRAY2BGR)
    left = cv2.cvtColor(mel(case.target.sound).T[:, ::-1].copy(), cv2.COLOR_GRAY2BGR)
    height, width = (CELL * side for side in weights.shape)
    sheet = np.full((height + 90, width + 90, 3), 255, np.uint8)
    sheet[90:, 90:] = cv2.resize(heat, (width, height), interpolation=cv2.INTER_NEAREST)
    sheet[:80, 90:] = cv2.resize(top, (width, 80), interpolation=cv2.INTER_NEAREST)
    sheet[90:, :80] = cv2.resize(left, (80, height), interpolation=cv2.INTER_NEAREST)
    return sheet


def run(options: argparse.Namespace) -> None:
    model = registry.load_motion(options.model_path)
    with torch.inference_mode():
        found = list(Cases(model, options.data, options.reference, options.clips))
        if not found:
            raise BadInput(f"{options.data}: no held-out clips with landmarks; find them with scripts/fit_motion.py")
        measure = Measure(model, found)
        rows = [(case.group, case.speaker, measure.of(number)) for number, case in enumerate(found)]
        looks = [measure.attention(number) for number in range(len(found))]
    for group in [name for name in ("seen", "unseen") if any(row[0] == name for row in rows)]:
        print("\n".join(tables(rows, group)))
        pairs = zip(found, looks, strict=True)
        attended: list[Row] = [(case.group, case.speaker, {"": look[1]}) for case, look in pairs]
        for name in looks[0][1]:
            print(f"\nattention, {name}: {summary(attended, group, lambda f, n=name: f[''][n])}")  # type: ignore[misc]
    if options.output is not None:
        with atomic(options.output) as temporary:
            temporary.write_text(json.dumps([{"group": g, "speaker": s, "figures": f} for g, s, f in rows], indent=1))
    if options.picture is not None:
        chosen = max(range(len(found)), key=lambda k: (found[k].group == "unseen", len(found[k].target.sound)))
        with atomic(options.picture) as temporary:
            sheet = picture(found[chosen], looks[chosen][0])
            temporary.write_bytes(cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="prepared folder with landmarks")
    parser.add_argument("--model_path", type=reads, required=True, help="stage 1, or the folder that it is in")
    parser.add_argument("--reference", type=int, default=250, help="frames of a style reference, at most")
    parser.add_argument("--clips", type=int, default=6, help="of a speaker, at most")
    parser.add_argument("--output", type=writes, help="all figures, as JSON")
    parser.add_argument("--picture", type=writes, help="the attention of one clip, as PNG")
    options = parser.parse_args()
    guard(parser, options)
    run(options)


if __name__ == "__main__":
    sys.exit(exit_code(main))
