"""Whether a file has all that it says it has: cut off files and damaged ones can be read, and end too early.

What a file says is taken from its own structure alone, never from FFmpeg's guesses by bit rate: the index of mov and
mp4, the sizes of chunks (wav, aiff, avi, webp), boxes (fragmented mp4), pages (ogg) and the segment (mkv, webm), the
length in the head of mkv, webm, flv, flac and mp3, and the end mark of jpg.  A stream of a broadcast, as ts and mpg
are, says nothing of the kind.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from media.damage import is_noted, note, say_damage
from media.ogg import pages

Stream = AudioStream | VideoStream

ROUNDED = Fraction(1, 10)  # seconds by which the length in a head may be more than what is there
GUESSED = Fraction(1, 2)  # the same where no byte lacks: some writers leave the last picture's time out
OPEN = range(0x7FF0_0000, 1 << 32)  # sizes of chunks that who wrote them as a stream could not know
PAYLOAD = {b"data", b"SSND"}  # chunks that hold sound; pictures are in a list called movi
SEGMENT, LEVELS = 0x18538067, {0x1A45DFA3, 0x18538067, 0xEC}  # Matroska: EBMLHeader, Segment, Void (RFC 9559)
XING = 2048  # bytes of the first frame of an mp3 in which its length may be


def check_whole(container: InputContainer, stream: Stream, end: Fraction) -> None:
    """Notes it (`media.damage`) if a stream, which was read up to its end, lacks something that the file says it has.

    end: seconds from the stream's start to the end of its last packet, which may be none.
    """
    path, name = Path(container.name), container.format.name
    if not end:  # an error says so
        return
    if is_noted(path, "cut"):
        say_damage(path)
        return
    what = "sound" if isinstance(stream, AudioStream) else "pictures"
    lacking = _lacking(container, stream)
    if sentence := _still_sentence(path, name):
        note(path, "cut", sentence)
    elif (said := _said(container, stream, end, lacking)) is not None:
        wanted = f"{'about ' if name == 'avi' else ''}{float(said):.2f} s"  # whose bytes say that, not its pictures
        note(path, "cut", (
            f"{path}: is cut off or damaged: its {what} should last {wanted}, and {float(end):.2f} s of that can be"
            " read, which are used; copy or export it again"
        ))  # fmt: skip
    elif lacking and (name == "ogg" or name.startswith("mov,")):
        note(path, "cut", (
            f"{path}: is cut off: {lacking} bytes lack at its end, of its {what} {float(end):.2f} s can be read, which"
            " are used; copy or export it again"
        ))  # fmt: skip


def _said(container: InputContainer, stream: Stream, end: Fraction, lacking: int) -> Fraction | None:
    """How long the stream should last, in seconds, if that is known and is more than there is."""
    name, tick = container.format.name, Fraction(stream.time_base or 0)
    own = stream.duration * tick if stream.duration is not None else None
    if name.startswith("mov,"):
        return own if lacking and own is not None and own > end else None
    if name == "flac" or (name == "mp3" and _says_length(Path(container.name))):
        return own if own is not None and own - end > ROUNDED else None
    if name in ("matroska,webm", "flv"):
        whole = Fraction(container.duration or 0, 1_000_000)
        most = ROUNDED if lacking else GUESSED
        begin = (stream.start_time or 0) * tick  # what the head says ends with the last of all streams, from 0 on
        return whole if whole - begin - end > most and whole - _last(container) > most else None
    if lacking and name in ("wav", "aiff", "avi"):
        size = Path(container.name).stat().st_size
        return end * (size + lacking) / size if end * lacking / size > ROUNDED / 2 else None
    return None


def _last(container: InputContainer) -> Fraction:
    """The end of the last packet of any stream, in seconds."""
    import av

    from media.opening import LENIENT, OPTIONS

    last = Fraction(0)
    with av.open(container.name, options=OPTIONS, **LENIENT) as again:
        packets = again.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return last
            if packet is None:
                return last
            if packet.pts is not None and packet.time_base:
                last = max(last, (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base))


def _lacking(container: InputContainer, stream: Stream) -> int:
    """How many bytes of it the file should have beyond its end, as far as it says."""
    name, path = container.format.name, Path(container.name)
    size = path.stat().st_size
    if name.startswith("mov,") and len(stream.index_entries):
        last = stream.index_entries[-1]
        if last.pos + last.size > size:
            return last.pos + last.size - size
        if stream.frames:  # as in every file that is not fragmented
            return 0
    walk = next((walk for start, walk in WALKS.items() if name.startswith(start)), None)
    if walk is None or not size:
        return 0
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return max((end - size for end in walk(data) if end > size), default=0)


def _chunks(data: mmap) -> Iterator[int]:
    """Where chunks of pictures or sound should end (RIFF, RF64 and IFF)."""
    order: Literal["big", "little"] = "big" if data[:4] == b"FORM" else "little"
    place, large = 0, 0
    while len(head := data[place : place + 8]) == 8:
        name, size = head[:4], int.from_bytes(head[4:], order)
        if name in (b"RIFF", b"RF64", b"FORM"):
            place += 12
            continue
        if name == b"ds64":
            large = int.from_bytes(data[place + 16 : place + 24], "little")
        if name == b"data" and size == OPEN[-1] and large:
            size = large
        elif size in OPEN or (name == b"data" and not size):
            return
        if name in PAYLOAD or data[place + 8 : place + 12] == b"movi":
            yield place + 8 + size
        place += 8 + size + size % 2


def _boxes(data: mmap) -> Iterator[int]:
    """Where the boxes of a fragmented file should end (ISO/IEC 14496-12, 4.2)."""
    place = 0
    while len(head := data[place : place + 16]) >= 8:
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:
            return
        if name in (b"moof", b"mdat"):
            yield place + size
        place += size


def _elements(data: mmap) -> Iterator[int]:
    """Where the segment of a Matroska file should end, if it says that."""
    place = 0
    while place < len(data):
        number, place = _varint(data, place, keep=True)
        start = place
        size, place = _varint(data, place, keep=False)
        if number not in LEVELS or size == (1 << 7 * (place - start)) - 1:  # of no known size
            return
        if number == SEGMENT:
            yield place + size
            return
        place += size


def _varint(data: mmap, place: int, *, keep: bool) -> tuple[int, int]:
    """A number of variable length, with or without its marker, and the place behind it (RFC 8794, 4)."""
    length = 9 - int.from_bytes(data[place : place + 1], "big").bit_length()
    value = int.from_bytes(data[place : place + length], "big")
    return (value if keep else value & ((1 << 7 * length) - 1)), place + length


WALKS: dict[str, Callable[[mmap], Iterator[int]]] = {
    "wav": _chunks, "aiff": _chunks, "avi": _chunks, "mov,": _boxes, "matroska": _elements,
    "ogg": lambda data: (page.stop for page in pages(data)),
}  # fmt: skip


def _says_length(path: Path) -> bool:
    """Whether the first frame of an mp3 has a head that counts its frames (Xing's, LAME's or Fraunhofer's)."""
    with path.open("rb") as file:
        head = file.read(10)
        tag = 10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10])))  # ID3v2, 3.1
        file.seek(tag if head[:3] == b"ID3" else 0)
        first = file.read(XING)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))


def _still_sentence(path: Path, name: str) -> str | None:
    """For a picture whose end is not there; None if it is, or if this is no picture."""
    if name != "image2" and not name.endswith("_pipe"):
        return None
    data = path.read_bytes()
    if data[:2] != b"\xff\xd8":  # of other kinds nothing decodes without their end
        return None
    whole = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")  # in pictures' data there is no 0xff but for marks
    return None if whole else (
        f"{path}: is cut off: the end of the picture is not among its {len(data)} bytes, and what is there is used;"
        " copy or export it again"
    )  # fmt: skip
