"""What a video is, before its pixels are used."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from core.errors import Unreadable
from media import say_damage, sound_stream
from video.hdr import is_hdr
from video.opening import is_still, opened
from video.reading import pictures
from video.timeline import timeline

WIDEST = 32766
"""Pixels of a side: OpenCV moves no larger pictures."""


@dataclass(frozen=True)
class VideoInfo:
    """What `read_frames` will yield.  ValueError if a figure is impossible.

    fps is exact; a variable rate has been resolved to this constant one.  frames: how many `read_frames` yields.
    height and width are those of the upright picture.  audio: there is sound.  still: it is a picture, one frame at
    25 fps.  pixel_aspect: how wide a pixel is to be shown, 1 for nearly every video.  hdr: it is HDR or BT.2020,
    and read as SDR.
    """

    path: Path
    fps: Fraction
    frames: int
    height: int
    width: int
    audio: bool
    still: bool
    pixel_aspect: Fraction = Fraction(1)
    hdr: bool = False

    def __post_init__(self) -> None:
        if not all(figure > 0 for figure in (self.fps, self.frames, self.height, self.width, self.pixel_aspect)):
            raise ValueError(f"a video needs a rate, frames and a size: {self}")

    @property
    def seconds(self) -> Fraction:
        """How long it lasts."""
        return self.frames / self.fps


def probe(path: Path) -> VideoInfo:
    """What the video is; BadInput if it cannot be read.  Reads its packets and decodes one picture.

    A file that is cut off or damaged, but can be used, is said to be so (see `media.damage_of`).
    """
    line = timeline(path)
    say_damage(path)
    with pictures(path, line) as (converter, decoded):
        _, first = next(decoded)
        lying = converter.turn(first).transposed
        hdr = is_hdr(first.color_trc, first.color_primaries)
    with opened(path) as (container, stream):
        if max(converter.width, converter.height) > WIDEST:
            raise Unreadable(
                f"{path}: has {converter.width} x {converter.height} pixels; make it {WIDEST} wide and high at most"
            )
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        return VideoInfo(
            path=path,
            fps=line.fps,
            frames=line.frames,
            height=converter.width if lying else converter.height,
            width=converter.height if lying else converter.width,
            audio=sound_stream(container) is not None,
            still=is_still(container, line.frames),
            pixel_aspect=1 / aspect if lying else aspect,
            hdr=hdr,
        )
