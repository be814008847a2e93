"""Times spiking networks: forward, and a whole training step.

    python benchmarks/training_step.py [--json FILE] [--workloads NAME …] [--rounds N] [--rate R]
                                       [--memory]

Each workload runs as the textbook's program (`textbook.py`), as `xbarax.snn` without crossbars, on
ideal crossbars in all layers, and on chips with read noise and converters in all layers: with one
device a weight, with pairs whose currents are subtracted before the converters, and with pairs each
device of which is read with converters of its own. Programs take turns within a round, with calls
for 50 ms each after one that is not timed, and wait for their results. The table has medians, and
how many times faster than the textbook's program each is in the same rounds. Compilation is timed
once, memory is what XLA says that the compiled step takes beside its arguments. Inputs are
Bernoulli spikes; weights are scaled until the layers spike (`xb.snn.lsuv`), and the loss of the
digital program must be that of the textbook's. How often the layers spike is beside each program:
noise of chips makes neurons spike that would not.

With `--memory`, each program runs once more in a process of its own, for the most memory that is
resident while steps run, beyond what was before, and likewise while the step is compiled. That
counts what kernels allocate outside of XLA, which XLA's figure does not.
"""

import argparse
import dataclasses
import functools
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np
import optax
import resident
import textbook
import turns
from argument_types import count, new_file, share
from jax import Array
from jax import numpy as jnp
from workloads import WORKLOADS, Workload

import xbarax as xb
from xbarax import snn

PROGRAMS = (
    "textbook",
    "digital",
    "ideal crossbar",
    "noisy, one plane",
    "noisy, subtracted pairs",
    "noisy chip",
)

# ReRAM that is trained in place by pulses, one σ for all devices, two a weight, 8-bit converters.
NOISY = xb.Chip(
    device=dataclasses.replace(xb.device.presets.reram_soft_bounds(), read_noise=1e-7),
    mapping=xb.mapping.DifferentialPair(headroom=4),
    dac=xb.DAC(bits=8),
    adc=xb.ADC(bits=8),
)
CHIPS = {
    "ideal crossbar": xb.Chip(),
    "noisy, one plane": dataclasses.replace(NOISY, mapping=xb.mapping.IdealReference(headroom=4)),
    "noisy, subtracted pairs": dataclasses.replace(
        NOISY, mapping=xb.mapping.DifferentialPair(headroom=4, subtract="analog")
    ),
    "noisy chip": NOISY,
}

# So small that the weights, and with them the spikes, stay what they are while steps are timed.
OPTIMISER = optax.sgd(1e-6)


def main() -> None:
    """Prints a table for each workload."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=count, default=11)
    parser.add_argument("--rate", type=share, default=0.01, help="input spikes a step and input")
    parser.add_argument("--memory", action="store_true", help="measure what is resident, too")
    parser.add_argument("--memory-of", choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    if options.memory_of is not None:
        (name,) = options.workloads
        print(json.dumps(own_memory(options.memory_of, WORKLOADS[name], options.rate)))
        return
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians, ms")
    results = {}
    for name in options.workloads:
        results[name] = measure(WORKLOADS[name], options.rate, options.rounds)
        if options.memory:
            for program, row in results[name]["programs"].items():
                row["resident"] = resident_memory(program, name, options.rate)
        print(table(name, results[name]), flush=True)
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        given = {"rate": options.rate, "rounds": options.rounds}
        options.json.write_text(json.dumps({**about, **given, "workloads": results}, indent=2))


def measure(workload: Workload, rate: float, rounds: int) -> dict[str, Any]:
    """What each program takes, and how much the layers spike."""
    net, params, xs, labels = make(workload, rate)
    programs = {name: Program(name, net, params, xs, labels) for name in PROGRAMS}
    with jax.default_matmul_precision("float32"):  # GPUs round the textbook's products, else
        expected = float(jax.jit(textbook.loss)(params, xs, labels))
    found = float(programs["digital"].forward())
    if not np.isclose(expected, found, rtol=1e-3):
        raise AssertionError(f"the losses differ: {expected} and {found}")
    for program in programs.values():
        program.step(), program.forward()
    times: dict[str, dict[str, list[float]]] = {
        name: {"forward": [], "step": []} for name in programs
    }
    for _ in range(rounds):
        for name, program in programs.items():
            for what, run in (("forward", program.forward), ("step", program.step)):
                times[name][what].append(turns.mean_ms(run))
    return {"input_rate": float(xs.mean()), "programs": summary(programs, times)}


def resident_memory(program: str, workload: str, rate: float) -> dict[str, float]:
    """What `own_memory` returns in a process of its own."""
    which = ["--memory-of", program, "--workloads", workload, "--rate", str(rate)]
    command = [sys.executable, __file__, *which]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def own_memory(name: str, workload: Workload, rate: float) -> dict[str, float]:
    """Peaks of what is resident, beyond what was before; for a fresh process."""
    made = make(workload, rate)
    jax.clear_caches()
    start = resident.settle()
    program = Program(name, *made)
    compiling = resident.peak() - start
    start = resident.settle()
    for _ in range(3):
        program.step()
    return {"running_mb": (resident.peak() - start) / 1e6, "compiling_mb": compiling / 1e6}


def make(workload: Workload, rate: float, variance: float = 0.25) -> tuple[Any, Any, Array, Array]:
    """The network, weights with which its layers spike, inputs (time, batch, inputs), labels.

    More of the membranes' `variance` makes the layers spike more.
    """
    inputs, *sizes = workload.sizes
    net = snn.Sequential(*(snn.LIF(n, recurrent=workload.recurrent) for n in sizes))
    shape = (workload.steps, workload.batch, inputs)
    xs = jax.random.bernoulli(jax.random.key(0), rate, shape).astype(jnp.float32)
    labels = jax.random.randint(jax.random.key(1), (workload.batch,), 0, sizes[-1])
    params = snn.lsuv(net, net.init(jax.random.key(2), inputs), xs, target_variance=variance)
    return net, params, xs, labels


class Program:
    """One of `PROGRAMS`, compiled."""

    def __init__(self, name: str, net: Any, params: Any, xs: Array, labels: Array):
        if name in CHIPS:
            params = xb.to_crossbar(params, lambda p: p, CHIPS[name], jax.random.key(3))
        loss = textbook.loss if name == "textbook" else functools.partial(own_loss, net)

        def step(params: Any, state: Any, xs: Array, labels: Array) -> tuple[Any, Any, Array]:
            value, gradients = jax.value_and_grad(loss)(params, xs, labels)
            updates, state = OPTIMISER.update(gradients, state, params)
            return xb.apply_updates(params, updates), state, value

        self._net, self._params, self._data = net, params, (xs, labels)
        self._state = OPTIMISER.init(params)
        self._forward = jax.jit(loss)
        begin = time.perf_counter()
        self._step = jax.jit(step).lower(params, self._state, xs, labels).compile()
        self.compile_seconds = time.perf_counter() - begin
        self.memory_bytes = int(self._step.memory_analysis().temp_size_in_bytes)

    def spike_rates(self) -> list[float]:
        """How often a neuron of each layer spikes, a step."""
        _, _, records = snn.unroll(self._net, self._params, self._data[0], record=True)
        return [float(record.spikes.mean()) for record in records]

    def forward(self) -> Array:
        """The loss."""
        return jax.block_until_ready(self._forward(self._params, *self._data))

    def step(self) -> Array:
        """The loss, and an update."""
        self._params, self._state, loss = self._step(self._params, self._state, *self._data)
        return jax.block_until_ready(loss)  # one program: its other results are there, too


def own_loss(net: Any, params: Any, xs: Array, labels: Array) -> Array:
    """The same as the textbook's, with `xbarax.snn`."""
    return snn.spike_count_cross_entropy(snn.unroll(net, params, xs)[0], labels)


def summary(programs: dict[str, Program], times: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Medians, and those of how many times faster than the textbook's program."""
    rows = {}
    for name, program in programs.items():
        row: dict[str, Any] = {
            "compile_s": program.compile_seconds,
            "memory_mb": program.memory_bytes / 1e6,
        }
        row["spike_rates"] = program.spike_rates()
        for what in ("forward", "step"):
            row[f"{what}_ms"] = float(np.median(times[name][what]))
            ratios = np.divide(times["textbook"][what], times[name][what])
            row[f"{what}_speedup"] = float(np.median(ratios))
        rows[name] = row
    return rows


def table(name: str, result: dict[str, Any]) -> str:
    """A workload's results, as text."""
    lines = [
        f"\n{name}; {100 * result['input_rate']:.1f} % of inputs spike at a step",
        f"{'':<25}{'forward':>9}{'faster':>8}{'step':>9}{'faster':>8}{'compile':>10}{'memory':>10}",
    ]
    if any("resident" in row for row in result["programs"].values()):
        lines[-1] += f"{'resident':>12}{'compiling':>12}"
    lines[-1] += "  spikes of the layers"
    for program, row in result["programs"].items():
        lines.append(
            f"{program:<25}{row['forward_ms']:9.1f}{row['forward_speedup']:7.1f}×{row['step_ms']:9.1f}"
            f"{row['step_speedup']:7.1f}×{row['compile_s']:8.1f} s{row['memory_mb']:7.1f} MB"
        )
        if "resident" in row:
            peaks = row["resident"]
            lines[-1] += f"{peaks['running_mb']:9.1f} MB{peaks['compiling_mb']:9.1f} MB"
        lines[-1] += "  " + ", ".join(f"{100 * rate:.1f} %" for rate in row["spike_rates"])
    return "\n".join(lines)


if __name__ == "__main__":
    main()
