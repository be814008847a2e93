"""Compares ways to train the default network in place, all layers, on soft-bounds ReRAM.

    python benchmarks/training_in_place.py [--seeds 0 1 2 …] [--chip NAME]

For each way the test accuracy at the end of each seed's run, its mean, and the mean over the last
five epochs, which depends less on where the run happens to end.
"""

import argparse
import statistics
from typing import Any, Literal

import jax
import numpy as np
import optax

import xbarax as xb
from xbarax import train

PAIR, SINGLE = xb.mapping.DifferentialPair, xb.mapping.IdealReference

# What the chip has beside its device, the schedule, and whether remainders are kept digitally.
Way = tuple[dict[str, Any], Literal["constant", "cosine"], bool]
WAYS: dict[str, Way] = {
    "pairs, headroom 4": ({"mapping": PAIR(headroom=4)}, "constant", False),
    "the same, learning rate falling": ({"mapping": PAIR(headroom=4)}, "cosine", False),
    "and remainders kept": ({"mapping": PAIR(headroom=4)}, "cosine", True),
    "pairs, headroom 4, write–verify, falling": (
        {"mapping": PAIR(headroom=4), "programming": xb.WriteVerify()},
        "cosine",
        False,
    ),
    "pairs, headroom 8, falling": ({"mapping": PAIR(headroom=8)}, "cosine", False),
    "one device, headroom 4, falling": ({"mapping": SINGLE(headroom=4)}, "cosine", False),
    "the same and remainders kept": ({"mapping": SINGLE(headroom=4)}, "cosine", True),
}


def accuracies(seed: int, device: Any, way: Way) -> list[float]:
    """The test accuracy after each epoch."""
    settings, schedule, kept = way
    task = train.make_task(train.TrainConfig(seed=seed, schedule=schedule))
    key = jax.random.fold_in(jax.random.key(seed), 1)
    params = xb.to_crossbar(task.params, lambda p: p, xb.Chip(device=device, **settings), key)
    optimiser = optax.chain(task.optimiser, xb.mixed_precision()) if kept else task.optimiser
    update, accuracy = train.make_update(task.net, optimiser), train.make_accuracy(task.net)
    opt_state, shares = jax.jit(optimiser.init)(params), []
    for _ in range(task.config.epochs):
        params, opt_state, _ = train.train_epoch(update, params, opt_state, task.training)
        shares.append(train.measure_accuracy(accuracy, params, task.test))
    return shares


def main() -> None:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 0, 1, 2, 3])
    parser.add_argument("--chip", default="reram_soft_bounds", metavar="NAME")
    options = parser.parse_args()
    device = xb.device.presets.PRESETS[options.chip].make()
    for name, way in WAYS.items():
        runs = [accuracies(seed, device, way) for seed in options.seeds]
        ends = [shares[-1] for shares in runs]
        last = np.mean(runs, 0)[-5:].mean()
        print(
            f"{name}: {', '.join(f'{share:.2%}' for share in ends)}; mean "
            f"{statistics.mean(ends):.2%}, of the last five epochs {last:.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
