"""Make a face speak new words:  python generate.py --video V --audio A --output O"""

import sys

from lipsync.cli.main import generate

if __name__ == "__main__":
    sys.exit(generate())
