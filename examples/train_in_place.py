"""Trains a network in place: every weight is a pair of devices, and every update is pulses.

    python examples/train_in_place.py [OUT] [--chip NAME]

The devices are resistive memory with soft bounds, or what `xbarax chips` calls NAME; the same on
ideal ones is for comparison. The picture is OUT/train_in_place.png.
"""

import argparse
from pathlib import Path

import jax
from matplotlib.figure import Figure

import xbarax as xb
from xbarax import train


def train_on(chip, options):
    """The test accuracy after each epoch, and what the crossbars counted."""
    config = train.TrainConfig(
        crossbar="all",  # every matrix of every layer
        chip=chip,
        epochs=options.epochs,
        samples_per_class=options.samples,
        seed=options.seed,
    )
    task = train.make_task(config)
    update, accuracy = train.make_update(task.net, task.optimiser), train.make_accuracy(task.net)
    params, opt_state = task.params, jax.jit(task.optimiser.init)(task.params)
    accuracies = []
    for _ in range(config.epochs):
        params, opt_state, _ = train.train_epoch(update, params, opt_state, task.training)
        accuracies.append(train.measure_accuracy(accuracy, params, task.test))
    counts = [xb.report(w) for w in jax.tree.leaves(params)]
    return accuracies, jax.tree.map(lambda *counters: sum(map(int, counters)), *counts)


def draw(accuracies):
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, shares in accuracies.items():
        epochs = range(1, len(shares) + 1)
        axes.plot(epochs, [100 * share for share in shares], "o-", markersize=4, label=name)
    axes.set(xlabel="epoch", ylabel="test accuracy (%)")
    axes.legend(frameon=False, loc="lower right")
    axes.set_title("trained in place, all layers", loc="left")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("examples/out"))
    parser.add_argument(
        "--chip", choices=xb.device.presets.PRESETS, default="reram_soft_bounds", metavar="NAME"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000, help="of each class")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()

    accuracies = {}
    for chip in ("ideal", options.chip):
        accuracies[chip], counts = train_on(chip, options)
        last, best = accuracies[chip][-1], max(accuracies[chip])
        print(f"{chip}: {last:.2%} after {options.epochs} epochs, at best {best:.2%}")
        print("  counted:", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    options.out.mkdir(parents=True, exist_ok=True)
    draw(accuracies).savefig(options.out / "train_in_place.png")


if __name__ == "__main__":
    main()
