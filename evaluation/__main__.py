"""python -m evaluation [SUBCOMMAND] ...; see --help."""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads and torch's would fight over the cores

from evaluation.cli import main

if __name__ == "__main__":
    sys.exit(main())
