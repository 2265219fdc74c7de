"""From files to files: a video and a sound in, the same video saying the sound out.

    from lipsync import LipSync

    report = LipSync.from_pretrained()("person.mp4", "words.wav", "result.mp4")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipsync.jobs.job import Report

    from .api import LipSync
    from .settings import Settings

__version__ = "0.9.0"
__all__ = ["LipSync", "Report", "Settings"]
HOMES = {"LipSync": "api", "Report": "jobs.job", "Settings": "settings"}


def __getattr__(name: str) -> Any:
    """Loaded when asked for: --help must answer before torch is there."""
    from importlib import import_module

    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{HOMES[name]}", __name__), name)
