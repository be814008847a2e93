"""The programming error: by how much programmed devices miss their targets."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from xbarax.plot._style import BLUE, FAINT, INK, caption, siemens, tidy

_MOST_CELLS = 200
"""Cells that are drawn for each target."""


def programming_error(targets: ArrayLike, errors: ArrayLike, title: str = "") -> Figure:
    """Draws errors over targets: cells as points, their mean, and a band of ± one σ.

    Args:
      targets: (targets,), in siemens.
      errors: (targets, cells), conductance minus target, in siemens.
      title: heading.

    Returns:
      A figure with one panel.

    Raises:
      ValueError: shapes that do not fit.
    """
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    draw_programming_error(figure.subplots(), targets, errors, title)
    return figure


def draw_programming_error(axes: Axes, targets: ArrayLike, errors: ArrayLike, title: str) -> None:
    """Draws the panel."""
    at, missed = _check(targets, errors)
    order = np.argsort(at, kind="stable")
    at, missed = at[order], missed[order]
    at_scale, at_unit = siemens(at)
    scale, unit = siemens(missed)
    at, missed = at_scale * at, scale * missed
    shown = missed[:, :_MOST_CELLS]
    gap = np.ptp(at) / max(len(at) - 1, 1)
    # Side by side, so that equal errors do not hide one another.
    aside = np.linspace(-0.18, 0.18, shown.shape[1]) * gap if shown.shape[1] > 1 else [0.0]
    axes.plot(
        (at[:, None] + aside).ravel(), shown.ravel(), "o",
        color=BLUE, markersize=2.0, markeredgewidth=0, alpha=0.3,
    )  # fmt: skip
    mean, deviation = missed.mean(axis=1), missed.std(axis=1)
    axes.fill_between(at, mean - deviation, mean + deviation, color=BLUE, alpha=0.22, linewidth=0)
    axes.plot(at, mean, color=BLUE, linewidth=2.2)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"target ({at_unit})")
    axes.set_ylabel(f"conductance − target ({unit})")
    cells = missed.shape[1]
    text = f"mean ± σ of {cells} cells each" if cells > 1 else "one cell each"
    caption(axes, f"{title}: {text}" if title else text)
    tidy(axes)


def _check(targets: ArrayLike, errors: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    at, missed = np.asarray(targets, dtype=float), np.asarray(errors, dtype=float)
    if at.ndim != 1 or at.size == 0:
        raise ValueError(f"targets: expected axes (targets,), given shape {at.shape}")
    if missed.ndim != 2 or len(missed) != len(at) or missed.size == 0:
        raise ValueError(
            f"errors: expected axes (targets, cells) with {len(at)} targets, given shape "
            f"{missed.shape}"
        )
    return at, missed
