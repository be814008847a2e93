"""What the crossbars of a parameter tree have counted, and what of it deserves a warning."""

from typing import Any

import jax

from xbarax.array import MemristiveCrossbarArray, report
from xbarax.train.metrics import Counters, EpochMetrics

_ORDINARY = frozenset({"pulses", "saturated", "capped", "too_small"})
"""Counters that grow whenever an array trains in place as its devices do."""


def count_crossbars(params: Any) -> Counters:
    """What each crossbar of the parameters has counted since it was made.

    Args:
      params: a list with a dict of parameters for each layer.
    """
    return {
        f"layer {number} {name}": {
            counter: int(count) for counter, count in sorted(jax.device_get(report(value)).items())
        }
        for number, layer in enumerate(params, start=1)
        for name, value in layer.items()
        if isinstance(value, MemristiveCrossbarArray)
    }


def epoch_warnings(
    metrics: EpochMetrics, before: EpochMetrics | None, silent: int | None = None
) -> list[str]:
    """A line for each thing that went wrong in an epoch without ending it.

    Args:
      metrics: the epoch's.
      before: those of the epoch before, if there was one.
      silent: the number of a hidden layer, from 1, none of whose neurons spikes any more.
    """
    lines = []
    if not abs(metrics.loss) < float("inf"):
        lines.append(f"epoch {metrics.epoch}: the loss is {metrics.loss}")
    if silent is not None:
        lines.append(
            f"epoch {metrics.epoch}: no neuron of layer {silent} spikes, so that the network "
            "hardly learns; try fewer layers or another learning rate, or, in a loop of your own, "
            "larger weights (snn.lsuv) or a lower threshold"
        )
    for place, counters in metrics.crossbars.items():
        earlier = before.crossbars.get(place, {}) if before else {}
        for name, count in counters.items():
            new = count - earlier.get(name, 0)
            if new > 0 and name not in _ORDINARY:
                words = name.replace("_", " ")
                lines.append(f"epoch {metrics.epoch}: crossbar {place}: {new} times {words}")
    return lines


def sum_counters(counters: Counters) -> dict[str, int]:
    """Each counter over all crossbars."""
    total: dict[str, int] = {}
    for of_crossbar in counters.values():
        for name, count in of_crossbar.items():
            total[name] = total.get(name, 0) + count
    return total
