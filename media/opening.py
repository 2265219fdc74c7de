"""A file -> its container and the streams that are meant, or one sentence that says why not."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from core.errors import NoData, NotFound, Unreadable, lacks_memory, not_opened
from media.wholeness import check_whole

S = TypeVar("S", AudioStream, VideoStream)
# Titles in broken Unicode stop nobody: so PyAV reads them from 19 on, before that it must be told.
LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
OTHERS = {
    "hls", "applehttp", "dash", "webm_dash_manifest", "concat", "imf", "sdp", "rtsp", "rtp", "rtp_mpegts", "sap",
    "lavfi",
}  # fmt: skip
"""Formats that are no media but name others, which a stranger's file must not make us open."""
MEDIA = ",".join(sorted(av.formats_available - OTHERS))
OPTIONS = {"format_whitelist": MEDIA, "pattern_type": "none"}
"""A picture of the name x%03d.png is that file, and no pattern of others."""
BROKEN_CLOCK = 600  # seconds that sound may begin before or after the pictures; more is a clock that means nothing
LOOKED_AT = 400  # packets by which streams of several pictures are told from those of one
RATES = range(1_000, 768_001)  # samples per second of what can be a sound
CHANNELS = 64
ENOUGH = 256 * 2**20  # bytes: several times what FFmpeg holds of a film of two hours before its first picture


def open_media(path: Path, what: str, give: str) -> InputContainer:
    """The container.  BadInput if there is no file, it is empty, it is no media, or one that names other files.

    what, give: for the sentence, "video", and what to pass instead.
    """
    if not file_version(path, what)[1]:
        raise NoData(f"{path}: the file is empty; export or copy it again")
    try:
        return cast(
            InputContainer, av.open(str(path.absolute()), options=OPTIONS, **LENIENT)
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        if lacks_memory(error):
            if not _has_memory():
                raise
            raise Unreadable(
                f"{path}: asks for more memory to be opened than a {what} needs, so its index is damaged; {give}"
            ) from None  # its cause would be taken for ours
        reason = getattr(error, "strerror", None) or error
        wrong = Unreadable(
            f"{path}: not a readable {what}, cut off before its index, or a list of other files ({reason}); {give}"
        )
        raise not_opened(f"{path}", error) or wrong from error


def _has_memory() -> bool:
    """Whether there is what opening a file takes."""
    try:
        bytearray(ENOUGH)
    except MemoryError:
        return False
    return True


def file_version(path: Path, what: str) -> tuple[int, int]:
    """When a file was changed, in ns, and its size: another version of it is another question.

    NotFound, or Unreadable for a folder, a pipe or a device, which cannot be read twice.
    """
    if not path.exists():
        raise NotFound(f"{path}: no such file; check the path of the {what}")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise Unreadable(f"{path}: is {kind} and no file; check the path of the {what}")
    state = path.stat()
    return state.st_mtime_ns, state.st_size


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The stream of pictures that is meant: none of cover art; of several one of more than one picture, the default."""
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if len(moving) < 2:
        return moving[0] if moving else None
    many = _several(container, moving)
    return max(moving, key=lambda stream: (stream.index in many, _is_default(stream), -stream.index))


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The stream of sound that is meant: the first that is flagged default, else the first."""
    return max(container.streams.audio, key=lambda stream: (_is_default(stream), -stream.index), default=None)


def zero(container: InputContainer, stream: AudioStream) -> Fraction:
    """Where the file's time begins, in seconds: at its first picture, else at its first sound.

    Sound that begins more than BROKEN_CLOCK away from the pictures has a clock of its own: that begins with it.
    """
    own = _start(stream)
    pictures = picture_stream(container)
    shown = None if pictures is None else _start(pictures)
    if shown is None or (own is not None and abs(own - shown) > BROKEN_CLOCK):
        return own or Fraction(0)
    return shown


def demuxed(container: InputContainer, stream: S) -> Iterator["Packet[S]"]:
    """The packets of one stream in decoding order, up to where a cut file ends; the last one may be empty.

    If that is too early, it is noted (see `media.wholeness`).
    """
    packets, end = container.demux(stream), Fraction(0)
    begin, tick = stream.start_time or 0, Fraction(stream.time_base or 0)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as problem:  # cut in the middle of a packet
            if lacks_memory(problem):
                raise
            packet = None
        if packet is None:
            break
        if packet.size and packet.pts is not None:
            end = max(end, (packet.pts + (packet.duration or 0) - begin) * tick)
        yield packet
    if Path(container.name).is_file():  # else it is a part of one
        check_whole(container, stream, end)


def check_sound(path: Path, rate: int, channels: int) -> None:
    """BadInput for a sound that no recorder makes."""
    if rate not in RATES or not 1 <= channels <= CHANNELS:
        raise Unreadable(
            f"{path}: says that it has {rate} samples a second in {channels} channels; convert it to a usual wav"
        )


@contextmanager
def opened_sound(path: Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    """A file open at the sound that is meant.  BadInput if it has none, or cannot be read."""
    with open_media(path, "sound or video file", "give a wav, mp3, m4a or mp4") as container:
        stream = sound_stream(container)
        if stream is None:
            raise NoData(f"{path}: it has no sound; give a file with a sound track")
        check_sound(path, stream.codec_context.sample_rate, stream.codec_context.channels)
        yield container, stream


def _start(stream: AudioStream | VideoStream) -> Fraction | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return stream.start_time * stream.time_base


def _is_default(stream: AudioStream | VideoStream) -> bool:
    return bool(stream.disposition & Disposition.default)


def _several(container: InputContainer, streams: list[VideoStream]) -> set[int]:
    """The numbers of those that have more than one picture, as far as is looked."""
    counts: Counter[int] = Counter()
    try:
        with open_media(Path(container.name), "video", "") as again:  # what was read of this one would be lost
            for packet in islice(again.demux([again.streams[stream.index] for stream in streams]), LOOKED_AT):
                counts[packet.stream_index] += bool(packet.size)
    except av.FFmpegError as error:
        if lacks_memory(error):
            raise
    return {index for index, count in counts.items() if count > 1}
