"""What the lips do and how they look, by MediaPipe's points: the figures that changes of a model are judged by.

All are of the 224 px crop that the landmark finder sees, `VideoSample.wide`.  The mouth's box lies at the real mouth:
its centre is the mean of the corners and the upper and lower edge of the lips, its half sizes are 0.75 and 0.5 of the
mouth's width.  Frames in which a face is not found do not count.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from audio import Waveform
from core.arrays import Pictures
from systems.metrics import correlation, correlation_within

from ..video_sample import FPS, Points, VideoSample
from .lip_points import CHIN, FOREHEAD, INNER, INNER_PAIRS, LEFT, MIDDLE, NOSE, OUTER, RIGHT, chosen
from .metric import BOTH, Figure, MetricSpec, Setting, clip_mean
from .mouth import LEAST, Series

LAGS = range(-8, 9)
NEAR = 3  # frames by which the sound of a real video may be off
ENERGY_SECONDS = 0.08
SILENCE = 1e-6  # mean square below which all counts as silence: -60 dB
BLUR = 2.0  # px, the deviation below which a detail is of the high band
WIDE_HALF, HIGH_HALF = 0.75, 0.5  # of the mouth's width: the half sizes of its box

Region = tuple[slice, slice]
"""Rows and columns."""


def openings(sample: VideoSample) -> Series:
    """How far the lips are apart, over the height of the face: f64 [t], NaN where it is not seen."""
    lips = _lips(sample)
    apart = [np.linalg.norm(np.subtract(*np.moveaxis(chosen(lips, *pair), 1, 0)), axis=1) for pair in INNER_PAIRS]
    height = np.linalg.norm(np.subtract(*np.moveaxis(chosen(lips, FOREHEAD, CHIN), 1, 0)), axis=1)
    return np.asarray(np.mean(apart, axis=0) / np.where(height > 0, height, np.nan), np.float64)


def together(real: VideoSample, fake: VideoSample) -> float | None:
    """Pearson's r of the openings."""
    return correlation(openings(real), openings(fake), LEAST)


def together_within(real: VideoSample, fake: VideoSample) -> float | None:
    """The highest of `together` with the openings shifted by up to NEAR frames: what is left of it where nobody knows
    exactly when the sound of the real video belongs.  Chance is no longer 0; a wrong sound says what it is."""
    return correlation_within(NEAR, openings(real), openings(fake), LEAST)


def span(real: VideoSample, fake: VideoSample) -> float | None:
    """The standard deviation of the openings, fake / real."""
    one, other = openings(real), openings(fake)
    known = ~(np.isnan(one) | np.isnan(other))
    if known.sum() < LEAST or one[known].std() == 0:
        return None
    return float(other[known].std() / one[known].std())


def sharpness(real: VideoSample, fake: VideoSample) -> float | None:
    """Variance of the Laplacian in the real mouth's box, mean over every second frame, fake / real."""
    regions = mouth_regions(real)
    return _ratio(_detail(real, regions), _detail(fake, regions))


def lip_sharpness(real: VideoSample, fake: VideoSample) -> float | None:
    """The same in a tight box around each video's own lips."""
    return _ratio(_detail(real, lip_regions(real)), _detail(fake, lip_regions(fake)))


def mouth_displacement(real: VideoSample, fake: VideoSample) -> float | None:
    """Mean distance of the mouths' centres, px."""
    return _mean(np.linalg.norm(_centre(_lips(real)) - _centre(_lips(fake)), axis=1))


def nose_displacement(real: VideoSample, fake: VideoSample) -> float | None:
    """Mean distance of the tips of the noses, px."""
    one, other = (chosen(_lips(sample), NOSE)[:, 0] for sample in (real, fake))
    return _mean(np.linalg.norm(one - other, axis=1))


def high_band(real: VideoSample, fake: VideoSample) -> float | None:
    """Correlation of what a blur of 2 px takes away with what it takes from the real frame, in the real mouth's box."""
    pairs = zip(_high(real, real), _high(fake, real), strict=True)
    known = [correlation(one, other) for one, other in pairs if one is not None and other is not None]
    values = [r for r in known if r is not None]
    return float(np.mean(values)) if len(values) >= LEAST else None


def flicker(real: VideoSample, fake: VideoSample) -> float | None:
    """Mean |change| of that high band from frame to frame, fake / real."""
    return _ratio(_changes(real, real), _changes(fake, real))


def lip_colour(real: VideoSample, fake: VideoSample) -> float | None:
    """Distance in Lab of the mean colours between the lips' outer and inner edges, of every second frame."""
    values = [
        float(np.linalg.norm(np.subtract(one, other)))
        for one, other in zip(_colours(real), _colours(fake), strict=True)
        if one is not None and other is not None
    ]
    return float(np.mean(values)) if 2 * len(values) >= LEAST else None


def envelope(sample: VideoSample) -> Series | None:
    """Mean product of openings and the sound's log energy, each standardised, at LAGS frames: f64 [17], or None.

    At a positive lag the mouth follows the sound.  Energy: of 80 ms around the middle of each frame.
    """
    opened, loud = openings(sample), energy(sample.sound, len(sample))
    known = ~np.isnan(opened)
    if known.sum() < LEAST + LAGS[-1] or opened[known].std() == 0 or loud.std() == 0:
        return None
    opened = (opened - opened[known].mean()) / opened[known].std()
    loud = (loud - loud[known].mean()) / (loud[known].std() or 1)
    t = len(opened)
    return np.array([
        np.nanmean(opened[max(lag, 0) : t + min(lag, 0)] * loud[max(-lag, 0) : t - max(lag, 0)]) for lag in LAGS
    ])  # fmt: skip


def energy(sound: Waveform, frames: int) -> Series:
    """Log of the mean square of 80 ms around the middle of each frame: f64 [frames]; past the end there is silence."""
    half = round(ENERGY_SECONDS * sound.rate / 2)
    middles = [round(float((2 * k + 1) / (2 * FPS) * sound.rate)) for k in range(frames)]
    padded = np.pad(sound.samples.astype(np.float64), (half, max(0, middles[-1] + half - len(sound.samples))))
    return np.log([max(float(np.mean(padded[middle : middle + 2 * half] ** 2)), SILENCE) for middle in middles])


def at_once(_: VideoSample, fake: VideoSample) -> float | None:
    """The envelope at lag 0."""
    curve = envelope(fake)
    return None if curve is None else float(curve[LAGS.index(0)])


class BestLag:
    """The highest of the mean over clips of the envelope's curve; a single clip has none."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self._curves: list[Series] = []

    def update(self, real: VideoSample, fake: VideoSample) -> float | None:
        if (curve := envelope(fake)) is not None:
            self._curves.append(curve)
        return None

    def result(self) -> float | None:
        return float(np.mean(self._curves, axis=0).max()) if self._curves else None


Measure = Callable[[VideoSample, VideoSample], float | None]
_OWN: tuple[Setting, ...] = ("reconstruction",)
_H = "opening: mean distance of three pairs of points of the inner lips over that of forehead and chin"
MEASURES: tuple[tuple[Figure, Measure], ...] = (
    (Figure("lip opening, r", "", "up", f"ours: Pearson's with the real openings; {_H}", 3, _OWN, paired=True),
     together),
    (Figure("lip opening, leakage", "", "down", f"ours: the same, the sound being another's; {_H}", 3, ("cross",),
            paired=True), together),
    (Figure("lip opening, r within 3 frames", "", "up", f"ours: the highest r with the real openings shifted by up to 3"
            f" frames; {_H}", 3, _OWN, paired=True), together_within),
    (Figure("lip opening, leakage within 3 frames", "", "down", f"ours: the same, the sound being another's; {_H}", 3,
            ("cross",), paired=True), together_within),
    (Figure("lip opening, range", "of the real", "real", f"ours: {span.__doc__} {_H}", 2, _OWN, paired=True), span),
    (Figure("lip sharpness, mouth", "of the real", "real", f"ours: {sharpness.__doc__}", 2, BOTH, paired=True),
     sharpness),
    (Figure("lip sharpness, lips alone", "of the real", "real", f"ours: {lip_sharpness.__doc__}", 2, BOTH, paired=True),
     lip_sharpness),
    (Figure("lip displacement, mouth", "px", "down", f"ours: {mouth_displacement.__doc__}", 2, BOTH, paired=True),
     mouth_displacement),
    (Figure("lip displacement, nose", "px", "down", f"ours: {nose_displacement.__doc__}", 2, BOTH, paired=True),
     nose_displacement),
    (Figure("lip envelope, lag 0", "", "real", "ours: mean product of openings and the sound's log energy (80 ms), each"
            f" standardised within its clip; {_H}"), at_once),
    (Figure("lip detail, high band", "r", "up", f"ours: {high_band.__doc__}", 3, _OWN, paired=True), high_band),
    (Figure("lip detail, flicker", "of the real", "real", f"ours: {flicker.__doc__}", 2, BOTH, paired=True), flicker),
    (Figure("lip colour", "Lab", "down", f"ours: {lip_colour.__doc__}", 1, BOTH, paired=True), lip_colour),
)  # fmt: skip
BEST = Figure("lip envelope, best lag", "", "real", "ours: the highest mean over clips at lags of -8 to 8 frames")


def metric_specs() -> list[MetricSpec]:
    """All figures of lips."""
    return [*(clip_mean(figure, measure) for figure, measure in MEASURES), MetricSpec(BEST, lambda: BestLag(BEST))]


def mouth_regions(sample: VideoSample) -> list[Region | None]:
    """The mouth's box in each frame, within the picture; None where there is none."""
    lips = _lips(sample)
    centre, width = _centre(lips), np.linalg.norm(np.subtract(*np.moveaxis(chosen(lips, LEFT, RIGHT), 1, 0)), axis=1)
    half = np.stack([WIDE_HALF * width, HIGH_HALF * width], axis=1)
    return [_region(low, high, sample.wide) for low, high in zip(centre - half, centre + half, strict=True)]


def lip_regions(sample: VideoSample) -> list[Region | None]:
    """The tight box around the lips in each frame."""
    edge = chosen(_lips(sample), *OUTER)
    return [_region(points.min(axis=0), points.max(axis=0), sample.wide) for points in edge]


def _region(low: Series, high: Series, pictures: Pictures) -> Region | None:
    if np.isnan(low).any() or np.isnan(high).any():
        return None
    (left, top), (right, bottom) = np.maximum(np.floor(low), 0).astype(int), np.ceil(high).astype(int)
    right, bottom = min(right, pictures.shape[2]), min(bottom, pictures.shape[1])
    return (slice(top, bottom), slice(left, right)) if right - left >= 4 and bottom - top >= 4 else None


def _lips(sample: VideoSample) -> Points:
    if sample.lips is None:
        raise ValueError("nobody looked for the lips of this sample")
    return sample.lips


def _centre(lips: Points) -> Series:
    """f64 [t, 2]."""
    return np.asarray(chosen(lips, *MIDDLE).mean(axis=1), np.float64)


def _grey(picture: Pictures) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)


def _detail(sample: VideoSample, regions: list[Region | None]) -> Series:
    """Variance of the Laplacian in the region of every second frame: f64 [t / 2], NaN where there is no region."""
    values = [
        np.nan if region is None else float(cv2.Laplacian(_grey(picture), cv2.CV_32F)[region].var())
        for picture, region in zip(sample.wide[::2], regions[::2], strict=True)
    ]
    return np.array(values, np.float64)


def _high(sample: VideoSample, real: VideoSample) -> Iterator[NDArray[np.float32] | None]:
    """The high band of each frame in the real mouth's box."""
    for picture, region in zip(sample.wide, mouth_regions(real), strict=True):
        grey = _grey(picture)
        yield None if region is None else (grey - cv2.GaussianBlur(grey, (0, 0), BLUR))[region]


def _changes(sample: VideoSample, real: VideoSample) -> Series:
    """Mean |change| of the high band since the frame before, in this frame's box: f64 [t - 1], NaN without a box."""
    greys = (_grey(picture) for picture in sample.wide)
    bands = [grey - cv2.GaussianBlur(grey, (0, 0), BLUR) for grey in greys]
    values = [
        np.nan if region is None else float(np.abs(now[region] - before[region]).mean())
        for before, now, region in zip(bands[:-1], bands[1:], mouth_regions(real)[1:], strict=True)
    ]
    return np.array(values, np.float64)


def _colours(sample: VideoSample) -> Iterator[Series | None]:
    """Mean Lab colour of the lips in every second frame."""
    edges = zip(sample.wide[::2], *(chosen(_lips(sample), *edge)[::2] for edge in (OUTER, INNER)), strict=True)
    for picture, outer, inner in edges:
        if np.isnan(outer).any() or np.isnan(inner).any():
            yield None
            continue
        mask = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.rint(outer).astype(np.int32)], 1)
        cv2.fillPoly(mask, [np.rint(inner).astype(np.int32)], 0)
        lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        yield np.asarray(lab[mask > 0].mean(axis=0), np.float64) if mask.any() else None


def _ratio(real: Series, fake: Series) -> float | None:
    """Of the means over the frames that both have."""
    known = ~(np.isnan(real) | np.isnan(fake))
    if 2 * known.sum() < LEAST or real[known].mean() == 0:
        return None
    return float(fake[known].mean() / real[known].mean())


def _mean(values: Series) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) >= LEAST else None
