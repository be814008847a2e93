"""Times what training steps are made of: their products, reads and random numbers, each alone.

    python benchmarks/roofline.py [--json FILE] [--workloads NAME …] [--rounds N] [--rate R]

For each workload of `training_step.py`, its digital step and that on noisy chips in all layers; and

- the products of the digital step that are dense, those of its backward pass, as XLA multiplies
  plain arrays: each weight's for many time steps and samples at once;
- all reads of the noisy step, forward and backward, likewise: without the time loop, the neurons,
  the gradients of weights, and the update;
- as many random numbers as those reads draw where no row is without any input.

These are timed for some of a step's rows, since results of all would leave the caches, and scaled.
The reads are this library's: what they take bounds the step only as long as they are no faster.
They go row by row, where layers of few neurons are read with a sample in each lane.
Programs take turns within a round; medians, ms, and in digital steps of the same rounds.
"""

import argparse
import json
import math
import os
import platform
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import training_step
import turns
from argument_types import count, new_file, share
from jax import Array
from jax import numpy as jnp
from workloads import WORKLOADS, Workload

import xbarax as xb
from xbarax import _kernels, snn

ROWS = 8192  # of which products and reads are timed
LINES = (1024, 512)  # of random numbers

STEPS = {"digital step": "digital", "noisy step": "noisy chip"}
PRODUCTS, READS, NUMBERS = "dense products", "reads", "random numbers"


def main() -> None:
    """Prints a line for each workload."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=count, default=11)
    parser.add_argument("--rate", type=share, default=0.01, help="input spikes a step and input")
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians, ms")
    results = {}
    for name in options.workloads:
        results[name] = measure(WORKLOADS[name], options.rate, options.rounds)
        print(table(name, results[name]), flush=True)
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        given = {"rate": options.rate, "rounds": options.rounds}
        options.json.write_text(json.dumps({**about, **given, "workloads": results}, indent=2))


def measure(workload: Workload, rate: float, rounds: int) -> dict[str, float]:
    """What each program takes, and what follows from it."""
    made = training_step.make(workload, rate)
    programs: dict[str, Callable[[], Any]] = {
        name: training_step.Program(program, *made).step for name, program in STEPS.items()
    }
    parts = Parts(workload, *made[:3])
    programs |= {PRODUCTS: parts.products(), READS: parts.reads(), NUMBERS: parts.numbers()}
    times = turns.in_turns(programs, rounds)
    shares = {PRODUCTS: parts.share, READS: parts.share, NUMBERS: parts.million_numbers * 1e6}
    shares[NUMBERS] /= math.prod(LINES)
    for name, scale in shares.items():
        times[name] = [scale * taken for taken in times[name]]
    return {
        **{name: float(np.median(taken)) for name, taken in times.items()},
        "gigaflop": parts.gigaflop,
        "million_numbers": parts.million_numbers,
        **{
            f"{name} in digital steps": float(np.median(np.divide(taken, times["digital step"])))
            for name, taken in times.items()
        },
    }


class Parts:
    """What a step multiplies and reads."""

    def __init__(self, workload: Workload, net: Any, params: Any, xs: Array):
        _, _, records = snn.unroll(net, params, xs, record=True)
        rng = np.random.default_rng(0)
        # Weights, and their inputs of all steps.
        self._forward: list[tuple[Array, Array]] = []
        self._backward: list[tuple[Array, Array]] = []
        rows = workload.steps * workload.batch
        every = max(1, rows // ROWS)
        timed = rows // every
        self.share = rows / timed  # how many times as much a step has
        flat = lambda x: x.reshape(rows, -1)[::every][:timed]
        spikes = [xs, *(record.spikes for record in records)]
        for layer, weights in enumerate(params):
            cotangents = rng.normal(size=(timed, len(weights["input"]))).astype(np.float32)
            self._forward.append((weights["input"], flat(spikes[layer])))
            if layer > 0:
                self._backward.append((weights["input"], jnp.asarray(cotangents)))
            if workload.recurrent:
                self._forward.append((weights["recurrent"], flat(spikes[layer + 1])))
                self._backward.append((weights["recurrent"], jnp.asarray(cotangents)))
        self.gigaflop = 2e-9 * rows * sum(w.size for w, _ in self._backward)
        planes = 2  # each draws a number for each of its sums
        outputs = sum(len(w) for w, _ in self._forward) + sum(w.shape[1] for w, _ in self._backward)
        self.million_numbers = 1e-6 * rows * planes * outputs

    def products(self) -> Callable[[], Any]:
        """The dense ones."""
        return turns.compiled(lambda pairs: [x @ w for w, x in pairs], self._backward)

    def numbers(self) -> Callable[[], Any]:
        """As reads draw them."""
        return turns.compiled(lambda key: _kernels.paired_normal(key, LINES), jax.random.key(2))

    def reads(self) -> Callable[[], Any]:
        """All of them, with keys."""

        def array(weights: Array) -> Any:
            return xb.MemristiveCrossbarArray(weights, training_step.NOISY, jax.random.key(0))

        def read(forward: Any, backward: Any) -> list[Array]:
            key = jax.random.key(1)
            return [
                *(xb.read(w, x, key=key) for w, x in forward),
                *(xb.read(w, x, key=key, transpose=True) for w, x in backward),
            ]

        forward = [(array(w), x) for w, x in self._forward]
        backward = [(array(w), x) for w, x in self._backward]
        return turns.compiled(read, forward, backward)


def table(name: str, result: dict[str, float]) -> str:
    """A workload's results, as text."""
    notes = {
        PRODUCTS: f"{result['gigaflop']:.2f} GFLOP",
        NUMBERS: f"{result['million_numbers']:.1f} million",
    }
    lines = [f"\n{name:<28}{'ms':>9}{'digital steps':>16}"]
    for what in (*STEPS, PRODUCTS, READS, NUMBERS):
        share = result[f"{what} in digital steps"]
        lines.append(f"{what:<28}{result[what]:9.2f}{share:16.2f}   {notes.get(what, '')}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    main()
