"""Chunks of one video -> the video, without encoding anything again."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from av.packet import Packet
from av.video.stream import VideoStream

from core.atomic import atomic
from core.errors import NoData
from media import demuxed
from video.codecs import CODECS
from video.opening import opened
from video.sound import Mono, sound_of
from video.writing import output_file


def chunk_suffix(codec: str) -> str:
    """The ending of a chunk: that of the container which keeps the codec's time stamps the most exactly."""
    return CODECS[codec].suffixes[0]


def join(
    parts: Sequence[Path],
    path: Path,
    fps: Fraction,
    *,
    sound: Path | Mono | None = None,
    seconds: float | None = None,
    comment: str | None = None,
) -> int:
    """Pictures of all parts, in their order, with a sound as `write_video` adds it; returns how many frames.

    comment: what the metadata says of the file.

    The parts were written by `write_video` at `fps` with the same settings, each from a multiple of CHUNK on: then
    the packets are those that writing the whole at once gives.  BadInput if there is no part or one cannot be read;
    ValueError if they do not go together.
    """
    if not parts:
        raise NoData(f"{path}: there is no part to join; run the parts again")
    end = Fraction(10**9) if seconds is None else Fraction(seconds)
    with atomic(path) as temporary, output_file(temporary, comment) as output, opened(parts[0]) as (_, template):
        stream = output.add_stream_from_template(template)
        stream.time_base = 1 / fps
        kind = _kind(template)
        with sound_of(sound, output, path.suffix.lower()) as track:
            frames = 0
            for part in parts:
                with opened(part) as (container, pictures):
                    if _kind(pictures) != kind:
                        raise ValueError(f"{part}: its pictures are of another kind than those of {parts[0]}")
                    count = 0
                    for packet in _shifted(demuxed(container, pictures), stream, frames, fps):
                        output.mux(packet)
                        count += 1
                        track.write_until(min((frames + count) / fps, end))
                    frames += count
            track.finish(min(frames / fps, end))
    return frames


def _kind(stream: VideoStream) -> tuple[object, ...]:
    context = stream.codec_context
    return context.name, context.pix_fmt, context.width, context.height, context.extradata


def _shifted(
    packets: Iterator["Packet[VideoStream]"], stream: VideoStream, first: int, fps: Fraction
) -> Iterator["Packet[VideoStream]"]:
    """The packets of one part, their times as whole frames from frame `first` on."""
    for packet in packets:
        if packet.size:
            frame = Fraction(packet.time_base) * fps
            shown = packet.dts if packet.pts is None else packet.pts
            decoded = shown if packet.dts is None else packet.dts
            packet.pts, packet.dts = first + round((shown or 0) * frame), first + round((decoded or 0) * frame)
            packet.time_base, packet.duration = 1 / fps, 1
            packet.stream = stream
            yield packet
