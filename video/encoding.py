"""RGB or RGBA frames -> packets, by an encoder that begins anew at every chunk.

Every CHUNK frames the encoder is flushed and another takes over.  So a stretch that starts at a multiple of CHUNK
gives the same packets whether it is part of a whole or a file of its own, and `join` of such files is the whole.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import numpy as np
from av import CodecContext
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from video.codecs import Codec

CHUNK = 320
"""Frames from one fresh start of the encoder to the next: 13 s at 25 fps, and a multiple of every usual batch."""
THREADS = 4  # stated, because what x264 writes depends on it
ROUNDED = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
EXACT = Interpolation.BICUBIC | ROUNDED


class Encoder:
    """Packets of one stream, whose codec context serves the first chunk."""

    def __init__(
        self, stream: VideoStream, codec: Codec, fps: Fraction, options: dict[str, str], pixel_aspect: Fraction
    ) -> None:
        self.stream = stream
        self.codec = codec
        self.fps = fps
        self.options = options
        self.pixel_aspect = pixel_aspect
        self.frames = 0
        self._context: VideoCodecContext = stream.codec_context
        self._shape: tuple[int, ...] = ()
        self._reformatter = VideoReformatter()

    def encode(self, frame: np.ndarray) -> Iterator["Packet[VideoStream]"]:
        """HWC u8 RGB or RGBA, all of one shape (else ValueError) -> what is ready by then."""
        if not self.frames:
            self._begin(frame)
        elif self.frames % CHUNK == 0:
            yield from self.finish()
            self._context = cast(VideoCodecContext, CodecContext.create(self.codec.encoder, "w"))
            self._configure(self._context)
        if frame.dtype != np.uint8 or frame.shape != self._shape:
            raise ValueError(
                f"frame {self.frames} is {frame.dtype} {list(frame.shape)}; it must be u8 [h, w, 3 or 4] as the first"
            )
        picture = self._converted(frame)
        picture.pts, picture.time_base = self.frames, 1 / self.fps
        self.frames += 1
        yield from self._addressed(self._context.encode(picture))

    def finish(self) -> Iterator["Packet[VideoStream]"]:
        """The packets that the encoder still holds back."""
        yield from self._addressed(self._context.encode(None))

    def _begin(self, frame: np.ndarray) -> None:
        self._shape = frame.shape
        if frame.ndim != 3 or frame.shape[2] not in (3, 4) or (frame.shape[2] == 4 and self.codec.matte is None):
            raise ValueError(f"frame 0 is {list(frame.shape)}; it must be [h, w, 3], or [h, w, 4] where there is alpha")
        self._configure(self._context)

    def _configure(self, context: VideoCodecContext) -> None:
        height, width = (-(-length // step) * step for length, step in zip(self._shape, self.codec.grid, strict=False))
        transparent = self._shape[2] == 4
        context.width, context.height = width, height
        context.pix_fmt = self.codec.matte if transparent else self.codec.pixels
        context.time_base, context.framerate = 1 / self.fps, self.fps
        context.sample_aspect_ratio = self.pixel_aspect
        context.options = (self.codec.matte_options if transparent else self.codec.options) | self.options
        context.thread_count, context.thread_type = THREADS, "FRAME"
        context.flags |= Flags.global_header
        if not self.codec.is_rgb:
            context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709

    def _converted(self, frame: np.ndarray) -> VideoFrame:
        """A frame of the encoder's kind; where its size must grow, its edge is repeated."""
        rows, columns = self._context.height - frame.shape[0], self._context.width - frame.shape[1]
        if rows or columns:
            frame = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge")
        kind = "rgba" if frame.shape[2] == 4 else "rgb24"
        picture = VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format=kind)  # not copied
        if self.codec.is_rgb:
            return self._reformatter.reformat(picture, format=self._context.pix_fmt, threads=1)
        return self._reformatter.reformat(
            picture,
            format=self._context.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
            threads=1,
        )

    def _addressed(self, packets: list["Packet[VideoStream]"]) -> Iterator["Packet[VideoStream]"]:
        for packet in packets:
            packet.stream = self.stream
            yield packet
