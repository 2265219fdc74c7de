"""A sound as it comes: its samples, its mel and filter banks, each column as soon as all its samples are there.

The same numbers as of the whole sound (`log_mel`, `log_filterbanks`), in memory that does not grow as long as what was
used is forgotten.
"""

import threading

import numpy as np
from numpy.typing import NDArray

from audio import filterbank, mel
from audio.filterbank import FilterBanks
from audio.mel import Mel
from audio.waveform import SAMPLE_RATE
from core.arrays import Samples
from core.errors import BadValue

SPARE = 4  # seconds that may be kept although they were forgotten, so that not every block moves the others
MOST = 600  # seconds that are held and not forgotten


class LiveSound:
    """Mono sound at 16 kHz, sample 0 being the first that is pushed.  One thread may push while another one listens.

    banks: whether the filter banks of AV-HuBERT are computed too.
    """

    def __init__(self, *, banks: bool = False) -> None:
        self.length, self.ended = 0, False
        self._lock = threading.Lock()
        self._samples, self._first, self._needed = np.zeros(0, np.float32), 0, 0
        self._mel = _Columns(mel.HOP, -mel.FFT // 2, mel.FFT, mel.MELS)
        self._banks = _Columns(filterbank.STEP, 0, filterbank.FRAME, filterbank.BANKS) if banks else None

    def push(self, samples: Samples) -> None:
        """The next samples, f32 [n] in [-1, 1]; BadInput for what is none, or comes after the end."""
        if samples.ndim != 1 or samples.dtype != np.float32 or not np.isfinite(samples).all():
            raise BadValue(f"a stream hears float32 [n], finite and mono, not {samples.dtype} {list(samples.shape)}")
        if self.ended:
            raise BadValue("the sound of this stream has ended; begin another stream")
        if self.length - self._needed > MOST * SAMPLE_RATE:
            raise BadValue(f"{MOST} s of sound wait in this stream; take its frames before you push more")
        with self._lock:
            self._samples = np.concatenate([self._samples, samples.clip(-1, 1)])
            self.length += len(samples)
            self._mel_grows()

    def end(self) -> None:
        """No more will come: silence follows."""
        with self._lock:
            self.ended = True
            self._mel_grows()

    def forget(self, sample: int) -> None:
        """What was heard before this sample will not be asked for any more."""
        with self._lock:
            self._needed = max(self._needed, min(sample, self.length))
            if self._needed - self._first > SPARE * SAMPLE_RATE:
                self._samples = self._samples[self._needed - self._first :].copy()
                self._first = self._needed
            for columns in (self._mel, self._banks):
                if columns is not None:
                    columns.forget(self._needed)

    @property
    def seconds(self) -> float:
        return self.length / SAMPLE_RATE

    def samples(self, start: int, stop: int) -> Samples:
        """Samples start..stop-1, 0 where there are none: before the first, behind the last, and forgotten ones."""
        with self._lock:
            return self._cut(start, stop)

    def _cut(self, start: int, stop: int) -> Samples:
        samples = np.zeros(stop - start, np.float32)
        low, high = max(start, self._first), min(stop, self.length)
        if low < high:
            samples[low - start : high - start] = self._samples[low - self._first : high - self._first]
        return samples

    @property
    def mel(self) -> Mel:
        """What is known of it, but for what was forgotten."""
        with self._lock:
            return Mel(self._mel.columns, self.seconds, self._mel.first)

    @property
    def banks(self) -> FilterBanks | None:
        """Likewise, if they were asked for."""
        with self._lock:
            return None if self._banks is None else FilterBanks(self._banks.columns, self._banks.first)

    def _mel_grows(self) -> None:
        total = 1 + self.length // mel.HOP if self.ended else None
        for begin, stop in self._mel.due(self.length, total):
            self._mel.add(mel.mel_columns(self._pre_emphasised(begin, stop, 1.0)))
        if self._banks is not None:
            total = max(1 + -(-(self.length - filterbank.FRAME) // filterbank.STEP), 1) if self.ended else None
            for begin, stop in self._banks.due(self.length, total):
                signal = self._pre_emphasised(begin, stop, filterbank.FULL_SCALE)
                self._banks.add(filterbank.bank_columns(signal))

    def _pre_emphasised(self, begin: int, stop: int, scale: float) -> NDArray[np.float64]:
        """Samples begin..stop-1 as `audio.mel.pre_emphasised` makes them, 0 outside the sound."""
        low, high = max(begin, 0), min(stop, self.length)
        samples = self._cut(low - 1, high) * np.float32(scale)
        *_, signal = mel.pre_emphasised([samples])
        return np.pad(signal[1:], (low - begin, stop - high))


class _Columns:
    """Columns, of which number c is of `width` samples from step c + offset on; the last ones are kept."""

    def __init__(self, step: int, offset: int, width: int, numbers: int) -> None:
        self._step, self._offset, self._width = step, offset, width
        self.columns, self.first = np.zeros((0, numbers), np.float32), 0

    def due(self, length: int, total: int | None) -> list[tuple[int, int]]:
        """Which samples the next columns are made of, nothing or one range.

        length: samples that there are; total: how many columns there will be, once that is known.
        """
        known = self.first + len(self.columns)
        complete = max((length - self._width - self._offset) // self._step + 1, 0) if total is None else total
        if complete <= known:
            return []
        return [(known * self._step + self._offset, (complete - 1) * self._step + self._offset + self._width)]

    def add(self, columns: NDArray[np.float32]) -> None:
        self.columns = np.concatenate([self.columns, columns])

    def forget(self, sample: int) -> None:
        """Those of which all samples lie before this one, if they are many."""
        old = min((sample - self._width - self._offset) // self._step, self.first + len(self.columns)) - self.first
        if old * self._step > SPARE * SAMPLE_RATE:
            self.first, self.columns = self.first + old, self.columns[old:].copy()
