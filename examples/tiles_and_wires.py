"""Sweeps the size of tiles against the error that resistive wires make, and makes up for them.

    python examples/tiles_and_wires.py [OUT]

A random layer in pairs of cells from 1 to 25 µS is read through tiles of several sizes, as it is
and with weights that make up for the wires (`xbarax.wires.compensated`). Errors are standard
deviations, relative to that of the outputs. The picture is OUT/tiles_and_wires.png.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import xbarax as xb

RESISTANCES = (1.0, 5.0, 20.0)  # ohm a segment
DEVICE = xb.device.Ideal(g_min=1e-6, g_max=25e-6)


def measure(weights, inputs, tile, ohm):
    """The error as it is, the error when compensated, and the share of weights out of reach."""
    mapping = xb.mapping.DifferentialPair(weight_range=1.2 * float(np.max(np.abs(weights))))
    wires = xb.wires.Resistive(ohm, ohm)
    chip = xb.Chip(device=DEVICE, mapping=mapping, tile=(tile, tile), wires=wires)
    found = xb.wires.compensated(weights, chip)
    ideal = inputs @ weights.T

    def error(programmed):
        w = xb.MemristiveCrossbarArray(programmed, chip)
        return float(np.std(xb.read(w, inputs) - ideal) / np.std(ideal))

    return error(weights), error(found.programmed), 1 - float(np.mean(found.reached))


def draw(tiles, results):
    figure = Figure(figsize=(7.6, 4.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    for i, (ohm, rows) in enumerate(results.items()):
        plain, compensated, _ = (100 * np.array(column) for column in zip(*rows, strict=True))
        axes.plot(tiles, plain, "o-", color=f"C{i}", label=f"{ohm:g} Ω a segment")
        axes.plot(tiles, compensated, "o--", color=f"C{i}", label="compensated", fillstyle="none")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(tiles, [str(tile) for tile in tiles])
    axes.set(xlabel="word and bit lines of a tile", ylabel="error of the outputs (%)")
    figure.legend(frameon=False, loc="outside right center")
    axes.set_title("What wires cost, by the size of tiles", loc="left")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("examples/out"))
    parser.add_argument("--size", type=int, default=128, help="inputs and outputs of the layer")
    parser.add_argument("--smallest", type=int, default=8, help="tile; the next is twice as large")
    options = parser.parse_args()

    size = options.size
    weights = np.asarray(jax.random.normal(jax.random.key(0), (size, size)))
    inputs = np.asarray(jax.random.uniform(jax.random.key(1), (200, size), minval=-1.0))
    tiles = [options.smallest * 2**k for k in range(20) if options.smallest * 2**k <= size]
    results = {ohm: [measure(weights, inputs, tile, ohm) for tile in tiles] for ohm in RESISTANCES}
    for ohm, rows in results.items():
        for tile, (plain, compensated, missed) in zip(tiles, rows, strict=True):
            print(
                f"{ohm:g} ohm, tiles of {tile}: error {plain:.2%}, compensated {compensated:.3%}, "
                f"{missed:.2%} of the weights out of reach"
            )
    options.out.mkdir(parents=True, exist_ok=True)
    draw(tiles, results).savefig(options.out / "tiles_and_wires.png")


if __name__ == "__main__":
    main()
