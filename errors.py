"""The problems that a user can act on.  Everything else is a bug and raises as one.

An error's text is one sentence that says where, what, and what to do about it.
The exit codes of every program here:
    0 ok    1 our bug    2 bad usage or input    3 no face at all    4 out of memory    5 some of a batch failed
    130 stopped by Ctrl-C or another signal
"""


class LipSyncError(Exception):
    """A problem that the user can act on; `exit_code` is what the program returns."""

    exit_code = 2


class BadInput(LipSyncError):
    """A file, flag or checkpoint that cannot be used as given."""


class NoFace(LipSyncError):
    """No face was found where at least one is needed."""

    exit_code = 3


class OutOfMemory(LipSyncError):
    """The device's memory did not suffice, even for the smallest batch."""

    exit_code = 4


class BatchFailed(LipSyncError):
    """Some jobs of a batch failed; the others are done."""

    exit_code = 5


class Stopped(LipSyncError):
    """A signal asked to stop; what was done is saved."""

    exit_code = 130
