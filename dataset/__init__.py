"""Where training clips come from."""

from .clip import Clip, ClipBatch, to_network, to_pictures
from .prepared import Entry, entries, load_clip, save_clip
from .sampling import WindowConfig, Windows, stack, window

__all__ = [
    "Clip",
    "ClipBatch",
    "Entry",
    "WindowConfig",
    "Windows",
    "entries",
    "load_clip",
    "save_clip",
    "stack",
    "to_network",
    "to_pictures",
    "window",
]
