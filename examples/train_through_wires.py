"""Runs a trained network through wires: as it is, compensated, and then trained through them.

    python examples/train_through_wires.py [OUT]

Weights are pairs of cells from 1 to 100 µS. The picture is OUT/train_through_wires.png.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

import xbarax as xb
from xbarax import snn, train

NET = snn.Sequential(snn.LIF(128), snn.LIF(8))
DEVICE = xb.device.Ideal(g_min=1e-6, g_max=100e-6)
WAYS = ("as it is", "compensated", "then trained through the wires")
THROUGH_WIRES = optax.stateless(lambda grads, w: jax.tree.map(xb.wires.pull_back, w, grads))
SGD = optax.chain(THROUGH_WIRES, optax.sgd(optax.cosine_decay_schedule(1e-2, 40), momentum=0.9))


def measure(params, tile, ohm, batches, test):
    """The test accuracy of each of the ways."""

    def chip(weights):
        mapping = xb.mapping.DifferentialPair(weight_range=1.2 * float(np.max(np.abs(weights))))
        wires = xb.wires.Resistive(ohm, ohm)
        return xb.Chip(device=DEVICE, mapping=mapping, tile=(tile, tile), wires=wires)

    chips = jax.tree.map(chip, params)
    found = jax.tree.map(jax.jit(xb.wires.compensated, static_argnums=1), params, chips)
    compensated = jax.tree.map(lambda _, its: its.programmed, params, found)
    on_chip = jax.jit(lambda weights: jax.tree.map(xb.MemristiveCrossbarArray, weights, chips))
    score = lambda arrays: train.measure_accuracy(train.make_accuracy(NET), arrays, test)
    shares = [score(on_chip(params)), score(on_chip(compensated))]
    arrays, update = on_chip(compensated), train.make_update(NET, SGD)
    arrays, *_ = train.train_epoch(update, arrays, jax.jit(SGD.init)(arrays), batches)
    shares.append(score(arrays))
    missed = 1 - np.mean(np.concatenate([np.ravel(layer["input"].reached) for layer in found]))
    listed = ", ".join(f"{way} {share:.2%}" for way, share in zip(WAYS, shares, strict=True))
    print(f"{ohm:g} ohm, tiles of {tile}: {listed}; {missed:.1%} out of reach", flush=True)
    return shares


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("examples/out"))
    parser.add_argument("--epochs", type=int, default=8, help="of digital training")
    parser.add_argument("--samples", type=int, default=300, help="of each class")
    parser.add_argument("--tiles", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--ohms", type=float, nargs="+", default=[5.0, 10.0, 20.0, 40.0])
    options = parser.parse_args()

    sizes = {"network": (128, 128, 8), "samples_per_class": options.samples}
    task = train.make_task(train.TrainConfig(**sizes, epochs=options.epochs, schedule="cosine"))
    params, update = NET.init(jax.random.key(42), 128), train.make_update(NET, task.optimiser)
    opt_state, batches = task.optimiser.init(params), list(task.training)
    for _ in range(options.epochs):
        params, opt_state, _ = train.train_epoch(update, params, opt_state, task.training)
    print(f"digital: {train.measure_accuracy(train.make_accuracy(NET), params, task.test):.2%}")
    figure = Figure(figsize=(9.0, 3.6), dpi=120, layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for tile in options.tiles:
        rows = [measure(params, tile, ohm, batches, task.test) for ohm in options.ohms]
        for axes, way, shares in zip(panels, WAYS, 100 * np.transpose(rows), strict=True):
            axes.plot([f"{ohm:g}" for ohm in options.ohms], shares, "o-", label=f"{tile} × {tile}")
            axes.set(xlabel="Ω a segment", ylim=(0, 105))
            axes.set_title(way, loc="left")
    panels[0].set_ylabel("test accuracy (%)")
    panels[0].legend(frameon=False, loc="lower left", title="tiles")
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "train_through_wires.png")


if __name__ == "__main__":
    main()
