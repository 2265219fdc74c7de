"""How well stage 1 moves lips by sound: its openings against those that landmarks show, on clips kept for measuring.

    python scripts/measure_lips.py --data PACK --model_path FOLDER_OR_FILE [--most 250] [--output FIGURES.json]

For each clip of `seen` and `test`, at 25 frames a second.  The manner is the speaker's own, as in generation: up to
--most frames of the speaker's other clips, spread over all splits, their motion read from their faces; where there are
no others, the first half of the clip, and the second is measured.  The mean of that reference is the mouth's rest.

    r         Pearson's, of the predicted opening and the real one within a clip
    wrong     the same with the sound of a clip of the next speaker
    range     the deviation within clips, predicted / real
    flicker   the mean absolute change of the opening from frame to frame, predicted / real
    closed    opening where the real lips are closed, predicted and real, as a share of the real mean opening
    silent    the same where nobody speaks (audio/activity.py)

Means over a speaker's clips, then over speakers, with a 95 % bootstrap interval over speakers.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio.activity import speech_activity
from core.atomic import atomic
from core.errors import BadInput
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code
from dataset import to_network
from systems import registry
from systems.stage1 import Stage1
from systems.style import StyleReference, labelled
from systems.style.labels import LabelledClip
from systems.style.motion import FPS, LEAST
from systems.style.motion_progress import hearing

SHUT = 0.02    # of the distance between the eyes: lips that are less apart are closed
SPLITS = ("seen", "test")
SHARES = ("closed", "closed, real", "silent", "silent, real")
FIGURES = ("r", "wrong", "range", "flicker", *SHARES)
Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Case:
    """Frames of a clip, and what others of its speaker show: the sound [n, h], the opening [n], who is silent [n]."""

    split: str
    speaker: str
    heard: Tensor
    opening: NDArray[np.float32]
    silent: NDArray[np.bool_]
    reference: StyleReference


class Cases:
    """What is measured; no clip is heard or read twice."""

    def __init__(self, model: Stage1, data: Path, most: int) -> None:
        self.model, self.most = model, most
        self.splits = labelled(data, model.size, model.space)
        self.hear = hearing(model, torch.float32)
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def __iter__(self) -> Iterator[Case]:
        """Of both splits, in a fixed order."""
        of_speaker = defaultdict(list)
        for split in ("train", *SPLITS):
            for clip in self.splits.get(split, []):
                of_speaker[clip.speaker].append(clip)
        for split in SPLITS:
            for clip in self.splits.get(split, []):
                others = [other for other in of_speaker[clip.speaker] if other is not clip]
                frames = len(clip.moves)
                known = [self._seen(other) for other in self._spread(others)] or [self._seen(clip, frames // 2)]
                reference = StyleReference(*(torch.cat(part)[: self.most] for part in zip(*known, strict=True)))
                first = 0 if others else frames // 2 + LEAST // 2
                opening = self.model.space.opening(clip.moves[first:]).numpy()
                yield Case(
                    split, clip.speaker, self.hear(clip)[first:], opening, _silent(clip, frames)[first:], reference
                )

    def _spread(self, clips: Sequence[LabelledClip]) -> list[LabelledClip]:
        """As many as hold `most` frames, spread over all."""
        if not clips:
            return []
        mean = sum(len(clip.moves) for clip in clips) / len(clips)
        count = min(len(clips), max(1, round(self.most / mean)))
        return [clips[int(place)] for place in np.linspace(0, len(clips) - 1, count)]

    def _seen(self, clip: LabelledClip, frames: int | None = None) -> tuple[Tensor, Tensor]:
        if id(clip) not in self._known:
            shown = min(len(clip.moves), self.most)
            read = self.model.read(to_network(clip.clip.pictures(clip.sources[:shown])))
            self._known[id(clip)] = self.hear(clip)[:shown], read
        heard, read = self._known[id(clip)]
        return heard[:frames], read[:frames]


def _silent(clip: LabelledClip, frames: int) -> NDArray[np.bool_]:
    return np.asarray(speech_activity(clip.sound.mel).gate(0, frames, FPS) == 0)


def measure(model: Stage1, cases: Sequence[Case]) -> dict[str, dict[str, dict[str, float]]]:
    """split -> speaker -> figure."""
    found: dict[str, dict[str, Figures]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for case in cases:
        others = [other for other in cases if other.split == case.split and other.speaker > case.speaker]
        others = others or [other for other in cases if other.split == case.split and other.speaker != case.speaker]
        if not others:
            raise BadInput(f"{case.split}: {case.speaker} is the only speaker there; a wrong sound needs another")
        figures = found[case.split][case.speaker]
        made = _opening(model, case.heard, case)
        wrong = _opening(model, others[len(figures["r"]) % len(others)].heard, case)
        shared = min(len(wrong), len(made))
        figures["r"].append(_correlation(made, case.opening))
        figures["wrong"].append(_correlation(wrong[:shared], case.opening[:shared]))
        for name, values in (("made", made), ("real", case.opening)):
            figures[name].append(float(values.var()))
            figures[f"{name} change"] += np.abs(np.diff(values)).tolist()
        figures["mean"].append(float(case.opening.mean()))
        for name, where in (("closed", case.opening < SHUT), ("silent", case.silent)):
            figures[name] += made[where].tolist()
            figures[f"{name}, real"] += case.opening[where].tolist()
    return {split: {name: _of_speaker(all_) for name, all_ in known.items()} for split, known in found.items()}


def _of_speaker(found: Figures) -> dict[str, float]:
    mean = np.mean(found["mean"])
    opened = {name: found[name] for name in SHARES if found[name]}
    return {
        "r": float(np.mean(found["r"])),
        "wrong": float(np.mean(found["wrong"])),
        "range": float(np.sqrt(np.mean(found["made"]) / np.mean(found["real"]))),
        "flicker": float(np.mean(found["made change"]) / np.mean(found["real change"])),
        **{name: float(np.mean(values) / mean) for name, values in opened.items()},
    }


def _opening(model: Stage1, heard: Tensor, case: Case) -> NDArray[np.float32]:
    return np.asarray(model.space.opening(model.predictor.predict(heard, case.reference)), np.float32)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    if min(one.std(), other.std()) < 1e-6:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def table(found: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """Markdown."""
    yield f"| split | speakers | {' | '.join(FIGURES)} |\n|---|---|{'---|' * len(FIGURES)}"
    for split, speakers in found.items():
        cells = []
        for name in FIGURES:
            values = np.array([figures[name] for figures in speakers.values() if name in figures])
            if not len(values):
                cells.append("-")
                continue
            drawn = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
            low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
            cells.append(f"{values.mean():.3f} [{low:.3f}, {high:.3f}]")
        yield f"| {split} | {len(speakers)} | {' | '.join(cells)} |"


def run(options: argparse.Namespace) -> None:
    model = registry.load_motion(options.model_path)
    with torch.inference_mode():
        found = measure(model, list(Cases(model, options.data, options.most)))
    if not found:
        raise BadInput(f"{options.data}: has no clips of seen or test; pack some with scripts/pack_training.py")
    print("\n".join(table(found)))
    if options.output is not None:
        with atomic(options.output) as temporary:
            temporary.write_text(json.dumps(found, indent=1))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="a pack, or a prepared folder with landmarks")
    parser.add_argument("--model_path", type=reads, required=True, help="stage 1, or the folder that it is in")
    parser.add_argument("--most", type=int, default=250, help="frames of a reference")
    parser.add_argument("--output", type=writes, help="the figures of every speaker, as JSON")
    options = parser.parse_args()
    guard(parser, options)
    run(options)


if __name__ == "__main__":
    sys.exit(exit_code(main))
