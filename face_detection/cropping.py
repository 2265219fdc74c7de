"""Cut a face out of a frame, and paste the generated part of it back: exact inverses where no pixel is resampled.

Both directions share one convention: pixel i covers [i, i + 1), its centre is i + 1/2.  A box of floats is cut where it
lies, not where its rounded corners lie, so a smooth track gives a picture without a one-pixel tremble.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_detection.box import Box
from face_detection.turning import cut_turned, lay_turned

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
    return _to_picture(_resample(frame, box, (size, size)))


def paste(frame: Picture, crop: Picture, box: Box, mask: Floats) -> Picture:
    """A new frame with the crop at the box, blended at the frame's own resolution: frame * (1 - m) + crop * m.

    frame [h, w, 3] u8; crop [size, size, 3] u8; mask [size, size] f32 in [0, 1], 1 where the crop shall be seen.
    Where the enlarged mask is 0, and everywhere outside the box, the pixels of the frame are kept bit for bit.
    """
    _check_picture(frame)
    return lay(crop, box, mask, frame.shape[0], frame.shape[1]).over(frame)


@dataclass(frozen=True)
class Layer:
    """A crop at its place in a frame: colours f32 [r, c, 3], 0 to 255, opacity f32 [r, c, 1], 0 to 1."""

    rows: slice
    columns: slice
    colours: Floats
    opacity: Floats

    def over(self, frame: Picture) -> Picture:
        """A new frame [h, w, 3] u8 with the layer on it."""
        pasted = frame.copy()
        patch = frame[self.rows, self.columns].astype(np.float32)
        patch += (self.colours - patch) * self.opacity
        pasted[self.rows, self.columns] = _to_picture(patch)
        return pasted

    def alone(self, height: int, width: int) -> Picture:
        """[height, width, 4] u8, RGB with straight alpha: the layer on nothing, black where there is none."""
        picture = np.zeros((height, width, 4), np.uint8)
        opacity = _to_picture(self.opacity * 255)
        picture[self.rows, self.columns] = np.concatenate([_to_picture(self.colours) * (opacity > 0), opacity], axis=2)
        return picture


NOTHING = Layer(slice(0, 0), slice(0, 0), np.zeros((0, 0, 3), np.float32), np.zeros((0, 0, 1), np.float32))


def lay(crop: Picture, box: Box, mask: Floats, height: int, width: int) -> Layer:
    """What `paste` lays over a frame of this height and width; empty where the mask is 0 or outside the frame."""
    _check_picture(crop)
    if mask.shape != crop.shape[:2]:
        raise ValueError(f"the mask is {mask.shape}, the crop {crop.shape[:2]}: they must be of one size")
    if box.angle:
        laid = lay_turned(crop, box, mask, height, width)
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
    opacity = _resample(mask[..., None], window, shape)
    opacity *= _coverage(box.y0, box.y1, rows)[:, None, None] * _coverage(box.x0, box.x1, columns)[None, :, None]
    return Layer(rows, columns, _resample(crop, window, shape), opacity)


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
    return np.minimum(half, _smooth(inside / max(feather, 1)))


JAW_ROW, JAW_HEIGHT, JAW_WIDTH = 0.77, 0.25, 0.36  # centre and half axes of the ellipse, as shares of the crop


def news_above_lips(before: Picture, after: Picture) -> Floats:
    """What of `after` is worth pasting, [size, size] f32 in [0, 1]: all of it from the lips down; above them, where the
    nose is, only what differs from `before` in more than sharpness.

    before, after [size, size, 3] u8, the same face framed like VoxCeleb2's.  A network that paints softly repeats the
    nose without its detail, and there the face as it was is the better one.  Lips that reach so high differ.
    """
    size = len(before)
    change = cv2.GaussianBlur(after.astype(np.float32) - before.astype(np.float32), (0, 0), NEWS_BLUR * size)
    new = _smooth((np.abs(change).max(axis=2) - OLD) / (NEW - OLD))
    rows = (np.arange(size) + 0.5) / size
    lips = _smooth((rows - NOSE_ROW) / (LIPS_ROW - NOSE_ROW))
    return np.asarray(np.maximum(new, lips[:, None]), np.float32)


NEWS_BLUR = 0.03  # deviation of what counts as detail, as a share of the crop
OLD, NEW = 8, 24  # levels of difference below which the face is as it was, and above which it is not
NOSE_ROW, LIPS_ROW = 0.6, 0.72  # shares of the crop: nose above, lips below


def _ramp(length: int, feather: int) -> Floats:
    """f32 [length]: 0 at both ends, smoothly 1 from `feather` pixels inside."""
    from_edge = np.minimum(np.arange(length), np.arange(length)[::-1]).astype(np.float32)
    return _smooth(from_edge / feather) if feather else np.ones(length, np.float32)


def _smooth(x: npt.NDArray[np.generic]) -> Floats:
    """0 below 0, 1 above 1, smoothly between."""
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _resample(image: npt.NDArray[np.generic], window: Box, shape: tuple[int, int]) -> Floats:
    """image [h, w, c], the window of it in its own pixels -> f32 [*shape, c]."""
    y_weights, top = _weights(window.y0, window.y1, shape[0], image.shape[0])
    x_weights, left = _weights(window.x0, window.x1, shape[1], image.shape[1])
    part = image[top : top + y_weights.shape[1], left : left + x_weights.shape[1]].astype(np.float32)
    height, width, channels = part.shape
    narrow = (y_weights @ part.reshape(height, width * channels)).reshape(shape[0], width, channels)
    return np.asarray(np.matmul(x_weights, narrow), np.float32)


def _weights(start: float, stop: float, count: int, length: int) -> tuple[Floats, int]:
    """How the pixels of a line of `length` mix into `count` pixels that divide [start, stop).

    Returns f32 [count, span] whose rows sum to 1, and the first pixel of the span.  Each new pixel is the mean of the
    line over its own extent, but over at least one pixel: the mean over an area when shrinking, linear interpolation
    when enlarging, the pixel itself at scale 1.  Past an end the last pixel repeats.
    """
    step = (stop - start) / count
    reach = max(step, 1.0)
    low = start + (np.arange(count) + 0.5) * step - reach / 2
    first, last = math.floor(low[0]), math.ceil(low[-1] + reach)
    pixels = np.arange(first, last)
    overlap = np.minimum(low[:, None] + reach, pixels + 1.0) - np.maximum(low[:, None], pixels)
    overlap = np.clip(overlap, 0, None)
    # Fold what lies past an end into the last pixel there.
    inside = np.clip(pixels, 0, length - 1)
    origin = int(inside[0])
    folded = np.zeros((count, int(inside[-1]) - origin + 1))
    np.add.at(folded.T, inside - origin, overlap.T)
    return (folded / folded.sum(axis=1, keepdims=True)).astype(np.float32), origin


def _touched(start: float, stop: float, used: npt.NDArray[np.bool_], length: int) -> slice:
    """The frame pixels of a line that a mask line may change: `used` divides [start, stop), half a pixel bleeds."""
    where = np.flatnonzero(used)
    if not where.size:
        return slice(0, 0)
    step = (stop - start) / len(used)
    low = max(start, start + (where[0] - 1) * step)
    high = min(stop, start + (where[-1] + 2) * step)
    return slice(max(math.floor(low), 0), min(math.ceil(high), length))


def _coverage(start: float, stop: float, pixels: slice) -> Floats:
    """f32: how much of each pixel of the slice lies in [start, stop), 0 to 1."""
    index = np.arange(pixels.start, pixels.stop)
    return np.asarray(np.clip(np.minimum(index + 1, stop) - np.maximum(index, start), 0, 1), np.float32)


def _to_picture(values: Floats) -> Picture:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _check_picture(picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is u8 [height, width, 3] RGB, not {picture.dtype} {list(picture.shape)}")
