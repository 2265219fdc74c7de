"""Files with pictures and sound, opened: which streams count, and where their clock begins.  Through PyAV alone."""

from media.opening import LENIENT, demuxed, open_media, picture_stream, sound_stream, zero
from media.sound import changes, heard, mixes, not_numbers

__all__ = [
    "LENIENT",
    "changes",
    "demuxed",
    "heard",
    "mixes",
    "not_numbers",
    "open_media",
    "picture_stream",
    "sound_stream",
    "zero",
]
