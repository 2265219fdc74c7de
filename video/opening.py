"""A file -> its container and first moving picture stream, or one sentence that says why not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from errors import BadInput

# Titles in broken Unicode stop nobody: so PyAV reads them from 19 on, before that it must be told.
LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
READABLE = "give an mp4, mov, mkv, webm, avi or mpg video, or a png, jpg or webp picture"


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its first picture stream (cover art does not count).  BadInput if there is none.

    FFmpeg decodes by as many threads as OMP_NUM_THREADS says, as BLAS and torch compute, else by one a core: so one
    variable keeps many processes from fighting over the cores.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; check the path of the video")
    if not path.stat().st_size:
        raise BadInput(f"{path}: the file is empty; export or copy it again")
    try:
        container = av.open(str(path.absolute()), **LENIENT)
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{path}: not a readable video, or cut off before its index ({reason}); {READABLE}") from error
    with container:
        stream = first_pictures(container)
        if stream is None:
            raise BadInput(f"{path}: it has no pictures; {READABLE}")
        threads = os.environ.get("OMP_NUM_THREADS", "")
        stream.thread_type, stream.thread_count = "AUTO", int(threads) if threads.isdecimal() else 0
        yield container, stream


def first_pictures(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures that is not cover art."""
    moving = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return next(moving, None)


def is_still(container: InputContainer) -> bool:
    """Whether the container is a picture file."""
    return container.format.name == "image2" or container.format.name.endswith("_pipe")
