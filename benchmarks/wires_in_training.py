"""Times chips with resistive wires against the same ones with ideal wires.

    python benchmarks/wires_in_training.py [--json FILE] [--rounds N]

Reads: 4800 inputs of a 256 × 256 layer of pairs, as one tile and in tiles of 64 × 64, with exact
converters and with 8 bits. Steps: the notebook's network (16–32–2, 40 recordings of 100 steps), all
matrices in crossbars that each step reprograms: with resistive wires, the same with gradients
pulled back through the wires (`xbarax.wires.pull_back`), and with the arrays built in the loss from
plain weights. Programs take turns within a round; the tables have medians in ms, and medians of how
many times as long as with ideal wires each takes in the same rounds. "update" is the change of an
array alone, "compile" the time until the compiled program is there. Segments have 1 Ω.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from argument_types import count, new_file

import xbarax as xb
from xbarax import datasets, snn

DEVICE = xb.device.Ideal(g_min=1e-6, g_max=25e-6)
WIRES = {"ideal wires": xb.wires.Ideal(), "resistive wires": xb.wires.Resistive(1.0, 1.0)}
SIZE, INPUTS = 256, 4800
LAYERS: dict[str, dict[str, Any]] = {
    f"{SIZE} × {SIZE}": {},
    f"{SIZE} × {SIZE} in tiles of 64 × 64": {"tile": (64, 64)},
    f"{SIZE} × {SIZE} in tiles of 64 × 64, 8-bit converters": {
        "tile": (64, 64),
        "dac": xb.DAC(bits=8),
        "adc": xb.ADC(bits=8),
    },
}
NET = snn.Sequential(snn.LIF(32, recurrent=True), snn.LIF(2, recurrent=True))
OPTIMISER = optax.sgd(2e-2, momentum=0.9)

Timed = dict[str, Callable[[], Any]]


def main() -> None:
    """Prints a table of reads and updates for each layer, and one of training steps."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=21)
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians, ms")
    results = {}
    for name, stations in LAYERS.items():
        for what, timed in layer_programs(stations).items():
            results[f"{what}, {name}"] = measure(*timed, options.rounds)
            print(table(f"{what}, {name}", results[f"{what}, {name}"]), flush=True)
    name = "training step, 16–32–2"
    results[name] = measure(*step_programs(), options.rounds)
    print(table(name, results[name]), flush=True)
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        options.json.write_text(
            json.dumps({**about, "rounds": options.rounds, "results": results}, indent=2)
        )


def layer_programs(stations: dict[str, Any]) -> dict[str, tuple[Timed, dict[str, float]]]:
    """Reads and updates of a layer, through each kind of wires."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((SIZE, SIZE), np.float32)
    inputs = rng.uniform(-1, 1, (INPUTS, SIZE)).astype(np.float32)
    made: dict[str, tuple[Timed, dict[str, float]]] = {"read": ({}, {}), "update": ({}, {})}
    for name, wires in WIRES.items():
        w = xb.MemristiveCrossbarArray(weights, xb.Chip(device=DEVICE, wires=wires, **stations))
        for what, function, operand in (
            ("read", xb.read, inputs),
            ("update", lambda w, dw: w + dw, np.float32(1e-3) * weights),
        ):
            program, seconds = compiled(function, w, operand)
            made[what][0][name] = lambda p=program, w=w, x=operand: p(w, x)
            made[what][1][name] = seconds
    return made


def step_programs() -> tuple[Timed, dict[str, float]]:
    """Training steps of the network."""
    rng = np.random.default_rng(42)
    data, labels = datasets.randman.make_spike_raster_dataset(rng, nb_classes=2, nb_units=16)
    spikes, labels = np.asarray(data[:40]).swapaxes(0, 1).astype(np.float32), labels[:40]
    timed: Timed = {}
    seconds = {}
    for name, wires, pulled, built in (
        ("ideal wires", "ideal wires", False, False),
        ("resistive wires", "resistive wires", False, False),
        ("the same, pulled back", "resistive wires", True, False),
        ("built in the loss, ideal wires", "ideal wires", False, True),
        ("built in the loss", "resistive wires", False, True),
    ):
        chip = xb.Chip(
            device=DEVICE, mapping=xb.mapping.DifferentialPair(headroom=2), wires=WIRES[wires]
        )
        params = NET.init(jax.random.key(0), 16)
        if not built:
            params = on_chip(params, chip)
        state = OPTIMISER.init(params)
        step = training_step(chip if built else None, pulled)
        program, seconds[name] = compiled(step, params, state, spikes, labels)
        timed[name] = Stepping(program, params, state, spikes, labels)
    return timed, seconds


def on_chip(params: Any, chip: xb.Chip) -> Any:
    """All matrices in crossbars."""
    return xb.to_crossbar(params, lambda p: p, chip)


def training_step(chip: xb.Chip | None, pulled: bool) -> Callable[..., Any]:
    """A step; with a chip, one that builds the arrays from plain weights in the loss."""

    def loss(params: Any, spikes: Any, labels: Any) -> Any:
        network = params if chip is None else on_chip(params, chip)
        return snn.spike_count_cross_entropy(snn.unroll(NET, network, spikes)[0], labels)

    def step(params: Any, state: Any, spikes: Any, labels: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(params, spikes, labels)
        if pulled:
            gradients = jax.tree.map(xb.wires.pull_back, params, gradients)
        updates, state = OPTIMISER.update(gradients, state, params)
        return xb.apply_updates(params, updates), state, value

    return step


class Stepping:
    """Steps from where the last one led to."""

    def __init__(self, program: Callable[..., Any], params: Any, state: Any, *data: Any):
        self._program, self._params, self._state, self._data = program, params, state, data

    def __call__(self) -> Any:
        """One step."""
        self._params, self._state, loss = self._program(self._params, self._state, *self._data)
        return self._params, loss


def compiled(function: Callable[..., Any], *operands: Any) -> tuple[Callable[..., Any], float]:
    """The compiled program, and how many seconds it took."""
    begin = time.perf_counter()
    program = jax.jit(function).lower(*operands).compile()
    return program, time.perf_counter() - begin


def measure(timed: Timed, compiling: dict[str, float], rounds: int) -> dict[str, dict[str, float]]:
    """What each program takes, and how many times as long as the first one."""
    for run in timed.values():
        jax.block_until_ready(run())
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, run in timed.items():
            begin = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(1e3 * (time.perf_counter() - begin))
    first = next(iter(times.values()))
    return {
        name: {
            "ms": float(np.median(taken)),
            "times as long": float(np.median(np.divide(taken, first))),
            "compile_s": compiling[name],
        }
        for name, taken in times.items()
    }


def table(title: str, result: dict[str, dict[str, float]]) -> str:
    """Results, as text."""
    lines = [f"\n{title:<60}{'ms':>10}{'ratio':>8}{'compile':>10}"]
    for name, row in result.items():
        numbers = f"{row['ms']:10.2f}{row['times as long']:8.2f}{row['compile_s']:8.1f} s"
        lines.append(f"{name:<60}{numbers}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
