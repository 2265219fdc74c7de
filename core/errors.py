"""The problems that a user can act on.  Everything else is a bug and raises as one.

An error's text is one sentence that says where, what, and what to do about it.
The exit codes of every program here:
    0 ok    1 our bug    2 bad usage or input    3 no face at all    4 out of memory    5 some of a batch failed
    130 stopped by Ctrl-C or another signal
"""


import errno

FULL = (
    "out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "insufficient memory",
    "unable to allocate", "failed to allocate memory", "bad_alloc", "can't start new thread", "failed to map segment",
)  # fmt: skip


def lacks_memory(problem: BaseException) -> bool:
    """Whether an exception of any library says that memory did not suffice; CUDA, MPS, the CPU and cv2 use words."""
    if isinstance(problem, MemoryError) or getattr(problem, "errno", None) == errno.ENOMEM:
        return True
    words = str(problem).lower()
    return not isinstance(problem, (LipSyncError, ValueError)) and any(full in words for full in FULL)


class LipSyncError(Exception):
    """A problem that the user can act on; `exit_code` is what the program returns."""

    exit_code = 2


class BadInput(LipSyncError):
    """A file, flag or checkpoint that cannot be used as given; its kinds say why, for who wants to tell them apart."""


class NotFound(BadInput):
    """A file, a folder, a package or a part of a model that is not there."""


class Unreadable(BadInput):
    """A file that is damaged, cut off, or not what its name or its place says."""


class NoData(BadInput):
    """A file, list or folder that can be read, and holds nothing, or too little, of what is needed."""


class Mismatch(BadInput):
    """Files, data or settings, each good by itself, that do not belong together."""


class BadValue(BadInput):
    """A flag, a setting or a key whose value cannot be, or that lacks or contradicts another."""


class Unwritable(BadInput):
    """A place where nothing can or may be written: full, locked, taken, or what is read."""


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


def not_opened(where: str, problem: BaseException) -> BadInput | None:
    """What a system says that it does not open, as a sentence that begins with `where`; None for any other problem."""
    if isinstance(problem, (FileNotFoundError, NotADirectoryError)):
        return NotFound(f"{where}: no such file; check the path")
    if isinstance(problem, IsADirectoryError):
        return Unreadable(f"{where}: is a folder and no file; check the path")
    if isinstance(problem, PermissionError):
        return Unreadable(f"{where}: may not be read; change its permissions")
    return None


def first_line(problem: BaseException) -> str:
    """What a library says that went wrong, without the lines of its own insides that some append."""
    return next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
