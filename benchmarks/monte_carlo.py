"""Times `xb.monte_carlo` against a jitted loop over chips, on the notebook's network.

    python benchmarks/monte_carlo.py

For batches of 48 and of 1: milliseconds a chip, medians of both in one run, without compilation.
The chips differ in what has to be drawn for each read: nothing, or noise for every output. Plain
weights, a different array for each, show what the network takes alone: the bound of what can be
gained by putting chips together.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

import xbarax as xb
from xbarax import snn, train
from xbarax.array import _monte_carlo

CHIPS = {
    "plain weights": None,
    "programming errors alone": xb.Chip(device=xb.device.PCM(read_noise=0.0)),
    "and read noise": xb.Chip(device=xb.device.PCM()),
}


def experiment(task: train.Task, chip: xb.Chip | None, batch: int) -> Callable[[jax.Array], Any]:
    """The accuracy of one chip, or of weights scaled at random, on the first samples."""
    spikes, labels = next(iter(task.test))
    spikes, labels = spikes[:, :batch], labels[:batch]

    def accuracy(key: jax.Array) -> jax.Array:
        if chip is None:
            params = jax.tree.map(lambda w: w * jax.random.uniform(key, (1, 1)), task.params)
        else:
            params = xb.to_crossbar(task.params, lambda p: p, chip, key)
        return snn.spike_count_accuracy(snn.unroll(task.net, params, spikes)[0], labels)

    return accuracy


def seconds(run: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def main() -> None:
    """Prints a line for each chip and batch."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=1000, help="chips of a measurement")
    parser.add_argument("--repeats", type=int, default=5, help="measurements")
    options = parser.parse_args()
    task = train.make_task(train.TrainConfig())
    for name, chip in CHIPS.items():
        for batch in (48, 1):
            fn = experiment(task, chip, batch)
            keys = jax.random.split(jax.random.key(0), options.chips)
            size = min(_monte_carlo.fitting_chunk(fn, keys[0]), options.chips)
            alone = jax.jit(fn).lower(keys[0]).compile()
            together = jax.jit(jax.vmap(fn)).lower(keys[:size]).compile()
            chunks = [keys[i : i + size] for i in range(0, options.chips - size + 1, size)]
            loop, batched = [], []
            for _ in range(options.repeats):
                loop.append(seconds(lambda k=keys, f=alone: [f(key) for key in k]))
                batched.append(seconds(lambda c=chunks, f=together: [f(chunk) for chunk in c]))
            each = statistics.median(loop) / options.chips
            both = statistics.median(batched) / (len(chunks) * size)
            ratio = each / both
            print(
                f"{name}, batch {batch}: loop {1e3 * each:.3f} ms a chip, monte_carlo "
                f"{1e3 * both:.3f} ms in chunks of {size}: {ratio:.1f} times as fast",
                flush=True,
            )


if __name__ == "__main__":
    main()
