"""How well stage 1 moves lips by sound: its openings against those that landmarks show, on clips kept for measuring."""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio.activity import speech_activity
from core.errors import NoData
from systems import registry
from systems.metrics import correlation, correlation_within
from systems.stage1 import LEAST
from systems.style import LipMotion, StyleReference
from systems.style.labels import LabelledClip
from systems.style.lip_motion import SHUT
from systems.style.motion import FPS

from ..metrics.lips import NEAR
from ..report.files import write_json
from ..report.results import estimate
from ..report.tables import markdown, shown
from ..stage1 import LabelledClips, by_speaker
from ..windows import SPLITS, spread

SHARES = ("closed", "closed, real", "silent", "silent, real")
FIGURES = ("r", "wrong", "r near", "wrong near", "range", "flicker", *SHARES)
Figures = dict[str, list[float]]
BySpeaker = Mapping[str, Mapping[str, Mapping[str, float]]]
"""split -> speaker -> figure."""


@dataclass(frozen=True)
class LipsCase:
    """Frames of a clip, and what others of its speaker show: the sound [n, h], the opening [n], who is silent [n]."""

    split: str
    speaker: str
    heard: Tensor
    opening: NDArray[np.float32]
    silent: NDArray[np.bool_]
    reference: StyleReference


@torch.inference_mode()
def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Prints the table.  Raises BadInput if there is nothing to measure."""
    model = registry.load_motion(options.model_path)
    assert isinstance(model, LipMotion)
    figures = measure(model, list(cases(model, options.data, options.most)))
    if not figures:
        raise NoData(f"{options.data}: has no clips of seen or test; pack some with scripts/pack_training.py")
    print(table(figures))
    if options.output is not None:
        write_json(options.output, figures)


def cases(model: LipMotion, data: Path, most: int) -> Iterator[LipsCase]:
    """What is measured, of both splits in a fixed order; most: frames of a reference."""
    clips = LabelledClips(model, data)
    of_speaker = by_speaker(clip for split in ("train", *SPLITS) for clip in clips.splits.get(split, []))
    for split in SPLITS:
        for clip in clips.splits.get(split, []):
            others = [other for other in of_speaker[clip.speaker] if other is not clip]
            frames = len(clip.moves)
            if others:
                mean = sum(len(other.moves) for other in others) / len(others)
                seen_clips, count, first = spread(others, max(1, round(most / mean))), most, 0
            else:
                seen_clips, count, first = [clip], min(most, frames // 2), frames // 2 + LEAST // 2
            features, read = (
                torch.cat(parts)[:most]
                for parts in (
                    [clips.heard(one)[:count] for one in seen_clips], [clips.read(one, count) for one in seen_clips]
                )
            )
            opening = model.space.opening(clip.moves[first:]).numpy()
            silent = _silent(clip, frames)[first:]
            heard = clips.heard(clip)[first:]
            yield LipsCase(split, clip.speaker, heard, opening, silent, StyleReference(features, read))


def _silent(clip: LabelledClip, frames: int) -> NDArray[np.bool_]:
    return np.asarray(speech_activity(clip.sound.mel).gate(0, frames, FPS) == 0)


def measure(model: LipMotion, cases: Sequence[LipsCase]) -> BySpeaker:
    """Raises BadInput if there is but one speaker in a split."""
    by_group: dict[str, dict[str, Figures]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for case in cases:
        others = [other for other in cases if other.split == case.split and other.speaker > case.speaker]
        others = others or [other for other in cases if other.split == case.split and other.speaker != case.speaker]
        if not others:
            raise NoData(f"{case.split}: {case.speaker} is the only speaker there; a wrong sound needs another")
        figures = by_group[case.split][case.speaker]
        predicted = _opening(model, case.heard, case)
        wrong = _opening(model, others[len(figures["r"]) % len(others)].heard, case)
        shared = min(len(wrong), len(predicted))
        for name, said in (("r", predicted), ("wrong", wrong[:shared])):
            figures[name].append(correlation(said, case.opening[: len(said)]) or 0.0)
            figures[f"{name} near"].append(correlation_within(NEAR, said, case.opening[: len(said)]) or 0.0)
        for name, values in (("made", predicted), ("real", case.opening)):
            figures[name].append(float(values.var()))
            figures[f"{name} change"] += np.abs(np.diff(values)).tolist()
        figures["mean"].append(float(case.opening.mean()))
        for name, frames in (("closed", case.opening < SHUT), ("silent", case.silent)):
            figures[name] += predicted[frames].tolist()
            figures[f"{name}, real"] += case.opening[frames].tolist()
    return {split: {name: _of_speaker(all_) for name, all_ in known.items()} for split, known in by_group.items()}


def _of_speaker(found: Figures) -> dict[str, float]:
    mean = np.mean(found["mean"])
    opened = {name: found[name] for name in SHARES if found[name]}
    return {
        **{name: float(np.mean(found[name])) for name in ("r", "wrong", "r near", "wrong near")},
        "range": float(np.sqrt(np.mean(found["made"]) / np.mean(found["real"]))),
        "flicker": float(np.mean(found["made change"]) / np.mean(found["real change"])),
        **{name: float(np.mean(values) / mean) for name, values in opened.items()},
    }


def _opening(model: LipMotion, heard: Tensor, case: LipsCase) -> NDArray[np.float32]:
    return np.asarray(model.space.opening(model.predictor.predict(heard, case.reference)), np.float32)


def table(found: BySpeaker) -> str:
    """Markdown."""
    rows = []
    for split, speakers in found.items():
        values = [[figures[name] for figures in speakers.values() if name in figures] for name in FIGURES]
        rows.append([split, str(len(speakers)), *(shown(estimate(of_one), 3) for of_one in values)])
    return markdown(["split", "speakers", *FIGURES], rows)
