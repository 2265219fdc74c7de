"""Pictures for the eye: one moment before and after, and a contact sheet of who is to be seen."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from core.arrays import Picture
from core.errors import BadValue, NoFace
from core.progress import say
from face_detection import Box, FaceTrack, cut, load_detector
from lipsync.jobs.job import Job
from lipsync.pipeline import SOURCE_TYPE, LipSyncPipeline
from lipsync.planning.face_selection import FaceSelector
from lipsync.rendering.views import compare, marked
from lipsync.settings import Settings
from video import VideoInfo, probe, read_frames, write_picture

TILE = 128  # pixels of a face on the sheet
GAP = 8
SHOWN = 4  # moments of each face
LABEL = 200  # pixels for the text beside them
RANGES = 4  # time ranges that the text has room for
SYNTHETIC_PREVIEW = (
    f"Synthetic: the mouth in the right half of this picture was made by a machine (lip-sync). {SOURCE_TYPE}"
)


def preview(checkpoint: Path, settings: Settings, job: Job, seconds: float) -> Picture:
    """Before and after, side by side, at a moment of the result: u8 [h, 2w, 3].

    Faces are searched in the block of frames around it alone, so the choice of the largest face, the reference and
    with them the mouth may differ a little from those of the whole.  BadInput for a moment after the end.
    """
    pipeline = LipSyncPipeline(checkpoint, replace(settings, batch=1))
    job_plan = pipeline.plan(job)
    plan = job_plan.plan
    k = plan.frame_at(seconds)
    if k >= plan.frames or seconds < 0:
        end = float(plan.frames / plan.fps)
        raise BadValue(f"--preview {seconds:g}: the result lasts {end:.2f} s; name a moment before that")
    render_job = pipeline.prepare(job_plan, within=(k, k + 1))
    render_job.warn()
    return next(render_job.frames(k, k + 1, show=marked(compare, settings)))


def write_preview(path: Path, picture: Picture) -> None:
    """A preview as a PNG that says what it is, as results do."""
    write_picture(path, picture, comment=SYNTHETIC_PREVIEW, source_type=SOURCE_TYPE)


def contact_sheet(video: Path, settings: Settings) -> tuple[Picture, list[str]]:
    """A row per person, the largest first: number, when it is there, a few moments; u8 RGB.  The same in words.

    NoFace if there is nobody.
    """
    info = probe(video)
    selector = FaceSelector(info, settings, lambda: load_detector(settings.detector, say=say))
    tracks = selector.faces(0, info.frames).tracks
    if not tracks:
        raise NoFace(f"{video}: no face in any frame; use a video that shows one from the front")
    rows = [_row(info, number, track) for number, track in enumerate(tracks)]
    lines = [f"index:{number}  {', '.join(when(info, track))}" for number, track in enumerate(tracks)]
    return np.concatenate(rows), lines


def when(info: VideoInfo, track: FaceTrack) -> list[str]:
    """The times at which a person is to be seen, gaps of up to half a second left out."""
    bridged = track.filled(round(info.fps / 2))
    edges = [(-1, -1), *bridged.missing(), (len(track), len(track))]
    ranges = [(before[1] + 1, after[0]) for before, after in pairwise(edges) if after[0] > before[1] + 1]
    return [f"{_clock(start / info.fps)}-{_clock(stop / info.fps)}" for start, stop in ranges]


def _row(info: VideoInfo, number: int, track: FaceTrack) -> Picture:
    row = np.full((TILE + 2 * GAP, LABEL + SHOWN * (TILE + GAP), 3), 255, np.uint8)
    ranges = when(info, track)
    more = [f"and {len(ranges) - RANGES} more"] if len(ranges) > RANGES else []
    for line, text in enumerate([f"index:{number}", *ranges[:RANGES], *more]):
        scale, place = (0.8, 30) if line == 0 else (0.5, 32 + 21 * line)
        cv2.putText(row, text, (GAP, place), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
    present = np.flatnonzero(track.present)
    places = np.linspace(0, len(present) - 1, SHOWN + 2).round().astype(int)[1:-1]
    for column, frame in enumerate(sorted({int(present[place]) for place in places})):
        if (box := track.box(frame)) is not None:
            left = LABEL + column * (TILE + GAP)
            picture = next(read_frames(info.path, start=frame, stop=frame + 1))
            row[GAP : GAP + TILE, left : left + TILE] = _portrait(picture, box)
    return row


def _portrait(picture: Picture, box: Box) -> Picture:
    """The face with some room around it, u8 [TILE, TILE, 3]."""
    side = 1.5 * box.height
    return cut(picture, Box.centred(*box.centre, side, side), TILE)


def _clock(seconds: Fraction) -> str:
    return f"{int(seconds // 60)}:{float(seconds % 60):04.1f}"
