"""The presets of the papers' sizes make a step: every trained weight gets a gradient, and none of another is touched.

At batch 1 and without LPIPS; all else is the preset's: network, precision, objective.  Of Diff2Lip, whose
objective is the dearest, the network is as large, its faces are not: 64 px, with attention at the same levels.  Three
whole steps of each as it is:
`python scripts/benchmark_presets.py --batch 1 --seconds 0.01 --limit 900 --device cpu`.
"""

import math
from itertools import repeat

import pytest
import torch

from guided_diffusion.engine.distributed import Group
from guided_diffusion.engine.train_step import Update
from scripts.benchmark_presets import PAPER
from scripts.model_costs import a_batch, as_counted, trainable_of
from systems.registry import find_preset
from tests.helpers.seeded import seeded

CPU = torch.device("cpu")
SMALLER = {
    "diff2lip-128": ["model.unet.image_size=64", "model.unet.attention_resolutions=[16,8,4]"],
    "diff2lip-256": ["model.unet.image_size=64", "model.unet.attention_resolutions=[8,4,2]"],
}
MILLIONS = {"diff2lip-128": 101.7, "diff2lip-256": 149.2, "syncdiff-128": 131.1, "style-128": 49.5, "style-256": 100.7}
"""Weights that are trained, without the discriminator's."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PAPER, "autoencoder-128"])
def test_a_step(name: str) -> None:
    preset = as_counted(find_preset(name).changed([*SMALLER.get(name, []), "train.batch=1", "train.accumulate=1"]))
    with seeded():
        trainable, whole, _ = trainable_of(preset)
    update: Update[object] = Update(trainable, preset.train, CPU, Group())  # type: ignore[arg-type]
    trained = [weight for weight in trainable.parameters() if weight.requires_grad]
    kept = {name: weight.clone() for name, weight in trainable.named_parameters() if not weight.requires_grad}
    outcome = update(repeat(a_batch(preset, whole, preset.data.per_clip)), 0, lambda: False)
    assert outcome.figures and all(math.isfinite(value) for value in outcome.figures.values())
    assert all(weight.grad is not None for weight in trained)
    assert all(torch.equal(weight, kept[name]) for name, weight in trainable.named_parameters() if name in kept)
    if name in MILLIONS:
        of_network = trainable.objectives()["network"]  # type: ignore[operator]
        assert sum(weight.numel() for weight in of_network) / 1e6 == pytest.approx(MILLIONS[name], abs=0.05)
