"""How a script ends."""

import sys
from collections.abc import Callable

from errors import LipSyncError


def exit_code(main: Callable[[], object]) -> int:
    """Runs a script; a problem that the user can act on becomes one sentence on stderr and its exit code, else 0."""
    try:
        main()
    except LipSyncError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0
