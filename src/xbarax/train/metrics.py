"""What is measured in each epoch, and how it stands in a file."""

import dataclasses
import json
import math
from typing import Any

Counters = dict[str, dict[str, int]]
"""For each crossbar, by its place in the network, what `xbarax.report` has counted."""


@dataclasses.dataclass(frozen=True)
class EpochMetrics:
    """The outcome of an epoch. It holds no times: equal runs have equal metrics.

    Args:
      epoch: number of the epoch, from 1.
      loss: training loss per sample, the mean over the epoch's batches as they were trained on.
      test_accuracy: share of the test samples, all of them, that are classified as labelled.
      crossbars: what the crossbars have counted since the run began.
    """

    epoch: int
    loss: float
    test_accuracy: float
    crossbars: Counters


def metrics_to_dict(metrics: EpochMetrics) -> dict[str, Any]:
    """The metrics as what JSON holds; a loss that is not finite, which JSON lacks, is null."""
    finite = math.isfinite(metrics.loss)
    return {**dataclasses.asdict(metrics), "loss": metrics.loss if finite else None}


def metrics_from_dict(entries: dict[str, Any]) -> EpochMetrics:
    """The metrics that `metrics_to_dict` was given; null is NaN again.

    Raises:
      KeyError, TypeError: the entries are not those of metrics.
    """
    loss = math.nan if entries["loss"] is None else entries["loss"]
    metrics = EpochMetrics(**{**entries, "loss": loss})
    numbers = (metrics.epoch, metrics.loss, metrics.test_accuracy)
    counters = metrics.crossbars.values() if isinstance(metrics.crossbars, dict) else [None]
    if not (
        all(isinstance(number, int | float) for number in numbers)
        and all(isinstance(counts, dict) for counts in counters)
    ):
        raise TypeError(f"expected an epoch's metrics, given {entries!r}")
    return metrics


def metrics_line(metrics: EpochMetrics) -> str:
    """The line of `metrics.jsonl`."""
    return json.dumps(metrics_to_dict(metrics)) + "\n"
