"""Diff2Lip: Audio Conditioned Diffusion Models for Lip-Synchronization (Mukhopadhyay et al., WACV 2024)."""

from .network import Diff2LipNetwork
from .system import Conditions, Diff2Lip, Diff2LipConfig

__all__ = [
    "Conditions",
    "Diff2Lip",
    "Diff2LipConfig",
    "Diff2LipNetwork",
]
