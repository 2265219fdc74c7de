"""Where the face is in a short video that shows one: by fixed margins where all are cut alike, else by looking."""

from collections.abc import Callable
from functools import cache, lru_cache

import cv2
import numpy as np

from core.errors import Mismatch, NoData
from face_detection import Box, Detector, load_detector, voxceleb2_box
from face_detection.searching import LONGEST
from video import VideoInfo, pick_frames

FixedBox = Callable[[VideoInfo], Box]
"""A video -> where the face is in all of its frames.  Raises BadInput if there is none at one place."""

LOOKS = 5  # frames in which a face is searched, spread over the video
LEAST = 3  # of them that have to show it
STEADY = 0.4  # least overlap (intersection over union) of each with the median box: farther away, the face has moved


def voxceleb2_face(info: VideoInfo) -> Box:
    """By the margins of VoxCeleb2."""
    return voxceleb2_box(info.height, info.width)


@lru_cache(maxsize=4096)
def found_face(info: VideoInfo) -> Box:
    """The median of the largest face in five frames.  BadInput if fewer than three show one, or it moves about."""
    numbers = sorted({(2 * k + 1) * info.frames // (2 * LOOKS) for k in range(LOOKS)})
    scale = min(1.0, LONGEST / max(info.height, info.width))
    size = max(round(info.width * scale), 1), max(round(info.height * scale), 1)
    frames = [np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
              for frame in pick_frames(info.path, numbers)]  # fmt: skip
    boxes = [max((one.box for one in faces), key=lambda box: box.area) for faces in _detector().detect(frames) if faces]
    if len(boxes) < min(LEAST, len(numbers)):
        raise NoData(
            f"{info.path}: a face was found in {len(boxes)} of {len(numbers)} frames looked at; leave the video out,"
            " or cut it into clips with python -m dataset.prepare --videos"
        )
    box = Box(*np.median([one.corners for one in boxes], axis=0).tolist())
    if min(one.iou(box) for one in boxes) < STEADY:
        raise Mismatch(
            f"{info.path}: its face moves about, or it shows several; cut it into clips with"
            " python -m dataset.prepare --videos"
        )
    return box.scaled(info.width / size[0], info.height / size[1])


@cache
def _detector() -> Detector:
    return load_detector()
