"""RGB frames and the sound that was given -> a video file."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from core.atomic import atomic
from core.errors import NoData
from video.codecs import CONTAINERS, codec_for, hardware
from video.encoding import Encoder
from video.sound import Mono, sound_of


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    *,
    sound: Path | Mono | None = None,
    seconds: float | None = None,
    codec: str = "h264",
    crf: int = 16,
    preset: str = "medium",
    encoder: str | None = None,
    pixel_aspect: Fraction = Fraction(1),
) -> int:
    """Write frames (HWC u8, one size, RGB or with straight alpha RGBA) at `fps` with a sound; returns how many.

    h264 (crf and preset are its own) is yuv420p and prores 10 bit 4:2:2 (4:4:4 with alpha), both limited range,
    converted to BT.709 and tagged so, whatever the source was; ffv1 keeps every bit of the RGB.  A width or height
    that a codec cannot hold grows by one pixel, the last column or row repeated.  mp4 and mov can be played while
    they load.  The same frames give the same bytes on any number of cores, and files of stretches that start at
    multiples of CHUNK can be joined to the whole (see `join`).

    encoder: a chip's instead of x264 (see `video.codecs.hardware`), at about the quality of the crf; its bytes need not
    be the same from run to run.

    The sound is copied packet by packet where the container holds it, else encoded as AAC; it begins where the
    pictures of its own file begin (see `audio.waveform`), and ends with the frames, or after `seconds` if that is
    earlier.  A sound that is shorter just ends.

    The file appears when it is complete; memory does not grow with its length.  BadInput: a container that does not
    hold the codec; an encoder that is not there; no frame; a sound without sound; a place that cannot be written; a
    full disk.
    """
    spec = codec_for(codec, path)
    if not 0 <= crf <= 51:
        raise ValueError(f"crf is 0 (lossless) to 51, not {crf}")
    options = {"crf": str(crf), "preset": preset} if codec == "h264" else {}
    if encoder is not None:
        spec, options = hardware(encoder, crf), {}
    end = Fraction(10**9) if seconds is None else Fraction(seconds)
    with atomic(path) as temporary, output_file(temporary) as output:
        stream = cast(VideoStream, output.add_stream(spec.encoder, rate=fps))
        writer = Encoder(stream, spec, fps, options, pixel_aspect)
        with sound_of(sound, output, path.suffix.lower()) as track:
            for frame in frames:
                output.mux(list(writer.encode(frame)))
                track.write_until(min(writer.frames / fps, end))
            if not writer.frames:
                raise NoData(f"{path}: there is no frame to write; give a longer video or sound")
            output.mux(list(writer.finish()))
            track.finish(min(writer.frames / fps, end))
    return writer.frames


def output_file(path: Path, comment: str | None = None) -> OutputContainer:
    """A container of the kind that the ending says; comment: for whoever asks what the file is, in its metadata."""
    container = CONTAINERS[path.suffix.lower()]
    options = {"fflags": "+bitexact"}  # no random identifiers
    if container != "matroska":
        options["movflags"] = "+faststart"
    output = av.open(str(path.absolute()), "w", format=container, container_options=options)
    if comment is not None:
        output.metadata["comment"] = comment
    return output
