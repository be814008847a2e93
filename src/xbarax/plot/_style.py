"""What all pictures share: colours, and axes without clutter."""

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

BLUE = "#2f5d8a"
ORANGE = "#c8622d"
INK = "#333333"
FAINT = "#d9d9d9"

DIVERGING = "RdBu_r"
"""Colour map for signed values: blue is negative, red positive, white zero."""

SEQUENTIAL = LinearSegmentedColormap.from_list(
    "from_zero", colormaps[DIVERGING](np.linspace(0.5, 1, 128))
)
"""Colour map for values that are not negative: the upper half of the diverging one."""

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: ""}


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


def siemens(*values: np.ndarray) -> tuple[float, str]:
    """What to multiply conductances by, and the unit they then have, for values of their size."""
    return prefixed("S", *values)


def prefixed(unit: str, *values: np.ndarray) -> tuple[float, str]:
    """The same for values in any unit."""
    largest = max((_largest(array) for array in values), default=0.0)
    exponent = 3 * math.floor(math.log10(largest) / 3 + 1e-9) if largest > 0 else 0
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    return 10.0**-exponent, f"{_PREFIXES[exponent]}{unit}"


def _largest(values: np.ndarray) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0
