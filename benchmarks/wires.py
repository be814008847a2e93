"""Times the effective conductance of arrays with resistive wires against SciPy's sparse LU.

    python benchmarks/wires.py [--json FILE] [--rounds N] [--sizes N …] [--tiles N]

SciPy factorises the nodal matrix of all 2 M N nodes once, and solves for one volt on each word line
in turn, all at once (`splu` of SuperLU; of its orderings the fastest here). Programs take turns
within a round; the table has medians in ms, and medians of how many times as long SciPy takes in
the same rounds; and what tracing and compiling a program took. "gradient" is a value with its
gradient with respect to cells and wires. SciPy joins in up to 128 × 128, and says how large the
errors of G_eff are, relative to the norms of its columns. A second table has many tiles in one
call. Cells have from 1 to 100 µS, segments 1 Ω.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse as sparse
from argument_types import count, new_file
from jax import Array
from jax import numpy as jnp
from scipy.sparse.linalg import splu

import xbarax as xb

OHM = 1.0
SCIPY = "SciPy, sparse LU"
LARGEST_SPARSE = 128
TILE = 128


class Program(NamedTuple):
    """What is timed: a call that waits for its result, and what compiling it took."""

    run: Callable[[], Any]
    compile_ms: float | None = None


Programs = dict[str, Program]


def main() -> None:
    """Prints a table of sizes, and one of tiles."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=7)
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 64, 128, 256, 512])
    parser.add_argument("--tiles", type=int, default=64, help="of 128 x 128, in one call; 0: none")
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians, ms")
    results = {}
    for size in options.sizes:
        made = programs(size)
        results[str(size)] = measure(made, options.rounds)
        print(table(f"{size} × {size}", results[str(size)]), flush=True)
        if SCIPY in made:
            print(errors(made), flush=True)
    if options.tiles > 0:
        name = f"{options.tiles} tiles of {TILE} × {TILE}"
        results[name] = measure(of_tiles(options.tiles), options.rounds)
        print(table(name, results[name]), flush=True)
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        options.json.write_text(
            json.dumps({**about, "rounds": options.rounds, "results": results}, indent=2)
        )


def cells(*shape: int) -> np.ndarray:
    """Conductances, in siemens."""
    return np.random.default_rng(0).uniform(1e-6, 1e-4, shape)


def programs(size: int) -> Programs:
    """What is timed for a size, by name."""
    double = cells(size, size)
    made: Programs = {}
    if size <= LARGEST_SPARSE:
        made[SCIPY] = Program(lambda: by_sparse_lu(double))
    for dtype in (np.float64, np.float32):
        g, r = jnp.asarray(double, dtype), jnp.asarray(OHM, dtype)
        made[f"G_eff, {g.dtype}"] = compiled(xb.wires.effective_conductance, g, r, r)
        made[f"gradient, {g.dtype}"] = compiled(gradient, g, r, r)
    g, r = jnp.asarray(double), jnp.asarray(OHM)
    made["all voltages for one input, float64"] = compiled(
        xb.wires.solve, g, jnp.full(size, 0.2), r, r
    )
    return made


def of_tiles(count: int) -> Programs:
    """What is timed for tiles."""
    made = {}
    for dtype in (np.float64, np.float32):
        g, r = jnp.asarray(cells(count, TILE, TILE), dtype), jnp.asarray(OHM, dtype)
        made[f"G_eff, {g.dtype}"] = compiled(xb.wires.effective_conductance, g, r, r)
        made[f"gradient, {g.dtype}"] = compiled(gradient, g, r, r)
    return made


def gradient(conductance: Array, word_line: Array, bit_line: Array) -> Any:
    """A value with its gradient."""

    def value(*circuit: Array) -> Array:
        return jnp.sum(jnp.square(xb.wires.effective_conductance(*circuit)))

    return jax.value_and_grad(value, (0, 1, 2))(conductance, word_line, bit_line)


def compiled(function: Callable[..., Any], *operands: Array) -> Program:
    """A call of a compiled program."""
    begin = time.perf_counter()
    program = jax.jit(function).lower(*operands).compile()
    taken = 1e3 * (time.perf_counter() - begin)
    return Program(lambda: jax.block_until_ready(program(*operands)), taken)


def errors(made: Programs) -> str:
    """The largest error of a column of G_eff, relative to its norm by SciPy, as text."""
    expected = made[SCIPY].run()
    lines = []
    for name, program in made.items():
        if name.startswith("G_eff"):
            off = np.linalg.norm(np.float64(program.run()) - expected, axis=0)
            largest = np.max(off / np.linalg.norm(expected, axis=0))
            lines.append(f"{'errors of ' + name:<40}{largest:10.1e}")
    return "\n".join(lines)


def by_sparse_lu(conductance: np.ndarray) -> np.ndarray:
    """The effective conductance by all voltages of the circuit."""
    n_words, n_bits = conductance.shape
    word = np.arange(conductance.size).reshape(conductance.shape)
    bit = word + conductance.size
    edges = [
        (word[:, :-1], word[:, 1:], 1 / OHM),
        (bit[:-1], bit[1:], 1 / OHM),
        (word, bit, conductance),
    ]
    one = np.concatenate([a.ravel() for a, _, _ in edges])
    other = np.concatenate([b.ravel() for _, b, _ in edges])
    g = np.concatenate([np.broadcast_to(g, a.shape).ravel() for a, _, g in edges])
    ends = np.concatenate([word[:, 0], bit[-1]])
    rows = np.concatenate([one, other, one, other, ends])
    columns = np.concatenate([one, other, other, one, ends])
    values = np.concatenate([g, g, -g, -g, np.full(len(ends), 1 / OHM)])
    matrix = sparse.csc_matrix((values, (rows, columns)))
    sources = np.zeros((2 * conductance.size, n_words))
    sources[word[:, 0], np.arange(n_words)] = 1 / OHM
    voltages = splu(matrix, permc_spec="MMD_AT_PLUS_A").solve(sources)
    return voltages[bit[-1]].T / OHM


def measure(made: Programs, rounds: int) -> dict[str, dict[str, float]]:
    """What each program takes."""
    for program in made.values():
        program.run()
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, program in made.items():
            begin = time.perf_counter()
            program.run()
            times[name].append(1e3 * (time.perf_counter() - begin))
    results = {name: {"ms": float(np.median(taken))} for name, taken in times.items()}
    for name, program in made.items():
        if program.compile_ms is not None:
            results[name]["compile ms"] = program.compile_ms
    if SCIPY in times:
        for name, taken in times.items():
            results[name]["SciPy takes"] = float(np.median(np.divide(times[SCIPY], taken)))
    return results


def table(title: str, result: dict[str, dict[str, float]]) -> str:
    """Results, as text."""
    lines = [f"\n{title:<40}{'ms':>10}{'SciPy takes':>14}{'compile ms':>12}"]
    for name, row in result.items():
        ratio = f"{row['SciPy takes']:.1f} ×" if "SciPy takes" in row else ""
        once = f"{row['compile ms']:.0f}" if "compile ms" in row else ""
        lines.append(f"{name:<40}{row['ms']:10.2f}{ratio:>14}{once:>12}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
