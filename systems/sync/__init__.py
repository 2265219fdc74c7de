"""The sync expert: do these lips belong to this sound?  Trainable, but no System: it judges, it does not speak."""

from .expert import SyncConfig, SyncExpert
from .offset import Match, find_offset
from .wav2lip import Wav2LipExpert, Wav2LipExpertConfig

__all__ = ["Match", "SyncConfig", "SyncExpert", "Wav2LipExpert", "Wav2LipExpertConfig", "find_offset"]
