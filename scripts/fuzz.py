"""Hostile inputs through the programs' entries, with tiny networks: what they end in, as a table.

    python scripts/fuzz.py --count 1000 [--seed 0] [--classes video sound ...]
    python scripts/fuzz.py kills [--generate 100] [--train 30] [--seed 0]       kill -9, and the same command again

The inputs and the harness are in tests/fuzz; the same count and seed give the same inputs.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    kills = sys.argv[1:2] == ["kills"]
    harness = ROOT / "tests" / "fuzz" / ("kills.py" if kills else "harness.py")
    sys.exit(subprocess.run([sys.executable, str(harness), *sys.argv[1 + kills :]], check=False).returncode)
