"""One decoded frame -> the RGB array a viewer would see."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

BT709, UNTAGGED = 1, 2  # of FFmpeg's AVColorSpace
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT  # plain flags darken by 1-2


def rgb(frame: VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """HWC u8 RGB, upright.  size: the stream's stored (width, height), to which a picture of another size is scaled.

    The file's tags say how to convert: matrix BT.601, BT.709 or BT.2020, range limited or full.  Without tags, HD
    (more than 576 lines) means BT.709, as in players.  HDR is not mapped to SDR, mirroring not undone.  Transparent
    parts are laid over black.
    """
    shorter, longer = sorted((frame.width, frame.height))
    if frame.colorspace == UNTAGGED and (shorter > 576 or longer >= 1280):
        frame.colorspace = BT709
    transparent = any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"
    picture = frame.reformat(*size, format="rgba" if transparent else "rgb24", interpolation=EXACT).to_ndarray()
    if transparent:
        picture = ((picture[..., :3].astype(np.uint16) * picture[..., 3:] + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(picture, quarter_turns(frame)))


def quarter_turns(frame: VideoFrame) -> int:
    """How often the display rotation turns the stored picture by 90 degrees counterclockwise, 0 to 3."""
    return round(frame.rotation / 90) % 4
