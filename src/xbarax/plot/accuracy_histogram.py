"""The accuracy histogram: how well a network does on chip after chip."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from xbarax.plot._style import BLUE, FAINT, INK, ORANGE, caption, count_ticks, tidy

_MOST_BINS = 16
_PALE_BLUE = "#a5b8cc"


def accuracy_histogram(
    accuracies: Mapping[str, ArrayLike],
    samples: int,
    digital: float | None = None,
    title: str = "",
) -> Figure:
    """Draws how many chips reach which accuracy: a panel for each kind of chip, with their mean.

    Args:
      accuracies: under each panel's name the accuracy of every chip, (chips,), shares from 0 to 1.
      samples: the number of samples that each was measured on. Accuracies are multiples of
        ``1 / samples``, and every bin holds equally many of them.
      digital: the accuracy without chips, drawn for comparison.
      title: heading of the whole figure.

    Returns:
      A figure with the panels beside each other, each over its own range of accuracies in per cent.

    Raises:
      ValueError: there is no panel or no sample, an array is not ``(chips,)``, or an accuracy is no
        share.
    """
    panels = {name: np.asarray(shares, dtype=float) for name, shares in accuracies.items()}
    _check(panels, samples, digital)
    figure = Figure(figsize=(4.8 * len(panels), 3.6), dpi=120, layout="constrained")
    subplots = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, shares) in zip(subplots, panels.items(), strict=True):
        _draw_panel(axes, name, shares, samples, digital)
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    return figure


def _draw_panel(
    axes: Axes, name: str, shares: np.ndarray, samples: int, digital: float | None
) -> None:
    mean = shares.mean()
    bins = 100 * _edges(samples * shares) / samples
    axes.hist(100 * shares, bins=list(bins), color=_PALE_BLUE, edgecolor="white")
    axes.axvline(100 * mean, color=BLUE, linewidth=2.2, label=f"mean, {mean:.2%}")
    if digital is not None:
        axes.axvline(100 * digital, color=ORANGE, linewidth=1.6, label=f"digital, {digital:.2%}")
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(count_ticks(6))
    axes.set_xlabel("accuracy (%)")
    axes.set_ylabel("chips")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    text = "1 chip" if shares.size == 1 else f"{shares.size} chips"
    caption(axes, f"{name}: {text}" if name else text)
    tidy(axes)


def _edges(correct: np.ndarray) -> np.ndarray:
    """Edges of equal bins, in samples, between whole numbers; the last bin ends at the best."""
    best, worst = np.rint(correct.max()) + 0.5, np.rint(correct.min()) - 0.5
    width = np.ceil((best - worst) / _MOST_BINS)
    return best - width * np.arange(np.ceil((best - worst) / width), -1, -1)


def _check(panels: dict[str, np.ndarray], samples: int, digital: float | None) -> None:
    if not panels:
        raise ValueError("accuracies: expected at least one panel, given none")
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, given {samples}")
    for name, shares in panels.items():
        if shares.ndim != 1 or shares.size == 0:
            raise ValueError(f"{name}: expected axes (chips,), given shape {shares.shape}")
        outside = shares[~((shares >= 0) & (shares <= 1))]
        if outside.size:
            raise ValueError(f"{name}: expected shares from 0 to 1, given {outside[0]:g}")
    if digital is not None and not 0 <= digital <= 1:
        raise ValueError(f"digital: expected a share from 0 to 1, given {digital:g}")
