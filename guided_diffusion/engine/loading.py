"""Batches by their numbers, made here or ahead of time by worker processes: the same ones."""

import atexit
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, cast

import cv2
from torch.utils.data import DataLoader, Dataset

from .signals import stay

B = TypeVar("B")
Made = TypeVar("Made", covariant=True)


class Samples(Protocol[Made]):
    """samples[index] is a batch, the same whoever asks and whenever."""

    def __getitem__(self, index: int, /) -> Made: ...


def batches_of(samples: Samples[B], indices: range, workers: int) -> Iterator[B]:
    """samples[index] for each of the indices, in their order.  With workers the samples must be picklable.

    A worker is a fresh process: a fork of one that has threads (OpenCV's, OpenMP's) may wait for them for ever.  It
    computes and decodes by one thread, since there are as many workers as cores are to be used.
    """
    if getattr(samples, "device", None) is not None:  # what lies on the device is drawn there, by this process
        return _ahead(samples, indices)
    if not workers:
        return (samples[index] for index in indices)
    loader: DataLoader[B] = DataLoader(
        cast(Dataset[B], samples),
        batch_size=None,
        sampler=indices,
        num_workers=workers,
        worker_init_fn=_begin,
        multiprocessing_context="spawn",
    )
    return iter(loader)


def _ahead(samples: Samples[B], indices: range) -> Iterator[B]:
    """Each batch is made by a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for index in indices:
            following = pool.submit(samples.__getitem__, index)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def _begin(worker: int) -> None:
    """In a new worker.  Of torch's threads the loader itself takes care.

    It leaves at once when its work is done.  If the batches are no longer wanted, one may still be on its way, and
    Python ends that thread within torch's code, which then aborts the worker with a line that says nothing.
    """
    atexit.register(os._exit, 0)
    stay(worker)
    os.environ["OMP_NUM_THREADS"] = "1"  # which FFmpeg is told, see video/opening.py
    cv2.setNumThreads(1)
