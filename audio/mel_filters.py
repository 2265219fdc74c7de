"""Slaney's mel filters: triangles of equal area, evenly spaced below 1 kHz and by a constant factor above.

The arithmetic is librosa's (`librosa.filters.mel`, bit for bit), which takes a second and numba to import.
Source: Slaney, Auditory Toolbox, Interval Research technical report 1998-010.
"""

import numpy as np

BEND, BANDS_BELOW = 1000.0, 15.0
RATIO = np.log(6.4) / 27  # of the frequencies of two bands above, as a logarithm


def mel_filters(rate: int, fft: int, bands: int, lowest_hz: float, highest_hz: float) -> np.ndarray:
    """f32 [bands, fft // 2 + 1]: what each frequency of a spectrum adds to each band.

    rate: samples per second; fft: samples in a window.
    """
    corners = _hz(np.linspace(_mel(lowest_hz), _mel(highest_hz), bands + 2))  # each triangle ends where others peak
    distance = np.subtract.outer(corners, np.fft.rfftfreq(fft, 1 / rate))  # [bands + 2, fft // 2 + 1]
    width = np.diff(corners)[:, None]
    rising, falling = -distance[:-2] / width[:-1], distance[2:] / width[1:]
    filters: np.ndarray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters *= (2 / (corners[2:] - corners[:-2]))[:, None]
    return filters


def _mel(hz: float) -> float:
    return 3 * hz / 200 if hz < BEND else float(BANDS_BELOW + np.log(hz / BEND) / RATIO)


def _hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < BANDS_BELOW, 200.0 / 3 * mel, BEND * np.exp(RATIO * (mel - BANDS_BELOW)))
