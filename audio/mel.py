"""The log-mel spectrogram of Wav2Lip and Diff2Lip, and the windows of it that go with video frames.

Figures: Wav2Lip's hparams (Prajwal et al. 2020), as Diff2Lip (Mukhopadhyay et al. 2024) uses them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import floor
from pathlib import Path

import numpy as np

from audio.waveform import SAMPLE_RATE, Waveform, sound_blocks

FFT = 800  # samples in a column's window, 50 ms
HOP = 200  # samples from one column to the next
MEL_RATE, _remainder = divmod(SAMPLE_RATE, HOP)  # 80 columns per second
assert not _remainder
MELS = 80  # mel bands
WINDOW = 16  # columns per video frame, 0.2 s
LEAD = Fraction(1, 25)  # seconds by which a frame's window opens before it: the released weights were trained that way
LOWEST_HZ, HIGHEST_HZ = 55, 7600
PRE_EMPHASIS = 0.97
MIN_LEVEL_DB, REF_LEVEL_DB = -100, 20
LIMIT = 4.0  # columns lie in [-LIMIT, LIMIT]
SILENCE = -LIMIT
BLOCK = 800  # columns transformed at a time: 10 s, 10 MB of spectrum


@dataclass(frozen=True)
class Mel:
    """columns f32 [t, 80] at 80 per second, in [-4, 4]; seconds: the exact length of the sound.

    Column c is centred on sample 200 * c.  ValueError if it is anything else.
    first: the number of columns[0], of a stream that keeps only its end; those before it are not asked for.
    """

    columns: np.ndarray
    seconds: float
    first: int = 0

    def __post_init__(self) -> None:
        if self.columns.ndim != 2 or self.columns.shape[1] != MELS or self.columns.dtype != np.float32:
            raise ValueError(f"columns must be float32 [t, 80], not {self.columns.dtype} {list(self.columns.shape)}")
        if self.seconds < 0:
            raise ValueError(f"a sound cannot last {self.seconds} seconds")

    @property
    def silent(self) -> bool:
        """Whether nothing is heard from the first to the last column."""
        return float(self.columns.max(initial=SILENCE)) <= SILENCE + 0.001

    def windows(self, start: int, stop: int, fps: Fraction, lead: Fraction = LEAD) -> np.ndarray:
        """What the network hears with frames start..stop-1 -> f32 [stop - start, 80, 16].

        Each window opens `lead` seconds before its frame (the first ones at 0): at 25 fps in columns 0, 0, 3, 6, 9,
        12, 16, ... as in the original.  Past the end of the sound there is silence, so any frame may be asked for.
        """
        if not 0 <= start <= stop:
            raise ValueError(f"frames {start}..{stop} are not a range")
        opens = [floor(MEL_RATE * max(frame / fps - lead, Fraction(0))) for frame in range(start, stop)]
        return self._cut(np.array(opens, np.int64), WINDOW)

    def span(self, start: int, frames: int, fps: Fraction, columns: int = WINDOW) -> np.ndarray:
        """What a sync expert hears with frames start..start+frames-1 -> f32 [80, columns], padded with silence.

        It opens at frame `start` itself, without a lead.  The expert's 5 frames at 25 fps last just 16 columns.
        """
        if start < 0 or frames < 1:
            raise ValueError(f"{frames} frames from frame {start} are not a range")
        window: np.ndarray = self._cut(np.array([floor(MEL_RATE * start / fps)], np.int64), columns)[0]
        return window

    def excerpt(self, begin: Fraction, seconds: Fraction) -> "Mel":
        """What is heard from `begin` on for `seconds`, and as long beyond as the last frame's window reaches.

        Columns of the whole stay what they are: to the nearest of them, 6 ms at most.  Before the sound there is
        silence.
        """
        first = round(begin * MEL_RATE)
        stop = max(first + round(seconds * MEL_RATE) + WINDOW, 0)
        silence = np.full((max(-first, 0), MELS), SILENCE, np.float32)
        columns = np.concatenate([silence, self.columns[max(first, 0) : stop]])
        return Mel(columns, len(columns) / MEL_RATE)

    def vocal_tract_perturbed(self, decibels: float, stretch: float) -> "Mel":
        """The sound louder by `decibels`, its band m taken from band m * stretch: a longer or shorter vocal tract."""
        if decibels == 0 and stretch == 1:
            return self
        bands = np.clip(np.arange(MELS) * stretch, 0, MELS - 1)
        below = np.minimum(bands.astype(int), MELS - 2)
        share = (bands - below).astype(np.float32)
        columns = self.columns[:, below] * (1 - share) + self.columns[:, below + 1] * share
        louder = np.clip(columns + decibels * 2 * LIMIT / -MIN_LEVEL_DB, -LIMIT, LIMIT)
        return Mel(np.where(columns > SILENCE, louder, SILENCE).astype(np.float32), self.seconds)

    def _cut(self, opens: np.ndarray, width: int) -> np.ndarray:
        """opens [n] first columns -> f32 [n, 80, width]"""
        columns = opens[:, None] + np.arange(width) - self.first  # [n, width]
        inside = (columns >= 0) & (columns < len(self.columns))
        picked = np.full((*columns.shape, MELS), SILENCE, np.float32)  # [n, width, 80]
        picked[inside] = self.columns[columns[inside]]
        return picked.transpose(0, 2, 1).copy()


def log_mel(waveform: Waveform) -> Mel:
    """The mel of a waveform at 16 kHz (ValueError at another rate)."""
    if waveform.rate != SAMPLE_RATE:
        raise ValueError(f"the mel is defined at {SAMPLE_RATE} samples per second, not {waveform.rate}")
    return mel_of([waveform.samples])


def read_mel(path: Path) -> Mel:
    """`log_mel(read_sound(path))`, streamed: memory is the mel alone, 25.6 kB per second.  BadInput as read_sound."""
    return mel_of(sound_blocks(path))


def mel_of(blocks: Iterable[np.ndarray]) -> Mel:
    """The mel of a sound at 16 kHz, f32 [n] blocks in order."""
    length = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal length
        for block in blocks:
            length += block.size
            yield block

    columns = np.concatenate([mel_columns(part) for part in _parts(pre_emphasised(counted()))])
    return Mel(columns, length / SAMPLE_RATE)


def pre_emphasised(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """y[n] = x[n] - 0.97 x[n-1] over the whole sound, in float64."""
    before = np.zeros(1)
    for block in blocks:
        if block.size:
            signal = np.concatenate([before, block])
            before = signal[-1:]
            yield signal[1:] - PRE_EMPHASIS * signal[:-1]


def _parts(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The sound between half a window of zeros, cut so that each part yields up to BLOCK columns."""
    whole = FFT + (BLOCK - 1) * HOP
    waiting, size = [np.zeros(FFT // 2)], FFT // 2
    for block in blocks:
        waiting.append(block)
        size += block.size
        while size >= whole:
            joined = np.concatenate(waiting)
            yield joined[:whole]
            waiting = [joined[BLOCK * HOP :]]
            size = waiting[0].size
    yield np.concatenate([*waiting, np.zeros(FFT // 2)])


def mel_columns(signal: np.ndarray) -> np.ndarray:
    """signal f64 [n], pre-emphasised -> f32 [1 + (n - 800) // 200, 80]"""
    frames = np.lib.stride_tricks.sliding_window_view(signal, FFT)[::HOP]  # [t, 800]
    magnitude = np.abs(np.fft.rfft(frames * _hann()))  # [t, 401]
    decibels = 20 * np.log10(np.maximum(10 ** (MIN_LEVEL_DB / 20), magnitude @ _bank().T)) - REF_LEVEL_DB
    scaled = 2 * LIMIT * (decibels - MIN_LEVEL_DB) / -MIN_LEVEL_DB - LIMIT
    columns: np.ndarray = np.clip(scaled, -LIMIT, LIMIT).astype(np.float32)
    return columns


@cache
def _hann() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)  # periodic


@cache
def _bank() -> np.ndarray:
    """Slaney's mel filters, f64 [80, 401]."""
    from librosa.filters import mel  # a second to import: only who needs a mel pays

    bank: np.ndarray = mel(sr=SAMPLE_RATE, n_fft=FFT, n_mels=MELS, fmin=LOWEST_HZ, fmax=HIGHEST_HZ)
    return bank.astype(np.float64)
