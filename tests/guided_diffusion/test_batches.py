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


class Large:
    """Batches that take a while to be handed over."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.zeros(4, 7, 3, 128, 128)


@pytest.mark.slow
def test_workers_whose_batches_are_no_longer_wanted_leave_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    drawn = batches_of(Large(), range(10**6), workers=2)
    assert next(drawn).shape == (4, 7, 3, 128, 128)
    del drawn
    assert capfd.readouterr().err == ""
