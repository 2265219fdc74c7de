"""Pictures of figures, by matplotlib: openings over time, how clips are spread, and who attends to what."""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..video_sample import FPS
from .results import PASTED, REAL, RESULT

COLOURS = {RESULT: "#c2410c", REAL: "#1d4ed8", PASTED: "#9ca3af"}
BINS = 24
COLUMNS = 3  # of histograms
CELL = 0.07  # inches of a frame where attention is drawn
MELS = 1.1   # inches of the sounds beside it
STYLE: dict[Any, Any] = {
    "font.size": 9, "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlelocation": "left", "axes.titlesize": "medium", "legend.frameon": False,
    "svg.fonttype": "none", "svg.hashsalt": "evaluation",
}  # fmt: skip
"""Texts stay texts, and the same figures make the same picture."""

Curve = NDArray[np.float32]
Histogram = tuple[str, Mapping[str, Sequence[float]]]
"""A title, and the clips' values of each subject."""


def curves(series: Mapping[str, Curve], title: str) -> str:
    """One line a subject over seconds, broken where a value is not known: the address of an SVG picture, "" of none."""
    if not any(np.isfinite(values).sum() > 1 for values in series.values()):
        return ""
    with mpl.rc_context(STYLE):
        figure = Figure((7, 1.8), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel="s")
        for subject, values in series.items():
            axes.plot(np.arange(len(values)) / float(FPS), values, color=COLOURS[subject], linewidth=1.2, label=subject)
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        axes.legend(loc="upper right", bbox_to_anchor=(1, 1.25), ncols=len(series))
        return _address(figure)


def histograms(found: Sequence[Histogram]) -> str:
    """How the clips' figures are spread, subjects over one another: the address of an SVG picture, "" of none."""
    if not found:
        return ""
    rows = -(-len(found) // COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure((3.4 * COLUMNS, 1.9 * rows + 0.3), layout="constrained")
        for place, (title, values) in enumerate(found):
            _histogram(figure.add_subplot(rows, COLUMNS, place + 1, title=title), values)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(COLOURS))
        return _address(figure)


def _histogram(axes: Axes, values: Mapping[str, Sequence[float]]) -> None:
    edges = np.histogram_bin_edges([value for part in values.values() for value in part], BINS)
    for subject, part in values.items():
        axes.hist(part, edges.tolist(), color=COLOURS[subject], alpha=0.5, histtype="stepfilled", label=subject)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def attention(path: Path, weights: Curve, reference: Curve, target: Curve) -> None:
    """A PNG of who attends to what: weights [t, r] of the frames of a target on those of a reference.

    Above is the sound of the reference, mel [80, r], low bands below; to the left that of the target, [80, t].
    """
    frames, shown = weights.shape
    wide, high = CELL * shown, CELL * frames
    with mpl.rc_context(STYLE):
        figure = Figure((wide + MELS + 0.5, high + MELS + 0.5), layout="constrained")
        grid = figure.subplots(2, 2, sharex="col", sharey="row", squeeze=True,
                               width_ratios=(MELS, wide), height_ratios=(MELS, high))  # fmt: skip
        grid[0, 0].axis("off")
        grid[0, 1].imshow(reference, cmap="gray", vmin=-4, vmax=4, aspect="auto", origin="lower")
        grid[1, 0].imshow(target.T, cmap="gray", vmin=-4, vmax=4, aspect="auto")
        # the brightest half per cent saturates; the root shows what is faint
        share = np.sqrt(np.minimum(weights / max(float(np.quantile(weights, 0.995)), 1e-9), 1))
        grid[1, 1].imshow(share, cmap="inferno", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        grid[0, 1].set_ylabel("mel band")
        grid[1, 1].set_xlabel("frame of the reference")
        grid[1, 0].set_ylabel("frame that is predicted")
        figure.savefig(path, format="png", dpi=100)


def _address(figure: Figure) -> str:
    """The picture in a data: URL."""
    text = io.BytesIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{b64encode(text.getvalue()).decode()}"
