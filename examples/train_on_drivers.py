"""Trains the notebook's network with all weights on chips behind drivers.

    python examples/train_on_drivers.py [OUT]

On the reference driver, which computes exactly, and on a simulated chip in a process of its own,
with levels and read noise; the same in simulation is for comparison. Forward passes read, backward
passes read transposed, updates program. The picture is OUT/train_on_drivers.png.
"""

import argparse
import json
from pathlib import Path

import jax
from matplotlib.figure import Figure

import xbarax as xb
from xbarax import train

# Trained weights reach about 7; updates are rounded to levels at random, up or down.
NOISY = {"range": 8, "levels": 4096, "read_noise": 0.02, "outputs": 32, "inputs": 32}


def chips():
    """Names, and what a training configuration says of the chip."""
    return {
        "in simulation": {"chip": "ideal"},
        "reference driver": {"chip": str(xb.hardware.reference_driver())},
        "noisy chip, isolated": {
            "chip": str(xb.hardware.simulated_driver()),
            "chip_config": json.dumps(NOISY),
            "isolated": True,
        },
    }


def train_on(options, **chip):
    """Test accuracy after each epoch."""
    config = train.TrainConfig(
        crossbar="all",  # every matrix of every layer
        epochs=options.epochs,
        samples_per_class=options.samples,
        seed=options.seed,
        **chip,
    )
    task = train.make_task(config)
    update = train.make_update(task.net, task.optimiser, donate=False)  # chips are not memory
    accuracy = train.make_accuracy(task.net)
    params, opt_state = task.params, jax.jit(task.optimiser.init)(task.params)
    accuracies = []
    for _ in range(config.epochs):
        params, opt_state, _ = train.train_epoch(update, params, opt_state, task.training)
        accuracies.append(train.measure_accuracy(accuracy, params, task.test))
    return accuracies


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("examples/out"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000, help="of each class")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, chip in chips().items():
        shares = train_on(options, **chip)
        print(f"{name}: {shares[-1]:.2%} after {options.epochs} epochs", flush=True)
        axes.plot(range(1, len(shares) + 1), [100 * s for s in shares], "o-", ms=4, label=name)
    ticks = [1, *range(5, options.epochs + 1, 5)]
    axes.set(xlabel="epoch", ylabel="test accuracy (%)", xticks=ticks)
    axes.legend(frameon=False, loc="lower right")
    axes.set_title("all weights on a chip", loc="left")
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "train_on_drivers.png")


if __name__ == "__main__":
    main()
