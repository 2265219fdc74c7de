"""A stream of sound -> samples on the clock of its file, whatever becomes of its rate, its channels and its clock."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from core.arrays import Samples
from core.errors import lacks_memory
from media.damage import note
from media.ogg import pages
from media.opening import LENIENT, check_sound, demuxed, sound_stream, zero

JITTER = Fraction(1, 10)  # seconds that timestamps may be off before that counts as a hole
LONGEST_HOLE = 600  # seconds; a longer one is a broken clock and not silence
CANCELS = 0.01  # of the power of the louder channel, 20 dB: below that a mix of two has cancelled
STEADY = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "wav", "avi")  # one kind of sound from beginning to end
GAPLESS = {"flac"}  # formats that count their samples, so that a hole is damage


Kind = tuple[str, str, int]


def heard(
    path: Path, container: InputContainer, stream: AudioStream, rate: int, layout: str = "mono"
) -> Iterator[Samples]:
    """All of it from time 0 on, f32 [channels, n] in [-1, 1], a fraction of a second at a time.

    Sound before that moment is cut, a late start and a hole in the middle are silence, and so is what is no number.
    BadInput for rates and channels that no recorder makes.
    """
    placed = 0  # samples yielded so far
    late = 0  # samples of the present run that fall before that, to be dropped
    for start, block in _runs(path, container, stream, rate, layout):
        if start is not None:
            silence = start - placed
            late = max(-silence, 0)
            while silence > 0:
                piece = min(silence, rate)
                yield np.zeros((len(block), piece), np.float32)
                placed, silence = placed + piece, silence - piece
        rest = block[:, late:]
        late -= block.shape[1] - rest.shape[1]
        placed += rest.shape[1]
        if rest.size:
            yield np.clip(rest, -1, 1)


def changes(container: InputContainer, stream: AudioStream) -> bool:
    """Whether it is of another rate or other channels somewhere; reads all of a file in which that can be."""
    if container.format.name in STEADY:
        return False
    return len(links(container)) > 1 or len({_kind(frame) for frame in decoded(container, stream)}) > 1


def mixes(path: Path, container: InputContainer, stream: AudioStream) -> int | None:
    """The louder of two channels if they cancel when they are mixed, None if they do not; reads all of it."""
    power, mixed = np.zeros(2), 0.0
    for block in heard(path, container, stream, stream.codec_context.sample_rate, "stereo"):
        power += np.square(block, dtype=np.float64).sum(axis=1)
        mixed += float(np.square(block.mean(axis=0), dtype=np.float64).sum())
    return int(power.argmax()) if mixed < CANCELS * power.max() else None


def not_numbers(container: InputContainer, stream: AudioStream) -> int:
    """How many samples are no numbers (or infinite), which are heard as 0; reads all of it, if it can hold some."""
    if not stream.codec_context.name.startswith("pcm_f"):
        return 0
    return sum(int((~np.isfinite(frame.to_ndarray())).sum()) for frame in decoded(container, stream))


def links(container: InputContainer) -> list[slice]:
    """The bytes of each of the recordings that an Ogg file holds one after the other, none for other files."""
    if container.format.name != "ogg":
        return []
    with Path(container.name).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        starts, beginning = [0], True
        for page in pages(data):
            if page.first and not beginning:
                starts.append(page.start)
            beginning = page.first
        return [slice(*ends) for ends in pairwise([*starts, len(data)])]


def decoded(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Every frame that decodes; damaged packets are skipped, as players do.

    FFmpeg reads an Ogg file up to where another kind of recording begins: so each is opened by itself.
    """
    chained, path = links(container), Path(container.name)
    if len(chained) < 2:
        yield from _decoded(path, container, stream)
        return
    data = path.read_bytes()
    for link in chained:
        with suppress(av.FFmpegError), av.open(BytesIO(data[link]), format="ogg", **LENIENT) as part:
            if (own := sound_stream(part)) is not None:
                yield from _decoded(path, part, own)


def _decoded(path: Path, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """What decodes; what does not is noted if something does before and behind it, and it could be heard."""
    lost, behind = Fraction(0), Fraction(0)  # seconds between what decodes, and since something did
    due: Fraction | None = None  # when the next frame begins, once there was one
    for packet in demuxed(container, stream):
        try:
            for frame in packet.decode():
                begin = (frame.pts or 0) * Fraction(frame.time_base or 0)
                if due is not None and container.format.name in GAPLESS:  # whose parser leaves out what is none
                    behind = max(begin - due, Fraction(0))
                due = begin + Fraction(frame.samples, max(frame.sample_rate, 1))
                lost, behind = lost + behind, Fraction(0)
                yield frame
        except av.FFmpegError as problem:  # damage is not always called invalid data
            if lacks_memory(problem):
                raise
            behind += Fraction(0) if due is None else (packet.duration or 0) * Fraction(packet.time_base or 0)
    if lost > JITTER:
        note(path, "sound", (
            f"{path}: is damaged: {float(lost):.2f} s of its sound, in all, cannot be decoded and are heard as silence;"
            " copy or export it again"
        ))  # fmt: skip


def _runs(
    path: Path, container: InputContainer, stream: AudioStream, rate: int, layout: str
) -> Iterator[tuple[int | None, Samples]]:
    """Resampled blocks; with the first one of each unbroken run, the sample it belongs at (else None)."""
    begin = zero(container, stream)
    resampler: AudioResampler | None = None
    sent = Fraction(0)  # where on the clock the next frame should begin, in seconds
    kind: Kind | None = None
    start: int | None = None
    for frame in decoded(container, stream):
        check_sound(path, frame.sample_rate, len(frame.layout.channels))
        time = sent if frame.pts is None or not frame.time_base else frame.pts * frame.time_base - begin
        hole = time - sent
        if hole > LONGEST_HOLE or (resampler is not None and hole < -JITTER):  # a clock that jumps is set again
            begin += hole
            time, hole = sent, Fraction(0)
        if resampler is None or hole > JITTER or kind != _kind(frame):
            yield from ((None, block) for block in _resampled(resampler, None))
            resampler, kind = AudioResampler(format="fltp", layout=layout, rate=rate), _kind(frame)
            sent, start = time, round(time * rate)
        sent += Fraction(frame.samples, frame.sample_rate)
        for block in _resampled(resampler, _finite(frame)):
            yield start, block
            start = None
    yield from ((None, block) for block in _resampled(resampler, None))


def _finite(frame: AudioFrame) -> AudioFrame:
    """The frame with 0 for samples that are no numbers."""
    if not frame.format.name.startswith(("flt", "dbl")):
        return frame
    samples = frame.to_ndarray().copy()
    if np.isfinite(samples).all():
        return frame
    samples[~np.isfinite(samples)] = 0
    clean = AudioFrame.from_ndarray(samples, format=frame.format.name, layout=frame.layout.name)
    clean.sample_rate, clean.pts, clean.time_base = frame.sample_rate, frame.pts, frame.time_base
    return clean


def _kind(frame: AudioFrame) -> Kind:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _resampled(resampler: AudioResampler | None, frame: AudioFrame | None) -> Iterator[Samples]:
    if resampler is not None:
        for block in resampler.resample(frame):
            yield np.asarray(block.to_ndarray(), np.float32)
