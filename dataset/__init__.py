"""Where training clips come from: what `dataset.prepare` made, and sets as they are published."""

import core  # noqa: F401 - says how threads behave, before numpy and torch are imported

from .clip import Clip, ClipBatch, Needs, to_network, to_pictures
from .conditions import MEL, AudioCondition, AudioFeatures, FilterBankWindows, MelWindows
from .corpus import corpus
from .footage import Footage
from .pack import PackClip
from .prepared import Entry, PreparedClip, entries, load_clip, save_clip
from .resident import Resident
from .sampling import WindowConfig, Windows, stack, window
from .video_clip import VideoClip, VideoTree

__all__ = [
    "MEL",
    "AudioCondition",
    "AudioFeatures",
    "Clip",
    "ClipBatch",
    "Entry",
    "FilterBankWindows",
    "Footage",
    "MelWindows",
    "Needs",
    "PackClip",
    "PreparedClip",
    "Resident",
    "VideoClip",
    "VideoTree",
    "WindowConfig",
    "Windows",
    "corpus",
    "entries",
    "load_clip",
    "save_clip",
    "stack",
    "to_network",
    "to_pictures",
    "window",
]
