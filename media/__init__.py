"""Files with pictures and sound, opened: which streams count, and where their clock begins.  Through PyAV alone."""

from media.damage import damage_of, is_noted, note, note_at, say_damage
from media.opening import LENIENT, demuxed, file_version, open_media, opened_sound, picture_stream, sound_stream, zero
from media.sound import changes, heard, mixes, not_numbers

__all__ = [
    "LENIENT",
    "changes",
    "damage_of",
    "demuxed",
    "file_version",
    "heard",
    "is_noted",
    "mixes",
    "not_numbers",
    "note",
    "note_at",
    "open_media",
    "opened_sound",
    "picture_stream",
    "say_damage",
    "sound_stream",
    "zero",
]
