"""The fault map: which devices of a plane are stuck."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from xbarax.plot._cells import cell_axes, cell_figure_size, cell_heading
from xbarax.plot._style import BLUE, INK, ORANGE, caption

_STATES = (("healthy", "#ececec"), ("stuck low", BLUE), ("stuck high", ORANGE))
"""By the numbers that stand for them."""


def fault_map(stuck: ArrayLike, title: str = "") -> Figure:
    """Draws which devices are healthy, stuck low and stuck high, and how many of each there are.

    Args:
      stuck: ``(out, in)``: 0 for healthy, 1 for stuck low, 2 for stuck high, as in a plane of
        ``xbarax.fault_map``.
      title: heading; the shape stands beside it.

    Returns:
      A figure with the image and its legend.

    Raises:
      ValueError: the map is not two-dimensional, empty, or holds anything but 0, 1 and 2.
    """
    states = np.asarray(stuck)
    if states.ndim != 2 or states.size == 0:
        raise ValueError(f"stuck: expected axes (out, in), given shape {states.shape}")
    unknown = states[~np.isin(states, range(len(_STATES)))]
    if unknown.size:
        raise ValueError(
            f"stuck: expected 0 (healthy), 1 (stuck low) or 2 (stuck high), given {unknown[0]}"
        )
    outputs, inputs = states.shape
    width, height = cell_figure_size(outputs, inputs)
    figure = Figure(figsize=(width + 0.6, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.imshow(
        states.astype(float), cmap=ListedColormap([colour for _, colour in _STATES]),
        vmin=-0.5, vmax=2.5, aspect="auto", interpolation="nearest",
    )  # fmt: skip
    cell_axes(axes, outputs, inputs)
    caption(axes, cell_heading(title, outputs, inputs))
    patches = []
    for number, (name, colour) in enumerate(_STATES):
        count = int(np.sum(states == number))
        label = f"{name}\n{count} ({count / states.size:.2%})"
        patches.append(Patch(facecolor=colour, label=label))
    figure.legend(
        handles=patches, loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK
    )
    return figure
