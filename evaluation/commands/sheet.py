"""A contact sheet: evenly spaced frames of a video before and after, and below what differs, enlarged."""

import argparse
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from core.arrays import Picture
from core.atomic import atomic
from core.errors import BadValue, NoData
from lipsync.planning.timeline import Plan
from video import probe, read_frames

from ..report.sheet import moments, scaled

GAP = 4  # white pixels around every frame
TICKS = 8  # hundredths of a second that a picture of a .gif is shown, in which the format counts
LONGEST = 150  # pictures of a .gif
CHANGED = 8  # levels by which a pixel of a close-up differs, its neighbours with it


def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Writes the sheet, or what differs as a moving picture.  Raises BadInput if its name is not a picture's."""
    if options.output.suffix.lower() == ".gif":
        write_animation(options.output, options.before, options.after, options.height)
        return
    pictures = pairs(options.before, options.after, options.frames)
    write_picture(options.output, sheet(pictures, options.height, close=options.close))


def pairs(before: Path, after: Path, count: int) -> list[tuple[Picture, Picture]]:
    """Frames of the two videos at the same moments, `count` of them."""
    source, result = probe(before), probe(after)
    shown = [(k, round(k / result.fps * source.fps)) for k in moments(result.frames, count)]
    plan = Plan(source.frames, shown[-1][1] + 1, "pingpong")
    return [(_frame(before, plan[then]), _frame(after, k)) for k, then in shown]


def sheet(pictures: list[tuple[Picture, Picture]], height: int, *, close: bool = False) -> Picture:
    """The pictures scaled to `height`, a column per pair, u8 [h, w, 3] on white; close-ups in two more rows.

    close: the close-ups alone, where there are any.
    """
    near = close_ups(pictures)
    wide = [] if close and near else pictures
    columns = [(*pair, *closer) for pair, closer in zip_longest(wide, near, fillvalue=())]
    tiles = [[_high(picture, height) for picture in column] for column in columns]
    width = max(tile.shape[1] for pair in tiles for tile in pair)
    rows = len(tiles[0])
    page = np.full((rows * (height + GAP) + GAP, len(tiles) * (width + GAP) + GAP, 3), 255, np.uint8)
    for column, pair in enumerate(tiles):
        for row, tile in enumerate(pair):
            top, left = GAP + row * (height + GAP), GAP + column * (width + GAP) + (width - tile.shape[1]) // 2
            page[top : top + height, left : left + tile.shape[1]] = tile
    return page


def write_picture(path: Path, picture: Picture) -> None:
    """Raises BadInput if the suffix is not that of a picture, or nothing can be written there."""
    if path.suffix.lower() not in {".png", ".jpg", ".jpeg", ".webp"}:
        raise BadValue(f"{path}: the contact sheet is a picture; give it the ending .png, .jpg or .webp")
    _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with atomic(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def write_animation(path: Path, before: Path, after: Path, height: int) -> None:
    """What differs, before and after beside each other, as long as AFTER, at 12.5 pictures a second; a .gif.

    Of a video of more than LONGEST of them so many, spread over it, each shown as long.  BadInput if nothing differs.
    """
    length = 100 * float(probe(after).frames / probe(after).fps)
    shown = close_ups(pairs(before, after, min(LONGEST, max(1, round(length / TICKS)))))
    if not shown:
        raise NoData(f"{after}: shows nothing that {before} does not; pass the video before and the one made of it")
    pages = [np.hstack([_high(picture, height) for picture in pair]) for pair in shown]
    colours = Image.fromarray(np.vstack(pages[:: -(-len(pages) // 8)])).quantize(96)
    first, *rest = [Image.fromarray(page).quantize(palette=colours, dither=Image.Dither.NONE) for page in pages]
    with atomic(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=rest, duration=10 * TICKS, loop=0)


def close_ups(pictures: list[tuple[Picture, Picture]]) -> list[tuple[Picture, Picture]]:
    """The part of all pictures that holds what differs in some pair (the mouth), of their shape; none if nothing does.

    Pictures of another size than those before them have none either.
    """
    if len({picture.shape for pair in pictures for picture in pair}) > 1:
        return []
    apart = [cv2.absdiff(*pair).mean(axis=2) for pair in pictures]
    changed = cv2.blur(np.max(apart, axis=0), (9, 9)) > CHANGED
    rows, columns = np.flatnonzero(changed.mean(axis=1) > 0.01), np.flatnonzero(changed.mean(axis=0) > 0.01)
    if not rows.size or not columns.size:
        return []
    height, width = changed.shape
    share = min(1.0, 1.3 * max((rows[-1] - rows[0]) / height, (columns[-1] - columns[0]) / width))
    size = [max(8, round(share * length)) for length in (height, width)]
    middle = (rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2
    ends = zip(middle, size, (height, width), strict=True)
    top, left = (int(min(max(0, place - length // 2), whole - length)) for place, length, whole in ends)
    inside = np.s_[top : top + size[0], left : left + size[1]]
    return [(before[inside], after[inside]) for before, after in pictures]


def _frame(path: Path, k: int) -> Picture:
    return next(read_frames(path, start=k, stop=k + 1))


def _high(picture: Picture, height: int) -> Picture:
    """The picture scaled to this height."""
    return scaled(picture, max(1, round(int(picture.shape[1]) * height / int(picture.shape[0]))), height)
