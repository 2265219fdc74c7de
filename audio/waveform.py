"""Any file with sound -> one mono waveform.

Where a file's time begins: at its first picture if it has moving pictures, else at its first sound.  Sound before
that moment is cut, a late start is filled with silence, and so is a hole in the middle: sample n is heard at
n / rate on the clock by which `video.read_frames` numbers the frames of the same file.  Of two channels that cancel
when they are mixed, the louder one is heard; what is no number is silence.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from core.errors import Unreadable
from media import file_version, heard, mixes, not_numbers, opened_sound

SAMPLE_RATE = 16_000  # samples per second of everything the networks hear


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
    channel = louder_channel(path)
    empty = True
    with opened_sound(path) as (container, stream):
        for block in heard(path, container, stream, rate, "mono" if channel is None else "stereo"):
            empty = False
            yield block[channel or 0]
    if empty:
        raise Unreadable(f"{path}: its sound cannot be decoded (empty or damaged); give a file that plays")


def advanced(blocks: Iterable[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    """f32 [n] blocks in order, so many samples earlier: those before are left out.  Below 0, later, after silence."""
    if samples < 0:
        yield np.zeros(-samples, np.float32)
    left_out = max(samples, 0)
    for block in blocks:
        if block.size > left_out:
            yield block[left_out:]
        left_out = max(left_out - block.size, 0)


def channel_blocks(path: Path, *, rate: int) -> Iterator[np.ndarray]:
    """Both channels of a sound in order, f32 [2, n] blocks; of mono the same twice.  BadInput as `read_sound`."""
    empty = True
    with opened_sound(path) as (container, stream):
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"  # FFmpeg's stereo of mono is 3 dB softer
        for block in heard(path, container, stream, rate, layout):
            empty = False
            yield np.repeat(block, 2, axis=0) if layout == "mono" else block
    if empty:
        raise Unreadable(f"{path}: its sound cannot be decoded (empty or damaged); give a file that plays")


def louder_channel(path: Path) -> int | None:
    """The channel that is heard of a stereo sound whose mix cancels, None for the mix.  BadInput as `read_sound`."""
    return _louder(path.absolute(), *file_version(path, "sound"))


def resampled(blocks: Iterable[np.ndarray], rate: int, wanted: int) -> Iterator[np.ndarray]:
    """Mono f32 [n] blocks at `rate` samples per second -> the same at `wanted`, beginning at the same moment."""
    resampler = AudioResampler(format="fltp", layout="mono", rate=wanted)
    frames: list[AudioFrame | None] = []
    for block in blocks:
        if block.size:
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(block[None], np.float32), format="fltp", layout="mono")
            frame.sample_rate = rate
            frames = [frame]
            yield from _samples(resampler, frames)
    yield from _samples(resampler, [None] if frames else [])


def _samples(resampler: AudioResampler, frames: list[AudioFrame | None]) -> Iterator[np.ndarray]:
    for frame in frames:
        for resampled in resampler.resample(frame):
            yield np.asarray(resampled.to_ndarray()[0], np.float32)


def broken_samples(path: Path) -> int:
    """How many samples of a sound are no numbers, which are heard as silence.  BadInput as `read_sound`."""
    with opened_sound(path) as (container, stream):
        return not_numbers(container, stream)


@lru_cache(maxsize=64)
def _louder(path: Path, changed: int, size: int) -> int | None:
    with opened_sound(path) as (container, stream):
        return mixes(path, container, stream) if stream.codec_context.channels == 2 else None
