"""Times what training steps are made of: their products, reads and random numbers, each alone.

    python benchmarks/roofline.py [--json FILE] [--workloads NAME …] [--rounds N] [--rate R]

For each workload of `training_step.py`, its digital step, and those on ideal crossbars and on noisy
chips in all layers; and

- the products of the digital step that are dense, those of its backward pass, as XLA multiplies
  plain arrays: each weight's for many time steps and samples at once;
- as many random numbers as reads draw of one plane: rows without any input take none, of which
  there are some forward;
- all reads of the noisy step on pairs, forward and backward, without the time loop, the neurons,
  the gradients of weights, and the update. They go row by row, where layers of few neurons are read
  with a sample in each lane.

"Sum of parts" is what a noisy step would take if all that it has more than the one on ideal
crossbars were free, but for the random numbers and, where two planes are read, the second plane's
dense products. The former has the same arrays, which JAX hands to the program in Python, and no
physics. It is no bound where the kernels' own products are faster than XLA's.

Products, numbers and reads are timed for some of a step's rows, since results of all would leave
the caches, and scaled. Programs take turns within a round; medians, ms, and in digital steps of the
same rounds.
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
LINES, DRAWS = (256, 512), 8  # of random numbers, so few at a time that they stay in the caches

DIGITAL, IDEAL = "digital step", "ideal crossbars"
PRODUCTS, NUMBERS = "dense products", "random numbers, one plane"
READS, SUM = "reads of pairs", "sum of parts"
# The noisy steps' programs, and how many planes are read with converters and noise of their own.
NOISY = {"noisy, one plane": 1, "noisy, subtracted pairs": 1, "noisy chip": 2}


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


def measure(workload: Workload, rate: float, rounds: int) -> dict[str, Any]:
    """What each program takes, in ms and in digital steps, and what the parts of noisy ones are."""
    made = training_step.make(workload, rate)
    programs: dict[str, Callable[[], Any]] = {
        name: training_step.Program(name, *made).step
        for name in ("digital", "ideal crossbar", *NOISY)
    }
    programs[DIGITAL] = programs.pop("digital")
    programs[IDEAL] = programs.pop("ideal crossbar")
    parts = Parts(workload, *made[:3])
    programs |= {PRODUCTS: parts.products(), NUMBERS: parts.numbers(), READS: parts.reads()}
    times = {name: np.asarray(ms) for name, ms in turns.in_turns(programs, rounds).items()}
    times[PRODUCTS] *= parts.share
    times[READS] *= parts.share
    times[NUMBERS] *= parts.million_numbers * 1e6 / (DRAWS * math.prod(LINES))
    for name, planes in NOISY.items():
        more = (planes - 1) * times[PRODUCTS] + planes * times[NUMBERS]
        times[f"{name}, {SUM}"] = times[IDEAL] + more
    return {
        "ms": {name: float(np.median(ms)) for name, ms in times.items()},
        "digital steps": {
            name: float(np.median(ms / times[DIGITAL])) for name, ms in times.items()
        },
        "gigaflop": parts.gigaflop,
        "million_numbers": parts.million_numbers,
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
        # One for each sum of a plane, where its row has inputs.
        forward = sum(len(w) * int(jnp.any(x != 0, axis=1).sum()) for w, x in self._forward)
        backward = timed * sum(w.shape[1] for w, _ in self._backward)
        self.million_numbers = 1e-6 * self.share * (forward + backward)

    def products(self) -> Callable[[], Any]:
        """The dense ones."""
        return turns.compiled(lambda pairs: [x @ w for w, x in pairs], self._backward)

    def numbers(self) -> Callable[[], Any]:
        """As reads draw them."""
        draw = lambda key: _kernels.paired_normal(key, LINES)[0, 0]
        keys = jax.random.split(jax.random.key(2), DRAWS)
        return turns.compiled(lambda keys: jax.lax.map(draw, keys), keys)

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


def table(name: str, result: dict[str, Any]) -> str:
    """A workload's results, as text."""
    notes = {
        PRODUCTS: f"{result['gigaflop']:.2f} GFLOP",
        NUMBERS: f"{result['million_numbers']:.1f} million",
    }
    lines = [f"\n{name:<40}{'ms':>9}{'digital steps':>16}"]
    order = (
        DIGITAL,
        IDEAL,
        PRODUCTS,
        NUMBERS,
        READS,
        *(row for n in NOISY for row in (n, f"{n}, {SUM}")),
    )
    for what in order:
        ms, share = result["ms"][what], result["digital steps"][what]
        lines.append(f"{what:<40}{ms:9.2f}{share:16.2f}   {notes.get(what, '')}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    main()
