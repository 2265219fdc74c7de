"""Curves and histograms as SVG that stands in a page."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from .results import PASTED, REAL, RESULT
from .talker import FPS

COLOURS = {RESULT: "#c2410c", REAL: "#1d4ed8", PASTED: "#9ca3af"}
WIDTH, HEIGHT, EDGE = 480, 120, 18
BINS = 24


def curves(series: Mapping[str, NDArray[np.float32]], label: str) -> str:
    """One line a subject over time, broken where a value is not known."""
    longest = max((len(values) for values in series.values()), default=0)
    top = max((float(np.nanmax(values)) for values in series.values() if not np.isnan(values).all()), default=0.0)
    if longest < 2 or top <= 0:
        return ""
    lines = [
        f'<polyline fill="none" stroke="{COLOURS[subject]}" stroke-width="1.5" points="{points}"/>'
        for subject, values in series.items()
        for points in _polylines(values, longest - 1, top)
    ]
    return _figure(lines, label, "0 s", f"{float((longest - 1) / FPS):.1f} s", f"{top:.2f}")


def histogram(values: Mapping[str, Sequence[float]], label: str, digits: int) -> str:
    """How the clips' figures are spread: a row of bars a subject, over one another."""
    everything = [value for part in values.values() for value in part]
    if len(everything) < 2:
        return ""
    low, high = min(everything), max(everything)
    high = high if high > low else low + 1
    counts = {subject: np.histogram(part, BINS, (low, high))[0] for subject, part in values.items() if part}
    top = max(int(count.max()) for count in counts.values())
    step = (WIDTH - 2 * EDGE) / BINS
    bars = [
        f'<rect x="{EDGE + k * step:.1f}" y="{_y(count / top):.1f}" width="{step - 1:.1f}"'
        f' height="{(HEIGHT - 2 * EDGE) * count / top:.1f}" fill="{COLOURS[subject]}" fill-opacity="0.5"/>'
        for subject, found in counts.items()
        for k, count in enumerate(found.tolist())
        if count
    ]
    return _figure(bars, label, f"{low:.{digits}f}", f"{high:.{digits}f}", f"{top} clips")


def legend(subjects: Sequence[str]) -> str:
    """Which colour is whom."""
    return " ".join(f'<span style="color:{COLOURS[subject]}">■ {escape(subject)}</span>' for subject in subjects)


def _polylines(values: NDArray[np.float32], last: int, top: float) -> list[str]:
    """The points of each stretch of known values."""
    known = np.flatnonzero(~np.isnan(values))
    stretches = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    scale = (WIDTH - 2 * EDGE) / last
    return [
        " ".join(f"{EDGE + k * scale:.1f},{_y(float(values[k]) / top):.1f}" for k in stretch)
        for stretch in stretches
        if stretch.size
    ]


def _y(share: float) -> float:
    return EDGE + (HEIGHT - 2 * EDGE) * (1 - share)


def _figure(shapes: Sequence[str], label: str, left: str, right: str, top: str) -> str:
    foot = HEIGHT - 4
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
        f'<text x="{EDGE}" y="12">{escape(label)}</text>'
        f'<text x="{WIDTH - EDGE}" y="12" text-anchor="end">top: {escape(top)}</text>'
        f'<line x1="{EDGE}" y1="{HEIGHT - EDGE}" x2="{WIDTH - EDGE}" y2="{HEIGHT - EDGE}" stroke="#9ca3af"/>'
        f"{''.join(shapes)}"
        f'<text x="{EDGE}" y="{foot}">{escape(left)}</text>'
        f'<text x="{WIDTH - EDGE}" y="{foot}" text-anchor="end">{escape(right)}</text></svg>'
    )
