"""Decoded frames -> the RGB arrays a viewer would see."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image, UnidentifiedImageError

from video.hdr import is_hdr, to_sdr

BT709, UNTAGGED = 1, 2  # of FFmpeg's AVColorSpace
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT  # plain flags darken by 1-2
PLANAR = frozenset(name.format(chroma) for chroma in (420, 422, 444) for name in ("yuv{}p", "yuvj{}p", "yuv{}p10le"))
TURNING = ("h264", "hevc")  # codecs whose stream can say at any key frame how the pictures lie
ORIENTATION = 0x0112  # the tag of EXIF


@dataclass(frozen=True)
class Turn:
    """How a stored picture becomes upright: rows and columns change places, then either may be reversed."""

    transposed: bool = False
    left_right: bool = False
    up_down: bool = False

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """[h, w, c] -> [h, w, c] or [w, h, c]"""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        picture = picture[:, ::-1] if self.left_right else picture
        return picture[::-1] if self.up_down else picture


EXIF = {
    1: Turn(), 2: Turn(False, True), 3: Turn(False, True, True), 4: Turn(False, False, True), 5: Turn(True),
    6: Turn(True, True), 7: Turn(True, True, True), 8: Turn(True, False, True),
}  # fmt: skip


def exif_turn(path: Path) -> Turn:
    """What EXIF says of a picture file."""
    try:
        with Image.open(path) as picture:
            return EXIF.get(picture.getexif().get(ORIENTATION, 1), Turn())
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return Turn()


class Converter:
    """The decoded frames of one stream -> the RGB arrays a viewer would see.

    width, height: of the stream, to which a picture of another size is scaled; exif: the turn of a still; turning:
    whether the frames may turn midway, as those of a codec with orientations of its own can.
    """

    def __init__(self, width: int, height: int, *, exif: Turn | None = None, turning: bool = False) -> None:
        self.width, self.height = width, height
        self._turning, self._turn = turning, exif
        self._reformatter = VideoReformatter()  # one for all: frames on their own would start threads, each of them

    def turn(self, frame: VideoFrame) -> Turn:
        """How this frame becomes upright; asked of each in the order in which they are decoded."""
        if self._turn is None or (self._turning and frame.key_frame):
            self._turn = matrix_turn(frame)
        return self._turn

    def rgb(self, frame: VideoFrame, turn: Turn, longest: int | None = None) -> np.ndarray:
        """HWC u8 RGB, upright; made smaller, each pixel the mean of those it stands for, if a side is over `longest`.

        The file's tags say how to convert: matrix BT.601, BT.709 or BT.2020, range limited or full.  Without tags, HD
        (more than 576 lines) means BT.709, as in players.  HDR and BT.2020 are mapped (`video.hdr`).  Transparent parts
        are laid over black.
        """
        shorter, longer = sorted((frame.width, frame.height))
        if frame.colorspace == UNTAGGED and (shorter > 576 or longer >= 1280):
            frame.colorspace = BT709
        if is_hdr(frame.color_trc, frame.color_primaries):
            deep = self._reformatted(frame, "gbrp16le")
            picture: np.ndarray = to_sdr(cast(Any, deep), frame.color_trc, frame.color_primaries)
            return shrunken(np.ascontiguousarray(turn(picture)), longest)
        transparent = any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"
        if frame.format.name in PLANAR and frame.height % 2 == 0:
            return np.ascontiguousarray(turn(self._planar(frame, longest)))
        picture = self._reformatted(frame, "rgba" if transparent else "rgb24")
        if transparent:
            picture = ((picture[..., :3].astype(np.uint16) * picture[..., 3:] + 127) // 255).astype(np.uint8)
        return shrunken(np.ascontiguousarray(turn(picture)), longest)

    def _planar(self, frame: VideoFrame, longest: int | None) -> np.ndarray:
        """HWC u8 RGB of a frame of PLANAR pixels.  FFmpeg converts to planes in half the time that it takes for pixels,
        and to the same numbers; those of an odd last row may differ by one.  To fewer pixels it is quicker still."""
        import cv2  # late: --help answers before it is there

        width, height = within(self.width, self.height, longest)
        if (width, height) == (self.width, self.height):
            converted = self._converted(frame, "gbrp")
        else:
            converted = self._reformatter.reformat(
                frame, width, height, format="gbrp", interpolation=Interpolation.AREA, threads=1
            )
        green, blue, red = (
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in converted.planes
        )
        return np.asarray(cv2.merge([red, green, blue]))

    def _reformatted(self, frame: VideoFrame, kind: str) -> np.ndarray:
        return self._converted(frame, kind).to_ndarray()

    def _converted(self, frame: VideoFrame, kind: str) -> VideoFrame:
        return self._reformatter.reformat(
            frame, self.width, self.height, format=kind, interpolation=EXACT, threads=1
        )


def within(width: int, height: int, longest: int | None) -> tuple[int, int]:
    """The size of a picture whose longer side is to be at most so many pixels."""
    scale = 1.0 if longest is None else min(1.0, longest / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def shrunken(picture: np.ndarray, longest: int | None) -> np.ndarray:
    """HWC u8 -> the same, or smaller: each pixel the mean of those it stands for."""
    import cv2  # late: --help answers before it is there

    height, width = picture.shape[:2]
    size = within(width, height, longest)
    return picture if size == (width, height) else np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def matrix_turn(frame: VideoFrame) -> Turn:
    """What the display matrix (x' = a x + c y, y' = b x + d y) of a frame says."""
    # frame.side_data would stay with the frame and hold it: a cycle that keeps its picture, and the memory that the
    # decoder draws pictures from, until the garbage collector comes by.
    matrix = cast(Any, SideDataContainer)(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return Turn()
    a, b, _, c, d, *_ = np.frombuffer(bytes(cast(Any, matrix)), np.int32).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(True, c < 0, b < 0)
    return Turn(False, a < 0, d < 0)
