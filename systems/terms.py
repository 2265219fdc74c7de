"""The terms of an objective that judge a predicted sequence; each a scalar, smaller is better.

sample_weights [b, t] says how much each prediction counts: there is little to judge in one made from nearly pure
noise.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from .discriminator import Discriminator

SyncProbability = Callable[[Tensor, Tensor], Tensor]  # faces [b, 5, 3, s, s], speech [b, 80, 16] -> [b] in (0, 1)
Distance = Callable[[Tensor, Tensor], Tensor]   # two pictures [n, 3, s, s] in [-1, 1] -> [n] >= 0
SURELY_NOT = 1e-4                               # the least agreement whose logarithm is taken


def sync_loss(sync_probability: SyncProbability, faces: Tensor, speech: Tensor, sample_weights: Tensor) -> Tensor:
    """-log of the expert's agreement (Wav2Lip, eq. 3).  faces [b, 5, 3, s, s]."""
    return -(sample_weights.mean(dim=1) * sync_probability(faces, speech).float().clamp_min(SURELY_NOT).log()).mean()


def perceptual_loss(distance: Distance, faces: Tensor, truth: Tensor, sample_weights: Tensor) -> Tensor:
    """LPIPS, frame by frame."""
    return (sample_weights.flatten() * distance(faces.flatten(0, 1), truth.flatten(0, 1)).float()).mean()


def adversarial_losses(
    discriminator: Discriminator, faces: Tensor, truth: Tensor, sample_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """What the network pays for a sequence seen through (hinge), and the mean distance of what the discriminator's
    layers see of it from what they see of the truth (feature matching, Salimans et al. 2016; Wang et al. 2018).

    Gradients do not reach the discriminator.
    """
    fixed = {name: weight.detach() for name, weight in discriminator.named_parameters()}
    with torch.no_grad():
        _, wanted = functional_call(discriminator, fixed, (truth,))
    logits, features = functional_call(discriminator, fixed, (faces,))
    apart = [(one - other).abs().float().mean(dim=(1, 2, 3)) for one, other in zip(features, wanted, strict=True)]
    return -_weighed(logits, sample_weights), (sample_weights.mean(dim=1) * torch.stack(apart).mean(dim=0)).mean()


def discriminator_loss(discriminator: Discriminator, faces: Tensor, truth: Tensor, sample_weights: Tensor) -> Tensor:
    """What the discriminator pays: the hinge on both sides; its gradient does not reach the network."""
    logits, _ = discriminator(torch.cat([truth, faces.detach()]))
    real, fake = logits.chunk(2)
    return _weighed(F.relu(1 - real), sample_weights) + _weighed(F.relu(1 + fake), sample_weights)


def _weighed(logits: Tensor, sample_weights: Tensor) -> Tensor:
    """The mean over the patches of each sequence, then over sequences.  [b, 1, h, w] -> scalar"""
    return (sample_weights.mean(dim=1) * logits.mean(dim=(1, 2, 3))).mean()
