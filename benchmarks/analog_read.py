"""Times analog reads against plain products of the same shapes.

    python benchmarks/analog_read.py [--json FILE] [--rounds N] [--sizes N …]

Chips have 8-bit converters and read noise, with one σ for all devices or one for each: one device a
weight, pairs whose currents are subtracted before the converters, and pairs each device of which
has converters of its own. Reads have a key. Programs take turns within a round, and wait for their
results; the table has medians in ms, and medians of how many times as long as `x @ w.T` each takes
in the same rounds. Inputs are uniform in [−1, 1], or spikes: 0, and 1 in one of 20.
"""

import argparse
import dataclasses
import json
import os
import platform
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import turns
from argument_types import count, new_file
from jax import numpy as jnp

import xbarax as xb

INPUTS = {64: 4800, 128: 4800, 256: 4800, 512: 2400, 1024: 600, 2048: 150}
SPIKES = 0.05
CONVERTERS: dict[str, Any] = {"dac": xb.DAC(bits=8), "adc": xb.ADC(bits=8)}

# ReRAM that is programmed by pulses, one σ for all devices; PCM, whose σ depends on conductance.
ONE = dataclasses.replace(xb.device.presets.reram_soft_bounds(), read_noise=1e-7)
EACH = xb.device.PCM()
REFERENCE, PAIR = xb.mapping.IdealReference(), xb.mapping.DifferentialPair()
SUBTRACTED = xb.mapping.DifferentialPair(subtract="analog")
CHIPS = {
    "one σ": xb.Chip(device=ONE, mapping=REFERENCE, **CONVERTERS),
    "σ per device": xb.Chip(device=EACH, mapping=REFERENCE, **CONVERTERS),
    "one σ, subtracted pairs": xb.Chip(device=ONE, mapping=SUBTRACTED, **CONVERTERS),
    "σ per device, subtracted pairs": xb.Chip(device=EACH, mapping=SUBTRACTED, **CONVERTERS),
    "one σ, pairs": xb.Chip(device=ONE, mapping=PAIR, **CONVERTERS),
    "σ per device, pairs": xb.Chip(device=EACH, mapping=PAIR, **CONVERTERS),
}
PRODUCT = "x @ w.T"
UPDATE = "one σ, update in place"


def main() -> None:
    """Prints a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=21)
    parser.add_argument("--sizes", nargs="+", type=int, choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians, ms")
    results = {}
    for size in options.sizes:
        results[str(size)] = measure(size, INPUTS[size], options.rounds)
        print(table(size, INPUTS[size], results[str(size)]), flush=True)
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        inputs = {size: INPUTS[size] for size in options.sizes}
        given = {"rounds": options.rounds, "spikes": SPIKES, "inputs": inputs}
        options.json.write_text(json.dumps({**about, **given, "sizes": results}, indent=2))


def measure(size: int, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """What each program takes."""
    programs = make(size, rows)
    times = turns.in_turns(programs, rounds)
    return {
        name: {
            "ms": float(np.median(taken)),
            "ratio": float(np.median(np.divide(taken, times[PRODUCT]))),
        }
        for name, taken in times.items()
    }


def make(size: int, rows: int) -> dict[str, Callable[[], Any]]:
    """The programs, by name."""
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.uniform(-1, 1, (size, size)).astype(np.float32))
    x = jnp.asarray(rng.uniform(-1, 1, (rows, size)).astype(np.float32))
    spikes = jnp.asarray((rng.uniform(size=(rows, size)) < SPIKES).astype(np.float32))
    key = jax.random.key(1)
    programs = {PRODUCT: turns.compiled(lambda w, x: x @ w.T, weights, x)}
    forward = lambda w, x: xb.read(w, x, key=key)
    for name, chip in CHIPS.items():
        array = xb.MemristiveCrossbarArray(weights, chip, jax.random.key(0))
        programs[name] = turns.compiled(forward, array, x)
        if "pairs" in name:
            continue
        transposed = lambda w, x: xb.read(w, x, key=key, transpose=True)
        programs[f"{name}, transposed"] = turns.compiled(transposed, array, x)
        programs[f"{name}, spikes"] = turns.compiled(forward, array, spikes)
        if size <= 256:
            plain = dataclasses.replace(chip, implementation="jax")
            array = xb.MemristiveCrossbarArray(weights, plain, jax.random.key(0))
            programs[f"{name}, pure JAX"] = turns.compiled(forward, array, x)
    array = xb.MemristiveCrossbarArray(weights, CHIPS["one σ"], jax.random.key(0))
    programs[UPDATE] = turns.compiled(lambda w, d: w + d, array, 1e-3 * weights)
    return programs


def table(size: int, rows: int, result: dict[str, dict[str, float]]) -> str:
    """A size's results, as text."""
    lines = [f"\n{size} × {size}, {rows} inputs{'ms':>18}{'ratio':>9}"]
    for name, row in result.items():
        ratio = "" if name == UPDATE else f"{row['ratio']:8.2f}×"  # an update is no product
        lines.append(f"{name:<32}{row['ms']:9.2f}{ratio}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
