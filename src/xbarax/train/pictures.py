"""The pictures of a finished run."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from xbarax import snn
from xbarax.array import MemristiveCrossbarArray, readout
from xbarax.train._atomic import write_atomically
from xbarax.train.metrics import EpochMetrics, metrics_to_dict
from xbarax.train.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_pictures(
    folder: RunFolder,
    net: snn.Sequential,
    params: Any,
    metrics: Sequence[EpochMetrics],
    sample: np.ndarray,
    label: int,
) -> None:
    """Draws the learning curve, a sample's spikes through all layers, and the last weights.

    Args:
      folder: where `learning_curve.png`, `raster.png` and `weights.png` go.
      net: the network.
      params: its parameters.
      metrics: those of all epochs.
      sample: input spikes of a test sample, (time, unit).
      label: its class.
    """
    # Here, since it takes half a second that training need not wait for.
    from xbarax import plot

    _save(folder, "learning_curve", plot.learning_curve([metrics_to_dict(m) for m in metrics]))

    layers = [sample, *_layer_spikes(net, params, sample)]
    names = ["input", *(f"layer {number}" for number in range(1, len(layers)))]
    _save(folder, "raster", plot.raster(layers, names, f"a test sample of class {label}"))

    last = params[-1]["input"]
    crossbar = isinstance(last, MemristiveCrossbarArray)
    title = f"layer {len(params)}, input {'crossbar' if crossbar else 'weights'}"
    weights = readout(last) if crossbar else last
    _save(folder, "weights", plot.conductance_map(np.asarray(weights), title))


def _layer_spikes(net: snn.Sequential, params: Any, sample: np.ndarray) -> list[np.ndarray]:
    """The spikes of each layer, (time, neurons)."""
    run = jax.jit(lambda params, xs: snn.unroll(net, params, xs, record=True)[2])
    records = run(params, sample[:, None, :])
    return [np.asarray(record.spikes[:, 0]) for record in records]


def _save(folder: RunFolder, name: str, figure: "Figure") -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(folder.picture(name), buffer.getvalue())
