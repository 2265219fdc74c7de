"""Any file with sound -> one mono waveform.

Where a file's time begins: at its first picture if it has moving pictures, else at its first sound.  Sound before
that moment is cut, a late start is filled with silence, and so is a hole in the middle: sample n is heard at
n / rate on the clock by which `video.read_frames` numbers the frames of the same file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from errors import BadInput, lacks_memory

# Titles in broken Unicode stop nobody: so PyAV reads them from 19 on, before that it must be told.
LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
SAMPLE_RATE = 16_000  # samples per second of everything the networks hear
JITTER = Fraction(1, 10)  # seconds that timestamps may be off before that counts as a hole
LONGEST_HOLE = 600  # seconds; a longer one is a broken clock and not silence


@dataclass(frozen=True)
class Waveform:
    """Mono sound.  samples f32 [n] in [-1, 1], rate in samples per second.  ValueError if it is anything else."""

    samples: np.ndarray
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"samples must be float32 [n], not {self.samples.dtype} {list(self.samples.shape)}")
        if self.rate <= 0:
            raise ValueError(f"the rate must be positive, not {self.rate}")
        if self.samples.size and not float(np.abs(self.samples).max()) <= 1:  # false for NaN as well
            raise ValueError("samples must lie in [-1, 1]")

    @property
    def seconds(self) -> float:
        return self.samples.size / self.rate


def read_sound(path: Path, *, rate: int = SAMPLE_RATE) -> Waveform:
    """The first sound stream of any file, mono at `rate`; a damaged file gives what decodes.

    BadInput if there is no file, no sound, or nothing that decodes.  Memory: 4 bytes per sample, 230 MB for an hour
    at 16 kHz; `audio.read_mel` does not need even that.
    """
    return Waveform(np.concatenate(list(sound_blocks(path, rate=rate))), rate)


def sound_blocks(path: Path, *, rate: int = SAMPLE_RATE) -> Iterator[np.ndarray]:
    """The samples of `read_sound(path, rate=rate)` in order, a fraction of a second of f32 [n] at a time."""
    placed = 0  # samples yielded so far
    late = 0  # samples of the present run that fall before that, to be dropped
    with _opened(path) as (container, stream):
        for start, block in _runs(container, stream, rate):
            if start is not None:
                silence = start - placed
                late = max(-silence, 0)
                while silence > 0:
                    piece = min(silence, rate)
                    yield np.zeros(piece, np.float32)
                    placed, silence = placed + piece, silence - piece
            kept = block[late:]
            late -= block.size - kept.size
            placed += kept.size
            if kept.size:
                yield np.clip(kept, -1, 1)
    if not placed:
        raise BadInput(f"{path}: its sound cannot be decoded (empty or damaged); give a file that plays")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    if not path.is_file():
        raise BadInput(f"{path}: no such file; check the path of the sound")
    if not path.stat().st_size:
        raise BadInput(f"{path}: the file is empty; export or copy it again")
    try:
        container = av.open(str(path.absolute()), **LENIENT)
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{path}: not a readable sound or video file ({reason}); give a wav, mp3, m4a or mp4") from error
    with container:
        if not container.streams.audio:
            raise BadInput(f"{path}: it has no sound; give a file with a sound track")
        yield container, container.streams.audio[0]


def _runs(container: InputContainer, stream: AudioStream, rate: int) -> Iterator[tuple[int | None, np.ndarray]]:
    """Resampled blocks f32 [n]; with the first one of each unbroken run, the sample it belongs at (else None)."""
    zero = _zero(container, stream)
    resampler: AudioResampler | None = None
    sent = Fraction(0)  # where on the clock the next frame should begin, in seconds
    kind: tuple[str, str, int] | None = None
    start: int | None = None
    for frame in _decoded(container, stream):
        time = sent if frame.pts is None or not frame.time_base else frame.pts * frame.time_base - zero
        hole = time - sent
        if resampler is not None and not -JITTER <= hole <= LONGEST_HOLE:  # a clock that jumps is set again
            zero += hole
            time, hole = sent, Fraction(0)
        if resampler is None or hole > JITTER or kind != _kind(frame):
            yield from ((None, block) for block in _resampled(resampler, None))
            resampler, kind = AudioResampler(format="flt", layout="mono", rate=rate), _kind(frame)
            sent, start = time, round(time * rate)
        sent += Fraction(frame.samples, frame.sample_rate)
        for block in _resampled(resampler, frame):
            yield start, block
            start = None
    yield from ((None, block) for block in _resampled(resampler, None))


def _zero(container: InputContainer, stream: AudioStream) -> Fraction:
    """Where the file's time begins, in seconds (the same rule as in `video`)."""
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    for first in (*pictures[:1], stream):
        if first.start_time is not None and first.time_base is not None:
            return first.start_time * first.time_base
    return Fraction(0)


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Every frame that decodes; damaged packets are skipped, as players do."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as problem:  # the file ends in the middle of something
            if lacks_memory(problem):
                raise
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError as problem:  # damage is not always called invalid data
            if lacks_memory(problem):
                raise


def _resampled(resampler: AudioResampler | None, frame: AudioFrame | None) -> Iterator[np.ndarray]:
    if resampler is not None:
        for block in resampler.resample(frame):
            yield block.to_ndarray()[0]
