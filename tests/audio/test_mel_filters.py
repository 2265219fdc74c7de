"""The mel filters are librosa's, bit for bit."""

import numpy as np
import pytest
from librosa.filters import mel

from audio.mel_filters import mel_filters


@pytest.mark.parametrize(
    ("fft", "bands", "low", "high"), [(800, 80, 55, 7600), (400, 80, 0.0, None), (512, 40, 20, 900)]
)
def test_they_are_librosas(fft: int, bands: int, low: float, high: float | None) -> None:
    theirs = mel(sr=16000, n_fft=fft, n_mels=bands, fmin=low, fmax=high)
    ours = mel_filters(16000, fft, bands, low, high)
    assert ours.dtype == theirs.dtype == np.float32 and np.array_equal(ours, theirs)
