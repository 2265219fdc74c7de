"""Workers that make batches share the cores, one each."""

import os

import cv2
import pytest
import torch

from guided_diffusion.engine.loading import batches_of


class Threads:
    """What a process computes by, instead of a batch."""

    def __getitem__(self, index: int) -> list[int | str]:
        return [cv2.getNumThreads(), torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS", "")]


@pytest.mark.slow
def test_a_worker_has_one_thread_of_each_library() -> None:
    assert list(batches_of(Threads(), range(2), workers=1)) == [[1, 1, "1"]] * 2
