"""Hostile inputs through the programs' entries, with tiny networks: what they end in, as a table.

    python scripts/fuzz.py --count 1000 [--seed 0] [--classes video sound ...]

The inputs and the harness are in tests/fuzz; the same count and seed give the same inputs.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    harness = ROOT / "tests" / "fuzz" / "harness.py"
    sys.exit(subprocess.run([sys.executable, str(harness), *sys.argv[1:]], check=False).returncode)
