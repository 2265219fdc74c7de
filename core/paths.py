"""Where the project's own files lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = ROOT / "checkpoints"


def weights_folders() -> tuple[Path, ...]:
    """Where published weights are looked for: checkpoints/, then the cache of torch.hub."""
    import torch  # slow to import

    return CHECKPOINTS, Path(torch.hub.get_dir()) / "checkpoints"
