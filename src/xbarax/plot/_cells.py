"""What pictures of a crossbar's cells share: word lines across, bit lines down, gaps between."""

import numpy as np
from matplotlib.axes import Axes

from xbarax.plot._style import FAINT, INK, count_ticks

_LARGEST_WITH_GRID = 64
"""Most lines in a direction with gaps drawn between the cells; more gaps would hide the cells."""


def cell_axes(axes: Axes, outputs: int, inputs: int) -> None:
    """Labels the axes of an image of cells, and draws the gaps."""
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


def cell_heading(title: str, outputs: int, inputs: int) -> str:
    """The title, with the numbers of lines."""
    size = f"{_count(outputs, 'output')}, {_count(inputs, 'input')}"
    return f"{title}: {size}" if title else size


def cell_figure_size(outputs: int, inputs: int) -> tuple[float, float]:
    """Width and height in inches that keep the cells near square where the page allows it."""
    cell = min(0.4, 5.6 / inputs, 5.6 / outputs)
    return max(cell * inputs + 1.6, 3.6), max(cell * outputs + 1.1, 2.1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
