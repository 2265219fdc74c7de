"""The filters are those that librosa 0.11 makes, for the mel of Wav2Lip and for that of Whisper."""

from pathlib import Path

import numpy as np
import pytest

from audio.mel_filters import mel_filters

LIBROSA = Path(__file__).parents[1] / "data" / "mel_filters.npz"  # librosa.filters.mel(sr=16000, n_mels=80, ...)


@pytest.mark.parametrize(("name", "fft", "lowest", "highest"), [("wav2lip", 800, 55, 7600), ("whisper", 400, 0, 8000)])
def test_the_filters_are_librosas(name: str, fft: int, lowest: float, highest: float) -> None:
    filters = mel_filters(16_000, fft, 80, lowest, highest)
    with np.load(LIBROSA) as librosa:
        assert filters.dtype == np.float32 and filters.shape == librosa[name].shape
        assert np.abs(filters - librosa[name]).max() < 1e-8  # equal here; elsewhere exp and log may round otherwise
