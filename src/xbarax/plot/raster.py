"""The spike raster: which neuron of which layer spiked when."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from xbarax.plot._style import BLUE, INK, caption, count_ticks, tidy

_MOST_INCHES = 7.0
"""Height that all panels share when layers are large."""


def raster(layers: Sequence[ArrayLike], names: Sequence[str], title: str = "") -> Figure:
    """Draws the spikes of one sample through all layers, one panel per layer on a common time axis.

    Args:
      layers: for each layer the spikes ``(time, neurons)`` of one sample; every bin that is not
        zero is marked once.
      names: the layers' names, from the input to the last.
      title: heading of the whole figure.

    Returns:
      A figure with one panel per layer, the first at the top; taller panels have more neurons.

    Raises:
      ValueError: there is no layer, the numbers of layers and names differ, an array is not
        ``(time, neurons)``, or the layers' durations differ.
    """
    arrays = [np.asarray(spikes) for spikes in layers]
    _check_layers(arrays, names)
    heights = _panel_heights([spikes.shape[1] for spikes in arrays])
    figure = Figure(
        figsize=(7.2, 0.7 + sum(heights) + 0.4 * len(arrays)), dpi=120, layout="constrained"
    )
    panels = figure.subplots(
        len(arrays), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for axes, spikes, name, height in zip(panels, arrays, names, heights, strict=True):
        _draw_layer(axes, spikes, name, height)
    panels[-1].set_xlabel("time step")
    panels[-1].set_xlim(-1, len(arrays[0]))
    figure.supylabel("neuron", fontsize=10)
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    return figure


def _panel_heights(neurons: list[int]) -> list[float]:
    """Inches for each layer; by square roots, so that two neurons stay readable beside hundreds."""
    natural = np.maximum(0.42 * np.sqrt(neurons), 0.5)
    shrunk = natural * min(1.0, _MOST_INCHES / natural.sum())
    return [float(height) for height in np.maximum(shrunk, np.minimum(natural, 1.0))]


def _draw_layer(axes: Axes, spikes: np.ndarray, name: str, height: float) -> None:
    neurons = spikes.shape[1]
    time, neuron = np.nonzero(spikes)
    points = max(0.8 * 72 * height / (neurons + 1), 2.0)
    axes.plot(time, neuron, "|", color=BLUE, markersize=points, markeredgewidth=1.3)
    neurons_text = "1 neuron" if neurons == 1 else f"{neurons} neurons"
    total = spikes.sum()
    caption(axes, f"{name}: {neurons_text}, {total:g} {'spike' if total == 1 else 'spikes'}")
    axes.set_ylim(-0.7, neurons - 0.3)
    axes.yaxis.set_major_locator(count_ticks(4))
    tidy(axes)


def _check_layers(arrays: list[np.ndarray], names: Sequence[str]) -> None:
    if not arrays:
        raise ValueError("layers: expected at least one, given none")
    if len(arrays) != len(names):
        raise ValueError(
            f"names: expected one for each of {len(arrays)} layers, given {len(names)}"
        )
    for name, spikes in zip(names, arrays, strict=True):
        if spikes.ndim != 2 or spikes.shape[1] == 0:
            raise ValueError(f"{name}: expected axes (time, neurons), given shape {spikes.shape}")
        if len(spikes) != len(arrays[0]):
            raise ValueError(
                f"{name}: expected {len(arrays[0])} time steps, as {names[0]} has, "
                f"given {len(spikes)}"
            )
