"""How much memory is left on this machine."""

import math
import os
from pathlib import Path


def available_memory() -> float:
    """Bytes that a program may still take: what is free, and what files' caches would give back.

    Where the system does not say (it is no Linux), all that is built in; infinite where not even that is known.
    """
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        return float(text.partition("MemAvailable:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return math.inf
