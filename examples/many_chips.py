"""Programs one trained network onto 100 chips, and draws their accuracies as a histogram.

    python examples/many_chips.py [OUT] [--chip NAME]

The chips are phase-change memory, or what `xbarax chips` calls NAME: without faults, and with those
that a test of 4 Mb of resistive memory found (see `xb.Faults`). The picture is OUT/many_chips.png.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import xbarax as xb
from xbarax import plot, train

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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("examples/out"))
    parser.add_argument("--chip", choices=PRESETS, default="pcm", metavar="NAME")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000, help="of each class")
    parser.add_argument("--chips", type=int, default=100)
    options = parser.parse_args()

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
    title = f"{options.chip}: {PRESETS[options.chip].description}"
    figure = plot.accuracy_histogram(results, config.test_samples, digital, title)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "many_chips.png")


if __name__ == "__main__":
    main()
