"""Compares xbarax with the 2023 notebook's own program, run from its file.

    python benchmarks/notebook.py ../shared/seed/notebook.txt

From the same initial weights and batches: losses and gradients of the first 33 training steps,
once with both programs running freely, and once with xbarax given the notebook's weights before
each step, so that rounding does not add up over the steps. Then the time of a training step,
interleaved in one process. Writes a table, and with --json a file.
"""

import argparse
import ast
import json
import re
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from argument_types import count, new_file

import xbarax as xb
from xbarax import snn
from xbarax.datasets import randman

STEPS = 33


def cells(text: str) -> list[str]:
    """The code cells of the notebook's text: after each mark, as many lines as are Python."""
    found = []
    for part in re.split(r"^In \[None\]:\n", text, flags=re.M)[1:]:
        lines = part.split("\n")
        while lines:
            try:
                ast.parse(source := "\n".join(lines))
            except SyntaxError:
                lines.pop()
            else:
                found.append(source)
                break
    return found


def run_notebook(path: Path) -> dict[str, Any]:
    """Executes the notebook's cells up to its training step, on dense weights."""
    sys.modules["randman"] = shim = types.ModuleType("randman")
    shim.make_spike_raster_dataset = randman.make_spike_raster_dataset
    namespace: dict[str, Any] = {}
    for cell in cells(path.read_text()):
        exec(compile(cell, str(path), "exec"), namespace)
        if "def update(" in cell:
            return namespace
    raise SystemExit(f"{path}: no cell defines update()")


class Notebook:
    """The notebook's training step."""

    def __init__(self, namespace: dict[str, Any], weights: list):
        self._ns, self._weights = namespace, weights
        self._state = jax.jit(namespace["opt"].init)(weights)

    @property
    def weights(self) -> list:
        """The weights before the next step."""
        return self._weights

    def step(self, spikes: np.ndarray, labels: np.ndarray) -> tuple[Any, list]:
        """One step of training: the loss, and the gradients layer by layer."""
        ns = self._ns
        rest = ns["init_network_states"](spikes.shape[1], ns["N"][1:])
        target = ns["create_one_hot"](labels, ns["Nc"], dtype=spikes.dtype)
        decays = (ns["alphas"], ns["betas"], ns["betars"])
        self._weights, self._state, loss, _, grads = ns["update"](
            self._weights, *decays, rest, spikes, target, self._state
        )
        return loss, [grad for layer in grads for grad in (layer[0], layer[2])]


class Xbarax:
    """The same with xbarax; `where` chooses the matrices that become ideal crossbars."""

    def __init__(self, weights: list, where: Callable | None):
        self._where = where
        self.set_weights(weights)
        net = snn.Sequential(*(snn.LIF(len(w), recurrent=True) for w, *_ in weights))
        opt = optax.sgd(2e-2, momentum=0.9)
        self._state = jax.jit(opt.init)(self._params)

        @jax.jit
        def update(params, state, spikes, labels):
            def loss_fn(params):
                out, _ = snn.unroll(net, params, spikes)
                return snn.spike_count_cross_entropy(out, labels)

            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, state = opt.update(grads, state, params)
            return xb.apply_updates(params, updates), state, loss, grads

        self._update = update

    def set_weights(self, weights: list) -> None:
        """Goes on from the notebook's `weights`."""
        params = [
            {"input": jnp.asarray(w, jnp.float32), "recurrent": jnp.asarray(v, jnp.float32)}
            for w, _, v, _ in weights
        ]
        self._params = params if self._where is None else xb.to_crossbar(params, self._where)

    def step(self, spikes: np.ndarray, labels: np.ndarray) -> tuple[Any, list]:
        """One step of training: the loss, and the gradients layer by layer."""
        self._params, self._state, loss, grads = self._update(
            self._params, self._state, spikes, labels
        )
        return loss, [grad for layer in grads for grad in (layer["input"], layer["recurrent"])]


PROGRAMS: dict[str, Callable | None] = {
    "plain arrays": None,
    "crossbar in the last layer": lambda p: p[-1]["input"],
    "crossbars everywhere": lambda p: p,
}


def compare(notebook: Notebook, program: Xbarax, batches: list, same_weights: bool) -> dict:
    """The largest differences over the batches.

    Returns:
      `loss`: relative to the notebook's loss of the step; `gradient_of_step`: relative to the
      largest entry of the matrix's gradient in that step; `gradient_of_run`: relative to the
      largest entry in any step, since a step whose batch is already classified well has a
      gradient that is a small difference of large terms.
    """
    differences, largest = [], []
    for spikes, labels in batches:
        if same_weights:
            program.set_weights(notebook.weights)
        expected_loss, expected = notebook.step(spikes, labels)
        loss, grads = program.step(spikes, labels)
        pairs = [(expected_loss, loss), *zip(expected, grads, strict=True)]
        arrays = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in pairs]
        differences.append([np.max(np.abs(a - b)) for a, b in arrays])
        largest.append([np.max(np.abs(a)) for a, _ in arrays])
    difference, scale = np.asarray(differences), np.asarray(largest)
    # A step without any gradient has a scale of 0: equal zeros differ by 0, all else by infinity.
    of_step = np.divide(difference, scale, out=np.full_like(scale, np.inf), where=scale > 0)
    of_step[difference == 0] = 0
    return {
        "loss": float(np.max(of_step[:, 0])),
        "gradient_of_step": float(np.max(of_step[:, 1:])),
        "gradient_of_run": float(np.max(difference[:, 1:].max(0) / scale[:, 1:].max(0))),
    }


def time_steps(programs: dict[str, Any], batches: list, rounds: int) -> dict[str, float]:
    """The median milliseconds of a step of each program, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for round_ in range(rounds + 2):
        spikes, labels = batches[round_ % len(batches)]
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program.step(spikes, labels))
            if round_ >= 2:  # the first ones compile
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Runs both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--rounds", type=count, default=200, help="timed steps of each program")
    parser.add_argument("--json", type=new_file, help="where to write the results")
    options = parser.parse_args()

    namespace = run_notebook(options.notebook)
    weights = namespace["weights"]
    batches = list(namespace["dataloader_train"]())[:STEPS]
    results: dict[str, dict] = {}
    print(f"JAX {jax.__version__}; the first {len(batches)} steps of the notebook's program")
    for title, same_weights in (("running freely", False), ("from the notebook's weights", True)):
        print(f"\nLargest difference, {title:28}{'loss':>10}{'gradient:':>11} of step{'of run':>9}")
        for name, where in PROGRAMS.items():
            program = Xbarax(weights, where)
            found = compare(Notebook(namespace, weights), program, batches, same_weights)
            results.setdefault(name, {})[title] = found
            print(f"{name:49}{found['loss']:9.1e}{found['gradient_of_step']:18.1e}", end="")
            print(f"{found['gradient_of_run']:10.1e}")
    programs: dict[str, Any] = {"the notebook's program": Notebook(namespace, weights)}
    programs |= {name: Xbarax(weights, where) for name, where in PROGRAMS.items()}
    medians = time_steps(programs, batches, options.rounds)
    print(f"\n{'':38}{'ms a step':>10}{'ratio':>12}   (median of {options.rounds}, in turns)")
    for name, value in medians.items():
        ratio = value / medians["the notebook's program"]
        results.setdefault(name, {}).update(milliseconds=value, ratio=ratio)
        print(f"{name:38}{value:10.2f}{ratio:12.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
