"""The conductance map: a crossbar's weights where they sit in the array."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from xbarax.plot._style import DIVERGING, FAINT, INK, caption, count_ticks

_LARGEST_WITH_GRID = 64
"""Most lines in a direction with gaps drawn between the cells; more gaps would hide the cells."""


def conductance_map(weights: ArrayLike, title: str = "", unit: str = "weight") -> Figure:
    """Draws a crossbar's cells as an image: word lines across, bit lines down.

    The colour map diverges and is centred on zero, so that white is zero and equal magnitudes are
    equally strong; cells that are not finite are grey.

    Args:
      weights: the cells' values ``(out, in)``: weights, or signed conductances.
      title: heading; the shape stands beside it.
      unit: what the values are, for the colour bar.

    Returns:
      A figure with the image and its colour bar.

    Raises:
      ValueError: the weights are not two-dimensional, or empty.
    """
    values = np.asarray(weights, dtype=float)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"weights: expected axes (out, in), given shape {values.shape}")
    outputs, inputs = values.shape
    finite = np.abs(values[np.isfinite(values)])
    limit = float(finite.max()) if finite.size and finite.max() > 0 else 1.0

    width, height = _figure_size(outputs, inputs)
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    colours = colormaps[DIVERGING].with_extremes(bad="#9a9a9a")
    image = axes.imshow(
        values, cmap=colours, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    axes.set_xlabel("input (word line)")
    axes.set_ylabel("output (bit line)")
    axes.xaxis.set_major_locator(count_ticks(10))
    axes.yaxis.set_major_locator(count_ticks(10))
    axes.tick_params(colors=INK, labelsize=9)
    axes.spines[:].set_color(FAINT)
    if max(outputs, inputs) <= _LARGEST_WITH_GRID:
        axes.set_xticks(np.arange(inputs + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(outputs + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
    size = f"{_count(outputs, 'output')}, {_count(inputs, 'input')}"
    caption(axes, f"{title}: {size}" if title else size)
    bar = figure.colorbar(image, ax=axes, fraction=0.15 / width, pad=0.02, aspect=height / 0.15)
    bar.set_label(unit)
    bar.outline.set_visible(False)
    return figure


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _figure_size(outputs: int, inputs: int) -> tuple[float, float]:
    """Width and height in inches that keep the cells near square where the page allows it."""
    cell = min(0.4, 5.6 / inputs, 5.6 / outputs)
    return max(cell * inputs + 1.6, 3.6), max(cell * outputs + 1.1, 2.1)
