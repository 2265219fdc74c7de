"""Make a face speak new words:  python generate.py --video V --audio A --output O"""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads and torch's would fight over the cores

from lipsync.cli.main import generate

if __name__ == "__main__":
    sys.exit(generate())
