"""As `python -m dataset.prepare`, with a sync expert that leaves out clips whose sound is not of these lips.

    python scripts/prepare.py --videos FOLDER --output DIR --expert runs/sync/weights.safetensors

Sound that comes more than --max_offset frames late or early is shifted; clips about which the expert is less sure than
--min_confidence (best cosine over all shifts less the median one) are left out, and report.jsonl says so.
"""

import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np
from numpy.typing import NDArray

from audio import Mel
from core.errors import BadValue, Mismatch
from core.guard import reads
from core.program import GOES_ON, exit_code
from dataset.prepare import parser, run
from dataset.sync_filter import Offset, SyncFilter
from systems.lip_sync_expert import FRAMES, LipSyncExpert
from systems.registry import load_expert
from systems.sync import find_offset


@dataclass(frozen=True)
class ExpertScorer:
    """A dataset.Scorer; each process loads the expert at its first call."""

    expert: Path

    def __call__(self, faces: NDArray[np.uint8], mel: Mel, fps: Fraction) -> Offset:
        if len(faces) < FRAMES:
            return Offset(0, 0)  # too short to tell
        offset = find_offset(_expert(self.expert), faces, mel, fps)
        return Offset(offset.frames, offset.confidence)


@cache
def _expert(path: Path) -> LipSyncExpert:
    return load_expert(path)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--expert", type=reads, required=True, help="sync expert, ours or Wav2Lip's")
    flags.add_argument("--max_offset", "--max-offset", type=float, default=SyncFilter.max_offset, metavar="FRAMES",
                       help="sound further off is shifted (default 1)")  # fmt: skip
    flags.add_argument("--min_confidence", "--min-confidence", type=float, default=0.1, metavar="COSINE",
                       help="clips found with less are left out (default 0.1)")  # fmt: skip
    options = flags.parse_args()
    if options.size != _expert(options.expert).size:
        raise Mismatch(f"--expert {options.expert}: judges {_expert(options.expert).size} px faces, not {options.size}")
    if options.max_offset < 0:
        raise BadValue(f"--max_offset {options.max_offset}: a number of frames is 0 or more")
    run(options, sync=SyncFilter(options.min_confidence, options.max_offset), scorer=ExpertScorer(options.expert))


if __name__ == "__main__":
    sys.exit(exit_code(main, stopped=GOES_ON))
