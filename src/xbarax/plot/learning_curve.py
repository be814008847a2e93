"""The learning curve: loss and accuracy, epoch by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbarax.plot._style import BLUE, FAINT, ORANGE, caption, count_ticks, tidy

_KEYS = ("epoch", "loss", "test_accuracy")


def learning_curve(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws training loss and test accuracy over the epochs.

    Args:
      metrics: one mapping per epoch with ``"epoch"``, ``"loss"`` (per sample) and
        ``"test_accuracy"`` (share, 0 to 1), as in the lines of a run's ``metrics.jsonl``; other
        entries are ignored. An epoch whose value is missing (``None`` or NaN) leaves a gap.

    Returns:
      A figure with two panels: the loss above, the accuracy in per cent below.

    Raises:
      ValueError: there is no epoch, or one lacks an entry.
    """
    if len(metrics) == 0:
        raise ValueError("metrics: expected at least one epoch, given none")
    for position, record in enumerate(metrics):
        if not set(_KEYS) <= record.keys():
            raise ValueError(
                f"metrics[{position}]: expected the entries {', '.join(_KEYS)}, "
                f"given {', '.join(map(str, record)) or 'none'}"
            )
    # dtype=float turns the None of a value that is not finite into NaN, which leaves a gap.
    epochs, losses, accuracies = (
        np.array([record[key] for record in metrics], dtype=float) for key in _KEYS
    )

    figure = Figure(figsize=(6.4, 4.8), dpi=120, layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(2, 1, sharex=True)
    _draw_curve(loss_axes, epochs, losses, BLUE)
    caption(loss_axes, "training loss per sample")
    loss_axes.set_ylim(bottom=0)
    _draw_curve(accuracy_axes, epochs, 100 * accuracies, ORANGE)
    caption(accuracy_axes, f"test accuracy, {accuracies[-1]:.2%} at the end")
    accuracy_axes.set_ylabel("%")
    accuracy_axes.set_ylim(top=100.5)
    accuracy_axes.set_xlabel("epoch")
    accuracy_axes.xaxis.set_major_locator(count_ticks(10))
    accuracy_axes.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    return figure


def _draw_curve(axes: Axes, epochs: np.ndarray, values: np.ndarray, colour: str) -> None:
    # Not clipped, so that points at 0 or at 100 % are whole.
    axes.plot(epochs, values, color=colour, marker="o", markersize=4, linewidth=1.6, clip_on=False)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    tidy(axes)
