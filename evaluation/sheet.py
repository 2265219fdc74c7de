"""A contact sheet of a clip: the real video above, the result below, at evenly spaced moments."""

import cv2
import numpy as np

from .talker import Pictures, Talker

MOMENTS = 6
SIDE = 112  # pixels of each picture
QUALITY = 80  # of the JPEG, of 100


def contact_sheet(real: Talker, result: Talker) -> bytes:
    """A JPEG, 2 rows of at most 6 pictures."""
    count = min(MOMENTS, len(real))
    moments = [(2 * k + 1) * len(real) // (2 * count) for k in range(count)]
    rows = [np.concatenate([_small(picture) for picture in talker.wide[moments]], axis=1) for talker in (real, result)]
    page = np.concatenate(rows)
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(page[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()


def _small(picture: Pictures) -> Pictures:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
