"""Fits which mouth a still speaks around, on the clips of a pack: what stage 1 knows of how mouths differ.

    python scripts/fit_neutral.py --data PACK --motion old.safetensors --framing aligned --output motion.safetensors

Everything else of the old stage 1 is written as it is.  Its reader reads some frames of each clip of `train`, framed as
by the renderer that it goes with.  Prints how far the mean of a clip is from what its first frame tells, in distances
between the eyes, on all splits.  Half a minute on one core for 600 clips.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np
import torch
from torch import Tensor

from core.errors import Mismatch, NoData
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code
from core.progress import Bar
from dataset import corpus, to_network
from dataset.pack import Framing
from guided_diffusion.engine.checkpoint import load_checkpoint, save_checkpoint
from systems import registry
from systems.style import LipMotion
from systems.style.neutral import NeutralGuess

FRAMES = 8  # of a clip

People = dict[str, list[Tensor]]


def read(folder: Path, stage1: LipMotion, framing: Framing) -> dict[str, People]:
    """The motion [n, d] of some frames of every clip, by split and speaker."""
    splits = corpus(folder, stage1.size, framing)
    found: dict[str, People] = {split: {} for split in splits}
    with Bar(total=sum(map(len, splits.values())), desc="read", unit="clip") as bar:
        for split, clips in splits.items():
            for clip in clips:
                numbers = np.unique(np.linspace(0, len(clip) - 1, FRAMES).round().astype(int)).tolist()
                found[split].setdefault(clip.speaker, []).append(stage1.read(to_network(clip.pictures(numbers))))
                bar.update()
    return found


def apart(stage1: LipMotion, people: People, guess: Callable[[Tensor], Tensor]) -> float:
    """How far the mean of a clip is from what its first frame tells, in distances between the eyes; mean over clips."""
    clips = [motion for own in people.values() for motion in own]
    return float(np.mean([stage1.space.distance(guess(motion[0]), motion.mean(dim=0)) for motion in clips]))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, metavar="PACK")
    parser.add_argument("--motion", type=reads, required=True, metavar="FILE", help="stage 1, .safetensors")
    parser.add_argument("--framing", choices=("box", "aligned"), default="aligned", help="of faces (%(default)s)")
    parser.add_argument("--output", type=writes, required=True, metavar="FILE", help="the new stage 1, .safetensors")
    options = parser.parse_args()
    guard(parser, options)
    stage1 = registry.load_motion(options.motion)
    if not isinstance(stage1, LipMotion):
        raise Mismatch(f"--motion {options.motion}: is no stage 1 of a style model; pass its motion.safetensors")
    splits = read(options.data, stage1, options.framing)
    try:
        guess = NeutralGuess.fitted({name: [m.numpy() for m in own] for name, own in splits["train"].items()})
    except ValueError as problem:
        raise NoData(f"--data {options.data}: shows too little ({problem}); pack more people") from problem
    for split, people in splits.items():
        if people:
            ways: dict[str, Callable[[Tensor], Tensor]] = {
                "the mean of all": torch.zeros_like, "as open as the mean": stage1.space.neutral_of, "guessed": guess,
            }  # fmt: skip
            print(f"{split}: " + ", ".join(f"{name} {apart(stage1, people, way):.4f}" for name, way in ways.items()))
    old = load_checkpoint(options.motion)
    weights = old.weights | {f"neutral_guess.{name}": value for name, value in guess.state_dict().items()}
    save_checkpoint(options.output, replace(old, config=old.config | {"neutral_guess": True}, weights=weights))
    print(options.output)


if __name__ == "__main__":
    sys.exit(exit_code(main))
