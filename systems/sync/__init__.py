"""The sync expert: do these lips belong to this sound?  A Trainable, no System: it judges, it does not speak."""

from .expert import SyncConfig, SyncExpert

__all__ = ["SyncConfig", "SyncExpert"]
