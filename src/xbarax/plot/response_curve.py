"""The response curve: what pulses up and then down do to a device's conductance."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from xbarax.plot._style import BLUE, FAINT, INK, ORANGE, caption, siemens, tidy

_MOST_CELLS = 20
"""Cells that are drawn one by one; more would be a surface."""

_MANY_PULSES = 200
"""From here on a quarter of those cells is enough: noise makes each line an area."""

Branches = tuple[np.ndarray, np.ndarray]


def response_curve(
    up: ArrayLike,
    down: ArrayLike,
    measured: tuple[ArrayLike, ArrayLike] | None = None,
    title: str = "",
) -> Figure:
    """Draws conductances over the number of pulses, first those up and then those down.

    With several cells: their mean as a bold line, a band of one standard deviation to either side,
    and some of the cells faintly.

    Args:
      up: (pulses + 1,) or (pulses + 1, cells), in siemens: the branch up, its beginning included.
      down: the branch down, of as many cells.
      measured: branches that were measured, (points,) each, drawn as points; for fits.
      title: heading.

    Returns:
      A figure with one panel.

    Raises:
      ValueError: branches that are empty, or of different numbers of cells.
    """
    branches = _cells("up", up), _cells("down", down)
    points = None
    if measured is not None:
        points = _cells("measured up", measured[0]), _cells("measured down", measured[1])
    _check_same_cells(branches)
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    draw_response_curve(figure.subplots(), branches, points, title)
    return figure


def draw_response_curve(
    axes: Axes, branches: Branches, measured: Branches | None, title: str
) -> None:
    """Draws the panel; branches and points have axes (pulses + 1, cells)."""
    scale, unit = siemens(*branches, *(measured or ()))
    turn = max(len(branch[0]) for branch in (branches, measured) if branch) - 1
    begins = 0, turn
    for i, (name, colour) in enumerate((("up", BLUE), ("down", ORANGE))):
        if measured is not None:
            _draw_points(axes, begins[i], scale * measured[i], name, colour)
        _draw_branch(axes, begins[i], scale * branches[i], name, colour, measured is not None)
    axes.axvline(turn, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xlabel("pulse")
    axes.set_ylabel(f"conductance ({unit})")
    axes.set_xlim(0, turn + max(len(b[1]) for b in (branches, measured) if b) - 1)
    axes.margins(y=0.06)
    cells = branches[0].shape[1]
    words = [title] if title else []
    if cells > 1:
        words.append(f"{cells} cells, mean ± σ")
    caption(axes, ": ".join(words))
    axes.legend(edgecolor="none", fontsize=9, loc="lower center", labelcolor=INK)
    tidy(axes)


def _draw_branch(
    axes: Axes, begin: int, branch: np.ndarray, name: str, colour: str, is_fit: bool
) -> None:
    pulses = begin + np.arange(len(branch))
    mean, deviation = branch.mean(axis=1), branch.std(axis=1)
    if branch.shape[1] > 1:
        most = _MOST_CELLS if len(branch) <= _MANY_PULSES else _MOST_CELLS // 4
        shown = branch[:, :: -(-branch.shape[1] // most)]
        axes.plot(pulses, shown, color=colour, linewidth=0.5, alpha=0.25)
        band = mean - deviation, mean + deviation
        axes.fill_between(pulses, *band, color=colour, alpha=0.22, linewidth=0)
    label = f"{name}, fit" if is_fit else name
    if is_fit:
        style = "-" if name == "up" else "--"
        axes.plot(pulses, mean, style, color=INK, linewidth=1.4, label=label)
    else:
        outline = [withStroke(linewidth=4.2, foreground="white")]
        axes.plot(pulses, mean, color=colour, linewidth=2.2, label=label, path_effects=outline)


def _draw_points(axes: Axes, begin: int, branch: np.ndarray, name: str, colour: str) -> None:
    pulses = begin + np.arange(len(branch))
    size = 4.0 if len(branch) <= 100 else 3.2
    axes.plot(
        pulses, branch, "o", color=colour, markersize=size, markeredgewidth=0, alpha=0.6,
        label=f"{name}, measured",
    )  # fmt: skip


def _cells(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"{name}: expected axes (pulses,) or (pulses, cells), given shape {array.shape}"
        )
    return array


def _check_same_cells(branches: Branches) -> None:
    up, down = (branch.shape[1] for branch in branches)
    if up != down:
        raise ValueError(f"down: expected {up} cells, as up has, given {down}")
