"""A mark that says in the picture itself what it is: a word in a corner, on a dark plate, at any size of video."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture
from core.errors import BadInput

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

SHARE, SMALLEST, LEAST = 1 / 32, 13, 8  # of the shorter side: the size of the letters; pixels at least; for long texts
PLATE, INK = 0.5, 0.95  # opacity of the dark plate and of the white letters
LETTERS = "DejaVuSans-Bold.ttf"  # ships with matplotlib, which reports need anyway

Floats = NDArray[np.float32]


class Mark:
    """A text that is drawn into pictures, in their lower right corner."""

    def __init__(self, text: str) -> None:
        """BadInput for letters that the font lacks, or that it cannot join."""
        self.text = text
        self._check()
        self._drawn = lru_cache(maxsize=4)(self._draw)

    def over(self, picture: NDArray[np.uint8]) -> Picture:
        """A new picture u8 [h, w, 3 or 4] with the mark.  BadInput if it is too small for the text."""
        height, width = picture.shape[:2]
        plate, ink = self._drawn(height, width)
        marked = picture.copy()
        rows, columns = _corner(height, width, plate.shape)
        part = marked[rows, columns].astype(np.float32)
        colours = part[..., :3] * (1 - plate)[..., None]
        colours += (255 - colours) * ink[..., None]
        if picture.shape[2] == 4:  # straight alpha, of a patch: the plate covers whatever is below it
            covered = 1 - (1 - part[..., 3:] / 255) * (1 - plate[..., None]) * (1 - ink[..., None])
            marked[rows, columns, 3:] = np.rint(covered * 255).astype(np.uint8)
        marked[rows, columns, :3] = np.rint(colours).astype(np.uint8)
        return marked

    def _draw(self, height: int, width: int) -> tuple[Floats, Floats]:
        """Opacity of the plate and of the letters on it, f32 [r, c] each, for pictures of this size."""
        from PIL import Image, ImageDraw

        size = max(SMALLEST, round(SHARE * min(height, width)))
        while True:
            font = _font(size)
            left, _, right, _ = font.getbbox(self.text)
            ascent, descent = font.getmetrics()
            pad = max(2, round(size / 4))
            shape = ascent + descent + pad, int(right - left) + 2 * pad
            if shape[0] + size <= height and shape[1] + size <= width:
                break
            if size <= LEAST:
                raise BadInput(
                    f"--mark_text {self.text!r}: is too long for a picture of {width}x{height}; give a shorter one"
                )
            size -= 1
        letters = Image.new("L", shape[::-1], 0)
        ImageDraw.Draw(letters).text((pad - left, pad / 2), self.text, fill=255, font=font)
        ink = np.asarray(np.asarray(letters) * (INK / 255), np.float32)
        return np.full(shape, PLATE, np.float32), ink

    def _check(self) -> None:
        import unicodedata

        from matplotlib.ft2font import FT2Font

        known = FT2Font(str(_letters())).get_charmap()
        lacking = [
            letter for letter in self.text
            if ord(letter) not in known or unicodedata.bidirectional(letter) in ("R", "AL")
            or unicodedata.category(letter).startswith("M")
        ]  # fmt: skip
        if lacking:
            raise BadInput(
                f"--mark_text {self.text!r}: its letters {''.join(dict.fromkeys(lacking))!r} cannot be drawn; use"
                " Latin, Greek or Cyrillic ones"
            )


def _corner(height: int, width: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Where a mark of this shape lies: a little off the lower right corner."""
    off = max(2, round(min(height, width) / 60))
    return slice(height - off - shape[0], height - off), slice(width - off - shape[1], width - off)


def _font(size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(str(_letters()), size, layout_engine=ImageFont.Layout.BASIC)


def _letters() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / LETTERS
