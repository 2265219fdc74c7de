"""Cut a face out of a frame, and paste the generated part of it back: exact inverses where no pixel is resampled.

Both directions share one convention: pixel i covers [i, i + 1), its centre is i + 1/2.  A box of floats is cut where it
lies, not where its rounded corners lie, so a smooth track gives a picture without a one-pixel tremble.  OpenCV 4 knows
a place to 1/32 of a pixel.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import largest_channel, smoothstep
from face_detection.box import Box
from face_detection.turning import MOST, cut_turned, make_turned_layer

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def cut(frame: Picture, box: Box, size: int) -> Picture:
    """frame [h, w, 3] u8 -> [size, size, 3] u8: the box, its sides scaled independently.

    Shrinking averages areas, enlarging interpolates linearly.  Where the box leaves the frame, the border repeats.
    A box of whole numbers and of `size` is copied bit for bit.  A turned box is cut upright (`turning.py`).
    """
    _check_picture(frame)
    if box.angle:
        return cut_turned(frame, box, size)
    return np.asarray(_resample(frame, box, (size, size)), np.uint8)


def paste(frame: Picture, crop: Picture, box: Box, mask: Floats) -> Picture:
    """A new frame with the crop at the box, blended at the frame's own resolution: frame * (1 - m) + crop * m.

    frame [h, w, 3] u8; crop [size, size, 3] u8; mask [size, size] f32 in [0, 1], 1 where the crop shall be seen.
    Where the enlarged mask is 0, and everywhere outside the box, the pixels of the frame are kept bit for bit.
    """
    _check_picture(frame)
    return make_layer(crop, box, mask, frame.shape[0], frame.shape[1]).over(frame)


@dataclass(frozen=True)
class Layer:
    """A crop at its place in a frame: colours u8 [r, c, 3] RGB, opacity f32 [r, c, 1], 0 to 1."""

    rows: slice
    columns: slice
    colours: Picture
    opacity: Floats

    def over(self, frame: Picture) -> Picture:
        """A new frame [h, w, 3] u8 with the layer on it."""
        pasted = frame.copy()
        if self.opacity.size:
            patch = pasted[self.rows, self.columns]
            pasted[self.rows, self.columns] = cv2.blendLinear(self.colours, patch, self.opacity, 1 - self.opacity)
        return pasted

    def alone(self, height: int, width: int) -> Picture:
        """[height, width, 4] u8, RGB with straight alpha: the layer on nothing, black where there is none."""
        picture = np.zeros((height, width, 4), np.uint8)
        opacity = np.rint(self.opacity * 255).astype(np.uint8)
        picture[self.rows, self.columns] = np.concatenate([self.colours * (opacity > 0), opacity], axis=2)
        return picture


NOTHING = Layer(slice(0, 0), slice(0, 0), np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0, 1), np.float32))


def make_layer(crop: Picture, box: Box, mask: Floats, height: int, width: int) -> Layer:
    """What `paste` lays over a frame of this height and width; empty where the mask is 0 or outside the frame."""
    _check_picture(crop)
    if mask.shape != crop.shape[:2]:
        raise ValueError(f"the mask is {mask.shape}, the crop {crop.shape[:2]}: they must be of one size")
    if box.angle:
        laid = make_turned_layer(crop, box, mask, height, width)
        return NOTHING if laid is None else Layer(*laid)
    rows = _touched(box.y0, box.y1, np.any(mask > 0, axis=1), height)
    columns = _touched(box.x0, box.x1, np.any(mask > 0, axis=0), width)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return NOTHING
    # The touched part of the frame as a window of the crop, in crop pixels.
    x_scale, y_scale = crop.shape[1] / box.width, crop.shape[0] / box.height
    window = Box(
        (columns.start - box.x0) * x_scale,
        (rows.start - box.y0) * y_scale,
        (columns.stop - box.x0) * x_scale,
        (rows.stop - box.y0) * y_scale,
    )
    shape = rows.stop - rows.start, columns.stop - columns.start
    opacity = np.asarray(_resample(mask, window, shape), np.float32)
    opacity *= np.outer(_coverage(box.y0, box.y1, rows), _coverage(box.x0, box.x1, columns))
    return Layer(rows, columns, np.asarray(_resample(crop, window, shape), np.uint8), opacity[..., None])


def mouth_mask(size: int, *, feather: int | None = None) -> Floats:
    """f32 [size, size]: 1 in the lower half, 0 in the upper, with a ramp of `feather` pixels inside the lower half.

    The ramp runs along all four edges of the lower half and starts at exactly 0, so that, however the mask is enlarged,
    nothing outside the lower half changes.  The default feather is size / 12; 0 gives the hard mask of the original.
    """
    if size < 2 or size % 2:
        raise ValueError(f"the size of a mask is even and at least 2, unlike {size}")
    feather = round(size / 12) if feather is None else feather
    if not 0 <= feather <= size // 4:
        raise ValueError(f"a feather of {feather} does not fit into the lower half of {size} pixels: 0..{size // 4}")
    mask = np.zeros((size, size), np.float32)
    mask[size // 2 :] = np.minimum.outer(_ramp(size // 2, feather), _ramp(size, feather))
    return mask


def jaw_mask(size: int, *, feather: int | None = None) -> Floats:
    """`mouth_mask` within an ellipse: mouth, chin, tip of the nose and the cheeks beside them, but no background.

    Around the mouth nothing new is to be seen, and a small network paints it softly.  The ellipse is that of a face
    framed like VoxCeleb2's, whose mouth is a third as wide as the crop; `feather` runs inside it too.
    """
    half = mouth_mask(size, feather=feather)
    feather = round(size / 12) if feather is None else feather
    line = (np.arange(size) + 0.5) / size
    x, y = (line - 0.5) / JAW_WIDTH, (line - JAW_ROW) / JAW_HEIGHT
    inside = (1 - np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)) * min(JAW_WIDTH, JAW_HEIGHT) * size  # pixels to the edge
    return np.minimum(half, smoothstep(inside / max(feather, 1)))


JAW_ROW, JAW_HEIGHT, JAW_WIDTH = 0.77, 0.25, 0.36  # centre and half axes of the ellipse, as shares of the crop


def sharpness_aware_mask(before: Picture, after: Picture) -> Floats:
    """What of `after` is worth pasting, [size, size] f32 in [0, 1]: all of it from the lips down; above them, where the
    nose is, only what differs from `before` in more than sharpness.

    before, after [size, size, 3] u8, the same face framed like VoxCeleb2's.  A network that paints softly repeats the
    nose without its detail, and there the face as it was is the better one.  Lips that reach so high differ.
    """
    size = len(before)
    lips = smoothstep(((np.arange(size) + 0.5) / size - NOSE_ROW) / (LIPS_ROW - NOSE_ROW))[:, None]
    worth = np.repeat(lips, size, axis=1)
    deviation = NEWS_BLUR * size
    above = int((lips < 1).sum())              # rows that a difference has a say in,
    seen = above + math.ceil(4 * deviation) + 1  # and those that its blur sees
    change = np.asarray(cv2.subtract(after[:seen], before[:seen], dtype=cv2.CV_32F), np.float32)
    change = np.asarray(cv2.GaussianBlur(change, (0, 0), deviation)[:above], np.float32)
    new = smoothstep((largest_channel(np.abs(change)) - OLD) / (NEW - OLD))
    worth[:above] = np.maximum(new, worth[:above])
    return worth


NEWS_BLUR = 0.03  # deviation of what counts as detail, as a share of the crop
OLD, NEW = 8, 24  # levels of difference below which the face is as it was, and above which it is not
NOSE_ROW, LIPS_ROW = 0.6, 0.72  # shares of the crop: nose above, lips below


def _ramp(length: int, feather: int) -> Floats:
    """f32 [length]: 0 at both ends, smoothly 1 from `feather` pixels inside."""
    from_edge = np.minimum(np.arange(length), np.arange(length)[::-1]).astype(np.float32)
    return smoothstep(from_edge / feather) if feather else np.ones(length, np.float32)


def _resample(image: Picture | Floats, window: Box, shape: tuple[int, int]) -> npt.NDArray[np.generic]:
    """image [h, w(, c)], the window of it in its own pixels -> [*shape(, c)] of the same type.

    Enlarging interpolates linearly.  Shrinking takes the mean of several such samples for each new pixel, which stand
    for the mean over its area.  Past an end the last pixel repeats.
    """
    x, y = _samples(window.x0, window.x1, shape[1]), _samples(window.y0, window.y1, shape[0])
    columns, rows = (np.ascontiguousarray(axis) for axis in np.broadcast_arrays(x, y[:, None]))
    sampled = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if sampled.shape[:2] != shape:
        sampled = cv2.resize(sampled, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(sampled)


def _samples(start: float, stop: float, count: int) -> Floats:
    """f32 [count * k]: where to sample a line for `count` pixels that divide [start, stop), k places for each.

    In OpenCV's way of counting, from the centre of the first pixel.  k is the number of pixels that a new one covers,
    rounded up, or what makes MOST places.  The k places have the variance of the new pixel's extent: linear
    interpolation spreads each over one pixel (1/12), and the extent has step^2 / 12.  Where the step is a whole number
    they are one pixel apart.
    """
    step = (stop - start) / count
    each = max(min(math.ceil(step - 1e-6), MOST // count), 1)
    apart = math.sqrt((step * step - 1) / (each * each - 1)) if each > 1 else 0.0
    centres = start + (np.arange(count) + 0.5) * step - 0.5
    return (centres[:, None] + (np.arange(each) - (each - 1) / 2) * apart).astype(np.float32).ravel()


def _touched(start: float, stop: float, used: npt.NDArray[np.bool_], length: int) -> slice:
    """The frame pixels of a line that a mask line may change: `used` divides [start, stop), half a pixel bleeds."""
    indices = np.flatnonzero(used)
    if not indices.size:
        return slice(0, 0)
    step = (stop - start) / len(used)
    low = max(start, start + (indices[0] - 1) * step)
    high = min(stop, start + (indices[-1] + 2) * step)
    return slice(max(math.floor(low), 0), min(math.ceil(high), length))


def _coverage(start: float, stop: float, pixels: slice) -> Floats:
    """f32: how much of each pixel of the slice lies in [start, stop), 0 to 1."""
    index = np.arange(pixels.start, pixels.stop)
    return np.asarray(np.clip(np.minimum(index + 1, stop) - np.maximum(index, start), 0, 1), np.float32)


def _check_picture(picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is u8 [height, width, 3] RGB, not {picture.dtype} {list(picture.shape)}")
