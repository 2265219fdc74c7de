"""How many threads compute."""

import os


def use_threads(count: int) -> None:
    """So many threads for the networks, for pictures, and for FFmpeg (see video/opening.py)."""
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)
