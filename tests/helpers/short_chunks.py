"""generate_dist.py with chunks of 8 frames, that notes in $NOTES.RANK which frames a process searches and speaks.

    python short_chunks.py DIE_AT flags...       DIE_AT: kill -9 at this frame that is read for a result
                                                   $BUG_AT: the name of a video that a bug of ours stops
"""

import os
import signal
import sys
from pathlib import Path

import video.encoding
from face_detection.finding import FaceFinder
from lipsync.cli.main import generate_dist
from lipsync.jobs import chunks
from lipsync.pipeline import LipSyncPipeline
from lipsync.planning.timeline import Plan
from lipsync.rendering import frame_source

video.encoding.CHUNK = chunks.CHUNK = frame_source.CHUNK = 8
DIE_AT = int(sys.argv[1])
NOTES = Path(f"{os.environ.get('NOTES', os.devnull)}.{os.environ.get('RANK', '0')}")


def note(what: str, start: int, stop: int) -> None:
    if "NOTES" in os.environ:
        with NOTES.open("a") as file:
            file.write(f"{what} {start} {stop}\n")


search, read, prepare = FaceFinder._search, Plan.read, LipSyncPipeline.prepare


def searched(self, start, stop, tick):
    note("search", start, stop)
    search(self, start, stop, tick)


def read_noted(self, path, frame_bytes, start=0, stop=None):
    note("speak", start, self.frames if stop is None else stop)
    for count, frame in enumerate(read(self, path, frame_bytes, start, stop), 1):
        if count == DIE_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        yield frame


def prepared(self, job, *args, **kwargs):
    if job.media.info.path.name == os.environ.get("BUG_AT"):
        raise ZeroDivisionError("a bug of ours")
    return prepare(self, job, *args, **kwargs)


FaceFinder._search, Plan.read, LipSyncPipeline.prepare = searched, read_noted, prepared

if __name__ == "__main__":
    sys.exit(generate_dist(sys.argv[2:]))
