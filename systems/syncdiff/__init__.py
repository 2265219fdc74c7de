"""SyncDiff: Diffusion-based Talking Head Synthesis with Bottlenecked Temporal Visual Prior (WACV 2025, 2503.13371)."""

from .config import PoseConfig, SyncDiffConfig
from .network import SyncDiffNetwork
from .system import Conditions, SyncDiff
from .training import SyncDiffObjective, SyncDiffTraining

__all__ = [
    "Conditions",
    "PoseConfig",
    "SyncDiff",
    "SyncDiffConfig",
    "SyncDiffNetwork",
    "SyncDiffObjective",
    "SyncDiffTraining",
]
