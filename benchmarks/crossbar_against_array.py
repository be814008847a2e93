"""Compares training on an ideal crossbar with training on plain arrays, over the notebook's task.

    python benchmarks/crossbar_against_array.py

For each of 660 steps (20 epochs): the relative difference of the losses from the same weights, and
with both programs running freely. A spiking network amplifies rounding: once a difference in the
last bit moves a spike over the threshold, two programs that run freely part, as two compilations of
the same program do.
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

import xbarax as xb
from xbarax import datasets, snn

NET = snn.Sequential(snn.LIF(32, recurrent=True), snn.LIF(2, recurrent=True))
OPTIMISER = optax.sgd(2e-2, momentum=0.9)
WHERE: dict[str, Callable[[Any], Any]] = {
    "crossbar in the last layer": lambda p: p[-1]["input"],
    "crossbars everywhere": lambda p: p,
}


def loss(params: Any, spikes: Any, labels: Any) -> Any:
    """The notebook's loss."""
    return snn.spike_count_cross_entropy(snn.unroll(NET, params, spikes)[0], labels)


@jax.jit
def update(params: Any, state: Any, spikes: Any, labels: Any) -> Any:
    """One step of training."""
    value, grads = jax.value_and_grad(loss)(params, spikes, labels)
    updates, state = OPTIMISER.update(grads, state, params)
    return xb.apply_updates(params, updates), state, value


def compare(plain: Any, where: Callable[[Any], Any], batches: list) -> tuple[Any, Any]:
    """Relative differences of the losses, (from the same weights, running freely)."""
    on_chip = xb.to_crossbar(plain, where)
    loss_on_chip = jax.jit(lambda params, x, y: loss(xb.to_crossbar(params, where), x, y))
    states = [jax.jit(OPTIMISER.init)(params) for params in (plain, on_chip)]
    same, free = [], []
    for spikes, labels in batches:
        forced = float(loss_on_chip(plain, spikes, labels))
        plain, states[0], expected = update(plain, states[0], spikes, labels)
        on_chip, states[1], found = update(on_chip, states[1], spikes, labels)
        same.append(abs(forced - float(expected)) / float(expected))
        free.append(abs(float(found) - float(expected)) / float(expected))
    return np.asarray(same), np.asarray(free)


def main() -> None:
    """Prints a line for each place of the crossbars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    rng = np.random.default_rng(42)
    data, labels = datasets.randman.make_spike_raster_dataset(rng, nb_classes=2, nb_units=16)
    loader = datasets.BatchLoader(data[:1600], labels[:1600], 48, rng=rng)
    batches = [batch for _ in range(options.epochs) for batch in loader]
    params = NET.init(jax.random.key(42), 16)
    print(f"JAX {jax.__version__}, {len(batches)} steps")
    for name, where in WHERE.items():
        same, free = compare(params, where, batches)
        parts = np.flatnonzero(free > 1e-5)
        print(f"{name}: from the same weights, largest relative difference {same.max():.1e};")
        print(f"  running freely, below 1e-5 for {parts[0] if len(parts) else len(free)} steps")


if __name__ == "__main__":
    main()
