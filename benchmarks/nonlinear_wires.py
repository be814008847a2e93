"""Times `xb.wires.solve_nonlinear` against one exact solution of linear cells.

    python benchmarks/nonlinear_wires.py [--json FILE] [--rounds N] [--sizes N …]

A Newton step with a factorisation of its own takes about as long as `xb.wires.solve` for one input.
"×" is how many of those the whole solution of one input takes, all its Newton steps included, in
the same rounds: alone, and as one of 16 at once. Cells have from 10 to 100 µS at small voltages, a
tenth are open; "r G N²" is what wires do to them: the mean conductance times a segment's resistance
times the number of cells. Inputs are 0 to 1 V; float64. "2 V⁻¹" and "20 V⁻¹" are currents
G sinh(a u)/a with that a, "diode" is G (1 mV) (exp(u / 50 mV) − 1).
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
from argument_types import count, new_file
from jax import Array
from jax import numpy as jnp

import xbarax as xb

INPUTS = 16
ONE_EXACT = "one exact solution"


def sinh_cells(exponent: float) -> Callable[[Array, Array], Array]:
    """Currents of sinh with an exponent, in 1/V."""
    return lambda u, g: g * jnp.sinh(exponent * u) / exponent


LAWS: dict[str, Callable[[Array, Array], Array]] = {
    "2 V⁻¹": sinh_cells(2.0),
    "20 V⁻¹": sinh_cells(20.0),
    "diode": lambda u, g: 1e-3 * g * jnp.expm1(u / 0.05),
}


def main() -> None:
    """Prints a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians")
    results = {}
    for size in options.sizes:
        results[str(size)] = of_size(size, options.rounds)
        print(table(size, results[str(size)]), flush=True)
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        options.json.write_text(
            json.dumps({**about, "rounds": options.rounds, "results": results}, indent=2)
        )


def of_size(size: int, rounds: int) -> dict[str, dict[str, float]]:
    """What all cases take."""
    random = np.random.default_rng(0)
    cells = 10 ** random.uniform(-5, -4, (size, size)) * (random.uniform(size=(size, size)) > 0.1)
    conductance, inputs = jnp.asarray(cells), jnp.asarray(random.uniform(size=(INPUTS, size)))
    made: dict[str, Callable[[], Any]] = {
        ONE_EXACT: compiled(xb.wires.solve, conductance, inputs[0], jnp.ones(()))
    }
    steps = {}
    for name, law in LAWS.items():
        solve = lambda g, v, r, law=law: xb.wires.solve_nonlinear(law, g, v, r, r)
        for strength in (0.01, 1.0, 100.0):
            ohm = jnp.asarray(strength / (size**2 * float(jnp.mean(conductance))))
            case = f"{name}, r G N² = {strength:g}"
            made[f"{case}, one"] = compiled(solve, conductance, inputs[0], ohm)
            made[f"{case}, many"] = compiled(solve, conductance, inputs, ohm)
            _, convergence = made[f"{case}, many"]()
            assert bool(jnp.all(convergence.converged)), case
            steps[case] = int(jnp.max(convergence.steps))
    return summary(measure(made, rounds), steps)


def compiled(function: Callable[..., Any], g: Array, v: Array, ohm: Array) -> Callable[[], Any]:
    """A call of a compiled program that waits for its result."""
    takes = (g, v, ohm, ohm) if function is xb.wires.solve else (g, v, ohm)
    program = jax.jit(function).lower(*takes).compile()
    return lambda: jax.block_until_ready(program(*takes))


def measure(made: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each program, in rounds in which they take turns."""
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, run in made.items():
            begin = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - begin))
    return times


def summary(times: dict[str, list[float]], steps: dict[str, int]) -> dict[str, dict[str, float]]:
    """Medians for one input, and their ratios to the exact solution."""
    exact = np.array(times[ONE_EXACT])
    results = {ONE_EXACT: {"one, ms": float(np.median(exact))}}
    for case, taken in steps.items():
        one, many = np.array(times[f"{case}, one"]), np.array(times[f"{case}, many"]) / INPUTS
        results[case] = {
            "steps": taken,
            "one, ms": float(np.median(one)),
            "one, ×": float(np.median(one / exact)),
            "of many, ms": float(np.median(many)),
            "of many, ×": float(np.median(many / exact)),
        }
    return results


def table(size: int, results: dict[str, dict[str, float]]) -> str:
    """Results, as text."""
    lines = [f"\n{f'{size} × {size}':<28}{'steps':>7}{'one':>18}{f'each of {INPUTS}':>20}"]
    for name, row in results.items():
        line = f"{name:<28}{row.get('steps', ''):>7}{row['one, ms']:8.1f} ms"
        if "steps" in row:
            line += f"{row['one, ×']:5.2f} ×{row['of many, ms']:10.1f} ms{row['of many, ×']:5.2f} ×"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
