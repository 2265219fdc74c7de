"""Who is trained on and who is kept for measuring: a property of the speaker, which more data never changes."""

from hashlib import blake2b

SPLITS = ("train", "seen", "test")
"""train: for training.  seen: other clips, of speakers who may be in train.  test: for measuring."""


def place(speaker: str) -> float:
    """Where a speaker stands among all, 0 to 1: held out by every share above that."""
    return _number(speaker) / 2**64


def is_held_out(speaker: str, share: float) -> bool:
    """Whether a speaker is among the `share` (0 to 1) kept for measuring: by a hash of the name.

    The same on every machine and in every run, whoever else is in the data.
    """
    return _number(speaker) < share * 2**64


def _number(speaker: str) -> int:
    """The hash, 0 to 2**64 - 1, of the name's bytes as a file system has them, which need not be UTF-8."""
    name = speaker.encode(errors="surrogateescape")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")
