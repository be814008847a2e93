"""The circuit: voltages and currents of an array with resistive wires, where they are."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from xbarax.plot._style import DIVERGING, INK, ORANGE, SEQUENTIAL, caption, count_ticks, prefixed

_LARGEST_WITH_GRID = 32
"""Most lines in a direction with gaps drawn between the cells."""


@runtime_checkable
class Solution(Protocol):
    """What is drawn of an `xbarax.wires.Solution`: arrays (word lines, bit lines)."""

    @property
    def word_voltage(self) -> Any:
        """Volts."""

    @property
    def bit_voltage(self) -> Any:
        """Volts."""

    @property
    def cell_current(self) -> Any:
        """Amperes."""

    @property
    def word_current(self) -> Any:
        """Amperes."""

    @property
    def bit_current(self) -> Any:
        """Amperes."""


def circuit(solution: Solution, title: str = "", from_zero: bool = True) -> Figure:
    """Draws the voltages and currents of word lines, cells and bit lines as six images.

    They lie as the array does: word lines are rows with their sources at the left, bit lines are
    columns with their grounds below. Above are the voltages of the nodes of word lines, across the
    cells, and of the nodes of bit lines; below the currents through the segments of word lines on
    the left of each node, through the cells, and through the segments of bit lines below each node.
    Each image has colours of its own, with white for zero; blue is negative.

    Args:
      solution: that of `xbarax.wires.solve` or `xbarax.wires.solve_nonlinear` for one input, its
        arrays (word lines, bit lines).
      title: heading of the figure; the numbers of lines stand beside it.
      from_zero: False for colours from the smallest to the largest value of each image instead,
        which show small differences.

    Returns:
      A figure with two rows of three images and their colour bars.

    Raises:
      TypeError: what is given is no solution.
      ValueError: one of several inputs, or of an empty array.
    """
    panels = _panels(solution)
    words, bits = panels[0][2].shape
    width, height = _panel_size(words, bits)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    figure = Figure(figsize=(3 * width, 2 * height + 0.6), dpi=120, layout=layout)
    every = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, (name, unit, values) in zip(every.flat, panels, strict=True):
        _draw(figure, axes, name, unit, values, from_zero)
    for axes in every[:, 0]:
        axes.set_ylabel("word line")
    for axes in every[1]:
        axes.set_xlabel("bit line")
    size = f"{_count(words, 'word line')}, {_count(bits, 'bit line')}"
    figure.suptitle(f"{title}: {size}" if title else size, fontsize=11, color=INK)
    ends = [Line2D([], [], color=ORANGE, linewidth=3), Line2D([], [], color=INK, linewidth=3)]
    figure.legend(
        ends, ["sources", "grounds"], loc="outside lower center", ncols=2, fontsize=9,
        edgecolor="none", labelcolor=INK,
    )  # fmt: skip
    return figure


def _panels(solution: Solution) -> list[tuple[str, str, np.ndarray]]:
    if not isinstance(solution, Solution):
        raise TypeError(
            "circuit: solution: expected an xbarax.wires.Solution, as xbarax.wires.solve returns "
            f"and solve_nonlinear first of two, given {type(solution).__name__}"
        )
    parts = (
        solution.word_voltage,
        solution.bit_voltage,
        solution.word_current,
        solution.cell_current,
        solution.bit_current,
    )
    word, bit, word_current, cell_current, bit_current = (np.asarray(p, dtype=float) for p in parts)
    if word.ndim != 2 or word.size == 0:
        raise ValueError(
            "circuit: solution: expected that of one input, with arrays (word lines, bit lines), "
            f"given word_voltage {word.shape}; jax.tree.map(lambda x: x[0], solution) is that of "
            "the first of several"
        )
    return [
        ("word-line nodes", "V", word),
        ("across cells", "V", word - bit),
        ("bit-line nodes", "V", bit),
        ("word-line segments", "A", word_current),
        ("through cells", "A", cell_current),
        ("bit-line segments", "A", bit_current),
    ]


def _draw(
    figure: Figure, axes: Axes, name: str, unit: str, values: np.ndarray, from_zero: bool
) -> None:
    scale, unit = prefixed(unit, values)
    values = scale * values
    low, high, colours = _colours(values, from_zero)
    # "auto" is "nearest" where cells are large, and keeps what is smaller than a pixel.
    image = axes.imshow(
        values, cmap=colormaps[colours] if isinstance(colours, str) else colours,
        vmin=low, vmax=high, aspect="auto", interpolation="auto",
    )  # fmt: skip
    caption(axes, name)
    axes.xaxis.set_major_locator(count_ticks(6))
    axes.yaxis.set_major_locator(count_ticks(6))
    axes.tick_params(colors=INK, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    for side, colour in (("left", ORANGE), ("bottom", INK)):
        axes.spines[side].set_color(colour)
        axes.spines[side].set_linewidth(3)
    words, bits = values.shape
    if max(words, bits) <= _LARGEST_WITH_GRID:
        axes.set_xticks(np.arange(bits + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(words + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
    width, height = _panel_size(words, bits)
    bar = figure.colorbar(
        image, ax=axes, fraction=0.17 / width, pad=0.02, aspect=(height - 0.7) / 0.12
    )
    if low == -high:  # colours are centred on zero; the bar has those that occur
        finite = values[np.isfinite(values)]
        bar.ax.set_ylim(finite.min(), max(finite.max(), 0))
    bar.set_label(f"{'voltage' if unit.endswith('V') else 'current'} ({unit})", fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)
    bar.outline.set_visible(False)


def _colours(values: np.ndarray, from_zero: bool) -> tuple[float, float, Any]:
    """The range of colours, and their map."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    grey = {"bad": "#9a9a9a"}
    if not from_zero and low < high:
        return low, high, colormaps["viridis"].with_extremes(**grey)
    largest = max(abs(low), abs(high))
    limit = largest if largest > 0 else 1.0
    if low >= 0:
        return 0.0, limit, SEQUENTIAL.with_extremes(**grey)
    return -limit, limit, colormaps[DIVERGING].with_extremes(**grey)


def _panel_size(words: int, bits: int) -> tuple[float, float]:
    """Width and height in inches that keep the cells near square where the page allows it."""
    cell = min(0.4, 2.6 / bits, 2.6 / words)
    return max(cell * bits, 1.6) + 1.1, max(cell * words, 1.0) + 0.7


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
