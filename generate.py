"""Make a face speak new words:  python generate.py --video V --audio A --output O"""

import core  # noqa: F401 - what Ctrl-C is while the rest is imported

# isort: split
import sys

from lipsync.cli.main import generate

if __name__ == "__main__":
    sys.exit(generate())
