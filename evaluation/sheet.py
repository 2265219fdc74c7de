"""A contact sheet of a clip: the real video above, the result below, at evenly spaced moments; then both mouths."""

import cv2
import numpy as np

from core.arrays import Pictures

from .lips import Region, mouth_regions
from .talker import Talker

MOMENTS = 6
SIDE = 112  # pixels of each picture
QUALITY = 80  # of the JPEG, of 100
SHAPE = 2 / 3  # height of a mouth over its width


def contact_sheet(real: Talker, result: Talker, side: int = SIDE) -> bytes:
    """A JPEG of at most 6 columns: source, result and, where lips were looked for, both mouths enlarged to `side`."""
    count = min(MOMENTS, len(real))
    moments = [(2 * k + 1) * len(real) // (2 * count) for k in range(count)]
    both = real, result
    rows = [[_sized(picture, side, side) for picture in talker.wide[moments]] for talker in both]
    if real.lips is not None:
        regions = mouth_regions(real)
        rows += [[_mouth(talker.wide[moment], regions[moment], side) for moment in moments] for talker in both]
    page = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(page[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()


def _mouth(picture: Pictures, region: Region | None, side: int) -> Pictures:
    """The mouth's box, black where there is none."""
    shown = picture[region] if region is not None else np.zeros((2, 3, 3), np.uint8)
    return _sized(shown, side, round(side * SHAPE))


def _sized(picture: Pictures, width: int, height: int) -> Pictures:
    enlarged = picture.shape[1] < width
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC if enlarged else cv2.INTER_AREA), np.uint8
    )
