"""Trains a network digitally, programs it onto phase-change memory, and lets a day pass.

    python examples/program_and_age.py [OUT]

Compares accuracies with and without drift compensation; the picture is OUT/program_and_age.png.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import xbarax as xb
from xbarax import train

AGES = {"1 s": 1.0, "1 hour": 3600.0, "1 day": 86_400.0}


def measure(task, params, drift_compensation, n_chips):
    """Test accuracies (chips, ages) of networks that are programmed once and then get older."""
    chip = xb.Chip(device=xb.device.presets.pcm(), drift_compensation=drift_compensation)
    accuracy = train.make_accuracy(task.net)
    spikes = np.concatenate([spikes for spikes, _ in task.test], axis=1)
    labels = np.concatenate([labels for _, labels in task.test])

    def one_chip(key):
        fresh = xb.to_crossbar(params, lambda p: p, chip, key)  # every matrix of every layer
        aged = lambda seconds: jax.tree.map(lambda w: xb.age(w, seconds), fresh)
        after = jax.vmap(lambda seconds: accuracy(aged(seconds), spikes, labels))
        return after(jnp.array(list(AGES.values())))

    return xb.monte_carlo(one_chip, n_chips, jax.random.key(1), chunk=10)


def draw(digital, results):
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.axhline(100 * digital, color="#9a9a9a", linewidth=1, label="digital")
    for i, (name, shares) in enumerate(results.items()):
        at, colour = np.arange(len(AGES)) + (-0.12, 0.12)[i], ("C1", "C0")[i]
        beside = at + np.linspace(-0.08, 0.08, len(shares))[:, None]
        axes.plot(beside, 100 * shares, "o", color=colour, markersize=3, alpha=0.5)
        axes.plot(at, 100 * shares.mean(axis=0), "_-", color=colour, markersize=22, label=name)
    axes.set_xticks(range(len(AGES)), list(AGES))
    axes.set(xlabel="time since 20 s after programming", ylabel="test accuracy (%)")
    axes.legend(frameon=False, loc="lower left")
    axes.set_title(f"{len(shares)} PCM chips: each one, and their mean", loc="left")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("examples/out"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000, help="of each class")
    parser.add_argument("--chips", type=int, default=20)
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
    for compensation, name in enumerate(("as it drifts", "drift compensation")):
        results[name] = measure(task, params, bool(compensation), options.chips)
        means = zip(results[name].mean(axis=0), AGES, strict=True)
        print(f"{name}:", ", ".join(f"{mean:.2%} after {age}" for mean, age in means))
    options.out.mkdir(parents=True, exist_ok=True)
    draw(digital, results).savefig(options.out / "program_and_age.png")


if __name__ == "__main__":
    main()
