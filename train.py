"""Train one of the systems, or the sync expert.

    python train.py --system diff2lip-small --data PREPARED --output runs/small
    python train.py --system sync --data PREPARED --output runs/sync

The same command goes on where it stopped.  PREPARED is a folder made by `python -m dataset.prepare`.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads and torch's would fight over the cores

import argparse
import sys
from pathlib import Path

from errors import LipSyncError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", default="diff2lip-small", help="preset: diff2lip-128, diff2lip-small, sync")
    parser.add_argument("--data", type=Path, required=True, help="prepared folder")
    parser.add_argument("--output", type=Path, required=True, help="run folder: state, log, weights, sample strips")
    parser.add_argument("--init", type=Path, help="checkpoint of the same system to start from")
    parser.add_argument("--expert", type=Path, help="sync expert whose sound encoder to start from")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="any setting, such as train.steps=1000, train.learning_rate=2e-4, model.mouth_weight=3, data.frames=1",
    )  # fmt: skip
    return parser.parse_args()


def main() -> int:
    try:
        options = arguments()
        from systems.training import train  # torch loads after --help has answered

        train(options.system, options.data, options.output, init=options.init, expert=options.expert,
              device=options.device, workers=options.workers, overrides=options.set)  # fmt: skip
        return 0
    except LipSyncError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last saved step", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
