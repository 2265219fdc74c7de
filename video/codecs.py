"""How pictures are stored: a codec, the containers that hold it, and whether it can be transparent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av import CodecContext
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext

from core.errors import BadValue

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}


@dataclass(frozen=True)
class Codec:
    """One way to store pictures.

    encoder     FFmpeg's name of it
    pixels      the pixel format; opaque pictures
    matte       the pixel format that has alpha, None if there is none
    suffixes    of the containers that hold it, the best first
    grid        height and width are multiples of these: chroma is stored at half of the size
    options     fixed ones, for opaque and for transparent pictures
    """

    encoder: str
    pixels: str
    matte: str | None
    suffixes: tuple[str, ...]
    grid: tuple[int, int] = (1, 1)
    options: dict[str, str] = field(default_factory=dict)
    matte_options: dict[str, str] = field(default_factory=dict)

    @property
    def is_rgb(self) -> bool:
        """Whether pixels are stored as red, green and blue, so that nothing is lost."""
        return not self.pixels.startswith("yuv")


CODECS = {
    "h264": Codec("libx264", "yuv420p", None, (".mp4", ".mov", ".mkv"), (2, 2), options={"mbtree": "0"}),
    "ffv1": Codec(
        "ffv1", "bgr0", "bgra", (".mkv",),
        options={"level": "3", "slices": "4", "g": "1"}, matte_options={"level": "3", "slices": "4", "g": "1"},
    ),
    "prores": Codec(
        "prores_ks", "yuv422p10le", "yuva444p10le", (".mov",), (1, 2),
        options={"profile": "hq", "vendor": "apl0"},
        matte_options={"profile": "4444", "vendor": "apl0", "alpha_bits": "16"},
    ),
}  # fmt: skip
"""h264 plays everywhere; ffv1 keeps every bit; prores (422 HQ, and 4444 with alpha) is what editors want.

mbtree is off because with AVX-512 x264's macroblock tree reads memory that nobody wrote: the same frames gave six files
in eight runs.  That costs a quarter to a half more bytes, and gains half a decibel.
"""


HARDWARE: dict[str, tuple[str, Callable[[int], dict[str, str]]]] = {
    "h264_nvenc": ("yuv420p", lambda crf: {"preset": "p5", "rc": "vbr", "cq": str(crf), "b:v": "0"}),
    "h264_qsv": ("nv12", lambda crf: {"global_quality": str(max(crf, 1)), "async_depth": "4"}),
    "h264_amf": ("nv12", lambda crf: {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf), "quality": "balanced"}),
    "h264_videotoolbox": ("nv12", lambda crf: {"q:v": str(round(100 - 90 * crf / 51)), "allow_sw": "0"}),
}
"""FFmpeg's encoders of H.264 that are a chip's: the pixel format that each takes, and its options for a crf.

NVIDIA's, Intel's, AMD's and Apple's.  What they write differs from chip to chip; none was at hand to try these on.
"""
TRIED = 256  # pixels of the square that shows whether an encoder is there


def hardware(name: str, crf: int) -> Codec:
    """H.264 by a hardware encoder at about the quality of a crf.  BadInput if this machine has none of that name."""
    if name not in HARDWARE:
        raise BadValue(f"--encoder {name}: there is no such encoder here; choose one of {', '.join(HARDWARE)}")
    pixels, options = HARDWARE[name]
    codec = Codec(name, pixels, None, CODECS["h264"].suffixes, CODECS["h264"].grid, options=options(crf))
    try:
        context = cast(VideoCodecContext, CodecContext.create(name, "w"))
        context.width = context.height = TRIED
        context.pix_fmt, context.time_base, context.framerate = pixels, Fraction(1, 25), Fraction(25)
        context.options = codec.options
        context.open()
    except (av.FFmpegError, UnknownCodecError) as problem:
        why = getattr(problem, "strerror", None) or "PyAV knows none"
        raise BadValue(
            f"--encoder {name}: this machine has no such encoder ({why}); leave the flag out to encode on the CPU"
        ) from problem
    return codec


def codec_for(name: str, path: Path, *, transparent: bool = False) -> Codec:
    """The codec, if the container that the ending of `path` names holds it.  Else BadInput."""
    if name not in CODECS:
        raise BadValue(f"--codec {name}: there is no such codec here; choose one of {', '.join(CODECS)}")
    codec = CODECS[name]
    if transparent and codec.matte is None:
        raise BadValue(f"{path}: {name} has no transparency; pass --codec prores with .mov, or --codec ffv1 with .mkv")
    if path.suffix.lower() not in codec.suffixes:
        raise BadValue(f"{path}: {name} is written as {', '.join(codec.suffixes)}; choose one of these endings")
    return codec
