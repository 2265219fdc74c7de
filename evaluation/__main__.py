"""python -m evaluation --real DIR --fake DIR --output DIR"""

import sys

from evaluation.cli import main

if __name__ == "__main__":
    sys.exit(main())
