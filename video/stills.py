"""One RGB picture -> a file."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from core.atomic import atomic
from core.errors import BadValue

PICTURES = (".png",)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """picture HWC u8 RGB -> a PNG, which keeps every bit.  BadInput: another ending, a place that cannot be written."""
    if path.suffix.lower() not in PICTURES:
        raise BadValue(f"{path}: a still is written as {', '.join(PICTURES)}; choose this ending")
    with atomic(path) as temporary:
        encoder = av.CodecContext.create("png", "w")
        encoder.height, encoder.width = picture.shape[:2]
        encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1)
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        packets = [*encoder.encode(frame), *encoder.encode(None)]
        temporary.write_bytes(b"".join(bytes(packet) for packet in packets))
