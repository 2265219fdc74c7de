"""A video file -> upright RGB frames at a constant rate."""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from core.beside import ahead
from core.errors import Unreadable, lacks_memory
from media import demuxed, is_noted, note_at
from video.opening import is_still, opened
from video.picture import TURNING, Converter, Turn, exif_turn
from video.timeline import Key, Timeline, Times, timeline

LONGEST_FREEZE = 1  # seconds for which an undecodable stretch is bridged by the picture before it
BROKEN = "pictures"  # the kind of what is noted of pictures that do not decode
CUT_ANYWHERE = {"mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc"}  # streams, whose files begin and end somewhere
AHEAD = 4  # frames that are decoded before they are asked for
NEAR = 8  # frames: to open a file again and seek costs about as much as decoding so many


def read_frames(
    path: Path, *, start: int = 0, stop: int | None = None, longest: int | None = None
) -> Iterator[np.ndarray]:
    """Frames start..stop-1 (to the end if None), each HWC u8 RGB, upright, at the constant rate `probe(path).fps`.

    longest: of the longer side, pixels: where it has more, the frames come smaller (see `shrunken`), which is quicker.

    Frame k is the picture that is on screen at k / fps after the first one.  Reading from `start` seeks to the key
    frame before it and yields the same pixels as reading from 0.  Interlaced video is not deinterlaced.  A picture
    that does not decode is replaced by the one before; BadInput after a second of that, or if nothing decodes, so
    that exactly as many frames come as asked for, or an error.  ValueError if the range is not inside the video.
    Each frame is an array of its own and may be written into.
    """
    line = timeline(path)
    stop = line.frames if stop is None else stop
    if not 0 <= start <= stop <= line.frames:
        raise ValueError(f"{path} has frames 0..{line.frames - 1}; {start}..{stop - 1} are not inside")
    return _frames(path, line, line.shown[start:stop], longest)


def pick_frames(path: Path, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """The frames of these numbers, which never fall: the pixels of `read_frames`, as little decoded as the file allows.

    Between two that lie apart it seeks, if a key frame lies there too.  Raises as `read_frames`.
    """
    line = timeline(path)
    rising = all(before <= after for before, after in pairwise(numbers))
    if not rising or not all(0 <= number < line.frames for number in numbers):
        raise ValueError(f"{path} has frames 0..{line.frames - 1}; {list(numbers)} are not inside, or not in order")
    shown = line.shown[np.array(numbers, np.int64)]
    for group in np.split(shown, _leaps(line, shown)):
        yield from _frames(path, line, group)


def picked_ahead(path: Path, numbers: Sequence[int]) -> AbstractContextManager[Iterator[np.ndarray]]:
    """`pick_frames`, a few of them decoded by another thread while the ones before are used; leaving it ends that."""
    return ahead(pick_frames(path, numbers), AHEAD, "decode")


def read_backwards(path: Path, *, start: int, stop: int, held: int) -> Iterator[np.ndarray]:
    """Frames stop-1, stop-2, ... start: the pixels of `read_frames`.  Raises as it does.

    It reads forwards, `held` frames at a time, and keeps those as they are stored: 4:2:0 takes half the memory of RGB.
    """
    line = timeline(path)
    if not 0 <= start <= stop <= line.frames or held < 1:
        raise ValueError(f"{path} has frames 0..{line.frames - 1}; {start}..{stop - 1} by {held} are not inside")
    while stop > start:
        low = max(start, stop - held)
        block = list(_stored(path, line, line.shown[low:stop]))
        while block:
            yield block.pop()(None)
        stop = low


def _leaps(line: Timeline, shown: Times) -> list[int]:
    """The places in `shown`, int64 [n] rising, to which seeking is quicker than reading on."""
    far = np.flatnonzero(np.diff(shown) > NEAR)
    keys = [(place, line.key_before(int(line.times[shown[place + 1]]))) for place in far]
    return [int(place) + 1 for place, key in keys if key is not None and key.pts > line.times[shown[place]]]


def _frames(path: Path, line: Timeline, shown: Times, longest: int | None = None) -> Iterator[np.ndarray]:
    return (convert(longest) for convert in _stored(path, line, shown))


def _stored(path: Path, line: Timeline, shown: Times) -> Iterator[Callable[[int | None], np.ndarray]]:
    """Each frame before its conversion (see `Converter.rgb`)."""
    wanted = line.times[shown]  # [frames], ascending
    if not wanted.size:
        return
    with pictures(path, line, int(wanted[0])) as (converter, decoded):
        turned = ((time, frame, converter.turn(frame)) for time, frame in decoded)
        time, frame, turn = next(turned)
        following = next(turned, None)
        for moment in wanted:
            while following is not None and following[0] <= moment:
                time, frame, turn = following
                following = next(turned, None)
            if (moment - time) * line.tick > LONGEST_FREEZE:
                position = float((time - line.times[0]) * line.tick)
                raise Unreadable(f"{path}: damaged after {position:.1f} s; cut it there, or export or copy it again")
            if moment != time and is_noted(path, BROKEN):  # else nobody has missed it: fields that are stored apart
                _note_broken(path, line, int(moment))
            yield partial(converter.rgb, frame, turn)


@contextmanager
def pictures(
    path: Path, line: Timeline, first: int = 0
) -> Iterator[tuple[Converter, Iterator[tuple[int, VideoFrame]]]]:
    """What converts them, and the decoded frames with their times on the line, from at or before `first`.

    BadInput when nothing can be decoded.
    """
    key = line.key_before(first)
    if key is not None:
        with opened(path) as (container, stream):
            timed = _from_key(path, line, container, stream, key)
            if timed is not None:
                yield _converter(stream), timed
                return
    with opened(path) as (container, stream):
        frames = _decoded(path, line, stream, demuxed(container, stream))
        timed = enumerate(frames) if line.counted else _stamped(frames)
        head = next(timed, None)
        if head is None:
            raise Unreadable(
                f"{path}: none of its pictures can be decoded (damaged, too many pixels, or a kind that is not known"
                " here); export it again, as an mp4 or a png"
            )
        yield _converter(stream, exif_turn(path) if is_still(container, line.frames) else None), chain([head], timed)


def _converter(stream: VideoStream, exif: Turn | None = None) -> Converter:
    turning = exif is None and stream.codec.canonical_name in TURNING
    return Converter(stream.width, stream.height, exif=exif, turning=turning)


def _from_key(
    path: Path, line: Timeline, container: InputContainer, stream: VideoStream, key: Key
) -> Iterator[tuple[int, VideoFrame]] | None:
    """The timed frames from this key frame, or None if reading from there would not give the same pixels.

    Where a seek lands is up to the container, so the very packet must come by; and a decoder can begin at a key frame
    only if that is a whole picture (streams with intra refresh have none).
    """
    container.seek(key.dts, stream=stream)
    packets = demuxed(container, stream)
    keys = (packet for packet in packets if packet.is_keyframe)
    head = next((packet for packet in keys if packet.pts is not None and packet.pts >= key.pts), None)
    if head is None or (head.pts, head.size) != (key.pts, key.size):
        return None
    timed = _stamped(_decoded(path, line, stream, chain([head], packets)))
    begin = next((item for item in timed if item[0] >= key.pts), None)
    if begin is None or begin[0] != key.pts or begin[1].pict_type != PictureType.I:
        return None
    return chain([begin], timed)


def _decoded(
    path: Path, line: Timeline, stream: VideoStream, packets: Iterator["Packet[VideoStream]"]
) -> Iterator[VideoFrame]:
    """Every frame that decodes; what does not is left out, and noted, as is what decodes but in part.

    Where a file is cut off there is such a picture, and it is no news; nor is it at the ends of a broadcast.
    """
    suspects: list[int] = []
    cut = stream.container.format.name in CUT_ANYWHERE
    whole = not cut  # whether a picture was there that is
    for packet in chain((packet for packet in packets if packet.size), [None]):
        try:
            for frame in stream.decode(packet):
                if frame.is_corrupt:
                    suspects += [] if frame.pts is None or not whole else [frame.pts]
                else:
                    whole = True
                    while suspects:
                        _note_broken(path, line, suspects.pop())
                yield frame
        except av.FFmpegError as problem:
            if lacks_memory(problem):
                raise
            suspects += [] if packet is None or packet.pts is None or not whole else [packet.pts]
    while suspects and not cut:
        _note_broken(path, line, suspects.pop())


def _note_broken(path: Path, line: Timeline, time: int) -> None:
    def told(times: Set[int]) -> str:
        first = max(float((min(times) - line.times[0]) * line.tick), 0.0)
        count = f"{len(times)} of its pictures, the first" if len(times) > 1 else "one of its pictures,"
        return (
            f"{path}: is damaged: {count} at {first:.2f} s, cannot be decoded whole, and the one beside stands in for"
            " what is missing; copy or export it again"
        )

    at_the_end = (line.times[-1] - time) * line.tick < LONGEST_FREEZE and is_noted(path, "cut")
    if not line.counted and not at_the_end:
        note_at(path, BROKEN, time, told)


def _stamped(frames: Iterator[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
    return ((frame.pts, frame) for frame in frames if frame.pts is not None)
