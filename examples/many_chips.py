"""Programs one trained network onto 100 chips, and draws their accuracies as a histogram.

    python examples/many_chips.py [OUT] [--chip NAME]

The chips are phase-change memory, or what `xbarax chips` calls NAME: without faults, and with those
that a test of 4 Mb of resistive memory found (see `xb.Faults`). The picture is OUT/many_chips.png.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import xbarax as xb
from xbarax import train

PRESETS = xb.device.presets.PRESETS
FAULTS = {
    "no faults": None,
    "9.04 % stuck low, 1.75 % stuck high": xb.Faults(stuck_low=0.0904, stuck_high=0.0175),
}


def measure(task, params, chip, n_chips):
    """The test accuracy of each of the chips."""
    spikes = np.concatenate([spikes for spikes, _ in task.test], axis=1)
    labels = np.concatenate([labels for _, labels in task.test])

    def one_chip(key):
        on_chip = xb.to_crossbar(params, lambda p: p, chip, key)  # every matrix of every layer
        return train.make_accuracy(task.net)(on_chip, spikes, labels)

    return xb.monte_carlo(one_chip, n_chips, jax.random.key(1), chunk=20)


def draw(digital, results, n_test, name):
    figure = Figure(figsize=(8.0, 3.6), dpi=120, layout="constrained")
    for axes, (label, shares) in zip(figure.subplots(1, 2), results.items(), strict=True):
        width = max(1, round(n_test * np.ptp(shares) / 15))  # whole samples
        edges = np.arange(n_test * shares.min() - 0.5, n_test + width, width)
        axes.hist(100 * shares, bins=100 * edges / n_test, color="C0", alpha=0.7)
        axes.axvline(100 * digital, color="C1", label="digital")
        axes.axvline(100 * shares.mean(), color="C0", linestyle="--", label="mean")
        axes.set(xlabel="test accuracy (%)", ylabel="chips", title=label)
    axes.legend(frameon=False)
    figure.suptitle(f"{len(shares)} chips of {name}")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("examples/out"))
    parser.add_argument("--chip", choices=PRESETS, default="pcm", metavar="NAME")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000, help="of each class")
    parser.add_argument("--chips", type=int, default=100)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    config = train.TrainConfig(epochs=options.epochs, samples_per_class=options.samples)

    task = train.make_task(config)
    update = train.make_update(task.net, task.optimiser)
    params, opt_state = task.params, task.optimiser.init(task.params)
    for _ in range(config.epochs):
        params, opt_state, _ = train.train_epoch(update, params, opt_state, task.training)
    digital = train.measure_accuracy(train.make_accuracy(task.net), params, task.test)
    print(f"digital: {digital:.2%}")
    results = {}
    for name, faults in FAULTS.items():
        chip = xb.Chip(device=PRESETS[options.chip].make(), faults=faults)
        results[name] = shares = measure(task, params, chip, options.chips)
        print(f"{name}: mean {shares.mean():.2%}, worst {shares.min():.2%}")
    figure = draw(digital, results, config.test_samples, options.chip)
    figure.savefig(options.out / "many_chips.png")


if __name__ == "__main__":
    main()
