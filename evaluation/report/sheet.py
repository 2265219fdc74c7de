"""A contact sheet of a clip: the real video above, the result below, at evenly spaced moments; then both mouths."""

import cv2
import numpy as np

from core.arrays import Picture

from ..metrics.lips import Region, mouth_regions
from ..video_sample import VideoSample

MOMENTS = 6
SIDE = 112  # pixels of each picture
QUALITY = 80  # of the JPEG, of 100
SHAPE = 2 / 3  # height of a mouth over its width


def contact_sheet(real: VideoSample, result: VideoSample, side: int = SIDE) -> bytes:
    """A JPEG of at most 6 columns: source, result and, where lips were looked for, both mouths enlarged to `side`."""
    both, indices = (real, result), moments(len(real), MOMENTS)
    rows = [[scaled(picture, side, side) for picture in sample.wide[indices]] for sample in both]
    if real.lips is not None:
        regions = mouth_regions(real)
        rows += [[_mouth(sample.wide[moment], regions[moment], side) for moment in indices] for sample in both]
    page = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(page[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()


def _mouth(picture: Picture, region: Region | None, side: int) -> Picture:
    """The mouth's box, black where there is none."""
    shown = picture[region] if region is not None else np.zeros((2, 3, 3), np.uint8)
    return scaled(shown, side, round(side * SHAPE))


def moments(frames: int, count: int) -> list[int]:
    """The middle frames of `count` equal parts of a video; every frame if it has fewer."""
    count = min(count, frames)
    return [(2 * part + 1) * frames // (2 * count) for part in range(count)]


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """The picture at another size: averaged if that is smaller."""
    way = cv2.INTER_AREA if height <= picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=way), np.uint8)
