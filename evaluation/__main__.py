"""python -m evaluation [SUBCOMMAND] ...; see --help."""

import core  # noqa: F401 - what Ctrl-C is while the rest is imported

# isort: split
import sys

from evaluation.cli import main

if __name__ == "__main__":
    sys.exit(main())
