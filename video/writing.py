"""RGB frames and the sound that was given -> a video file that plays everywhere."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from av.video.stream import VideoStream

from errors import BadInput
from video.atomic import atomic
from video.sound import sound_of

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
THREADS = 4  # stated, because what x264 writes depends on it
ROUNDED = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
EXACT = Interpolation.BICUBIC | ROUNDED


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    *,
    sound: Path | None = None,
    seconds: float | None = None,
    crf: int = 16,
    preset: str = "medium",
    pixel_aspect: Fraction = Fraction(1),
) -> int:
    """Write frames (HWC u8 RGB, one size) at `fps` with the sound of a file; returns how many frames there were.

    H.264 yuv420p, limited range, converted to BT.709 and tagged so, whatever the source was.  A width or height that
    is odd grows by one pixel, the last column or row repeated, since 4:2:0 has no odd sizes.  mp4 and mov can be
    played while they load.  The same frames give the same bytes on any number of cores.

    The sound is copied packet by packet where the container holds it, else encoded as AAC; it begins where the
    pictures of its own file begin (see `audio.waveform`), and ends with the frames, or after `seconds` if that is
    earlier.  A sound that is shorter just ends.

    The file appears when it is complete; memory does not grow with its length.  BadInput: another suffix than mp4,
    mov, mkv; no frame; a sound without sound; a place that cannot be written; a full disk.
    """
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise BadInput(f"{path}: videos are written as {', '.join(CONTAINERS)}; choose one of these endings")
    if not 0 <= crf <= 51:
        raise ValueError(f"crf is 0 (lossless) to 51, not {crf}")
    end = Fraction(10**9) if seconds is None else Fraction(seconds)
    with atomic(path) as temporary, _output(temporary, container) as output:
        pictures = _add_pictures(output, fps, crf, preset)
        with sound_of(sound, output, path.suffix.lower()) as track:
            count = 0
            for frame in frames:
                if not count:
                    _size(pictures, frame, pixel_aspect)
                output.mux(pictures.encode(_converted(pictures, frame, count)))
                count += 1
                track.write_until(min(count / fps, end))
            if not count:
                raise BadInput(f"{path}: there is no frame to write; give a longer video or sound")
            output.mux(pictures.encode(None))
            track.finish(min(count / fps, end))
    return count


def _output(path: Path, container: str) -> OutputContainer:
    options = {"fflags": "+bitexact"}  # no random identifiers
    if container != "matroska":
        options["movflags"] = "+faststart"
    return av.open(str(path.absolute()), "w", format=container, container_options=options)


def _add_pictures(output: OutputContainer, fps: Fraction, crf: int, preset: str) -> VideoStream:
    stream = output.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": preset})
    context = stream.codec_context
    context.time_base = 1 / fps
    context.thread_count, context.thread_type = THREADS, "FRAME"
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _size(stream: VideoStream, frame: np.ndarray, pixel_aspect: Fraction) -> None:
    height, width = frame.shape[:2]
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.codec_context.sample_aspect_ratio = pixel_aspect


def _converted(stream: VideoStream, frame: np.ndarray, number: int) -> VideoFrame:
    """HWC u8 RGB -> a frame of the encoder's kind."""
    height, width = frame.shape[:2]
    even = height + height % 2, width + width % 2
    if frame.dtype != np.uint8 or frame.shape[2:] != (3,) or even != (stream.height, stream.width):
        raise ValueError(f"frame {number} is {frame.dtype} {list(frame.shape)}; it must be u8 [h, w, 3] as the first")
    if even != (height, width):
        frame = np.pad(frame, ((0, even[0] - height), (0, even[1] - width), (0, 0)), mode="edge")
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, interpolation=EXACT
    )
    picture.pts, picture.time_base = number, stream.codec_context.time_base
    return picture
