"""What all pictures share: colours, and axes without clutter."""

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

BLUE = "#2f5d8a"
ORANGE = "#c8622d"
INK = "#333333"
FAINT = "#d9d9d9"

DIVERGING = "RdBu_r"
"""Colour map for signed values: blue is negative, red positive, white zero."""


def tidy(axes: Axes) -> None:
    """Leaves an axes with its two informative spines and quiet ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)


def caption(axes: Axes, text: str) -> None:
    """Names a panel, at its top left."""
    axes.set_title(text, loc="left", fontsize=10, color=INK)


def count_ticks(most: int) -> MaxNLocator:
    """Ticks at whole numbers in steps that one counts in, also where there is a single one."""
    return MaxNLocator(nbins=most, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
