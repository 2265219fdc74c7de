"""Fetches the published weights that detectors and metrics use, checks their hashes, and puts them into checkpoints/.

    python scripts/download_weights.py [NAME ...] [--list]

Without names all of them, about 0.7 GB.  What is there already is left alone.  Each file keeps its own licence, which
--list tells.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
from core.errors import BadInput, BatchFailed, Unreadable
from core.flags import Parser
from core.paths import CHECKPOINTS, weights_folders
from core.program import GOES_ON, exit_code
from evaluation.weights import TABLE as METRICS
from face_detection import weights
from face_detection.weights import TABLE as DETECTORS
from face_detection.weights import Weights

TABLE = {**DETECTORS, **METRICS}


def line(name: str) -> str:
    """What a file is, for --list."""
    entry = TABLE[name]
    at = entry.on_disk(weights_folders())
    place = "missing" if at is None else str(at)
    return f"{name:<10} {entry.size / 1e6:6.1f} MB  {entry.licence}\n           {entry.url}\n           {place}"


def download(names: list[str]) -> None:
    """Fetches what is missing.  Raises BatchFailed after all were tried, with the reasons, if some did not come."""
    failed = []
    for name in names:
        entry = TABLE[name]
        target = CHECKPOINTS / entry.names[0]
        if entry.on_disk(weights_folders()):
            continue
        print(f"{name}: {entry.size / 1e6:.1f} MB from {entry.url}", flush=True)
        try:
            fetch(entry, target)
        except BadInput as problem:
            failed.append(str(problem))
    if failed:
        raise BatchFailed("; ".join(failed))


def fetch(entry: Weights, target: Path) -> None:
    """One file.  Raises BadInput if it does not come, or is another."""
    try:
        weights.fetch(entry, target)
    except OSError as problem:
        raise Unreadable(
            f"{entry.url}: cannot be fetched ({problem}); download it by other means to {target}"
        ) from problem


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLE)} (all)")
    parser.add_argument("--list", action="store_true", help="only say what there is, from where and on what terms")
    options = parser.parse_args()
    names = options.names or list(TABLE)
    if unknown := sorted(set(names) - set(TABLE)):
        parser.error(f"{unknown[0]} is unknown; choose of {', '.join(TABLE)}")
    if options.list:
        print("\n".join(line(name) for name in names))
        return 0
    return exit_code(lambda: download(names), stopped=GOES_ON)


if __name__ == "__main__":
    sys.exit(main())
