"""Slaney's mel filters (Auditory Toolbox, 1998), bit for bit as librosa makes them, which takes seconds to import."""

import numpy as np
from numpy.typing import NDArray

LINEAR = 200 / 3  # hertz a mel, below
CORNER = 1000.0  # hertz, above which mels are logarithmic
STEP = np.log(6.4) / 27  # of the logarithm, a mel


def mel_filters(rate: int, fft: int, bands: int, low: float = 0.0, high: float | None = None) -> NDArray[np.float32]:
    """Triangles of equal area from `low` to `high` hertz (None: half the rate) over a spectrum: f32 [bands, fft/2 + 1].
    """
    ends = np.linspace(_mel(low), _mel(rate / 2 if high is None else high), bands + 2)
    hertz = LINEAR * ends
    above = ends >= CORNER / LINEAR
    hertz[above] = CORNER * np.exp(STEP * (ends[above] - CORNER / LINEAR))
    widths = np.diff(hertz)
    slopes = np.subtract.outer(hertz, np.fft.rfftfreq(n=fft, d=1.0 / rate))
    filters = np.zeros((bands, 1 + fft // 2), np.float32)
    for band in range(bands):
        rising, falling = -slopes[band] / widths[band], slopes[band + 2] / widths[band + 1]
        filters[band] = np.maximum(0, np.minimum(rising, falling))
    filters *= (2.0 / (hertz[2 : bands + 2] - hertz[:bands]))[:, None]
    return filters


def _mel(hertz: float) -> float:
    if hertz < CORNER:
        return hertz / LINEAR
    return float(CORNER / LINEAR + np.log(hertz / CORNER) / STEP)
