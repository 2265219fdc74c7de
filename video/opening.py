"""A file -> its container and stream of pictures, or one sentence that says why not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from core.errors import NoData
from media import open_media, picture_stream

READABLE = "give an mp4, mov, mkv, webm, avi or mpg video, or a png, jpg or webp picture"


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and the picture stream that is meant (see `media`).  BadInput if there is none.

    FFmpeg decodes by as many threads as OMP_NUM_THREADS says, as BLAS and torch compute, else by one a core: so one
    variable keeps many processes from fighting over the cores.
    """
    with open_media(path, "video", READABLE) as container:
        stream = picture_stream(container)
        if stream is None:
            raise NoData(f"{path}: it has no pictures; {READABLE}")
        threads = os.environ.get("OMP_NUM_THREADS", "")
        stream.thread_type, stream.thread_count = "AUTO", int(threads) if threads.isdecimal() else 0
        yield container, stream


@contextmanager
def one_thread_each() -> Iterator[None]:
    """For videos that are read side by side: within, FFmpeg decodes each by one thread and OpenCV computes by one, and
    so do BLAS and torch in processes that are begun; what the user set stays.
    """
    import cv2  # late: --help answers before it is there

    added = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name not in os.environ}
    before = cv2.getNumThreads()
    os.environ.update(added)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
        for name in added:
            del os.environ[name]


def is_still(container: InputContainer, pictures: int) -> bool:
    """Whether a container of so many pictures is a picture file, as a GIF of one is."""
    name = container.format.name
    return name == "image2" or name.endswith("_pipe") or (name == "gif" and pictures == 1)
