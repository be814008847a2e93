"""Times reads of what an array keeps of its devices, against computing it from them in each read.

    python benchmarks/stored_or_drawn.py

An array keeps the matrices that its reads multiply with: conductances at its age, faults and wires
included, and variances of the read noise. They could be computed again from the devices' state and
from the array's key in each read, which would save that memory.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import xbarax as xb
from xbarax.chip import _program

CHIPS = {
    "PCM": xb.Chip(device=xb.device.PCM()),
    "soft bounds, pairs": xb.Chip(
        device=xb.device.presets.reram_soft_bounds(), mapping=xb.mapping.DifferentialPair()
    ),
}


def milliseconds(run: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Prints a line for each chip, size and number of inputs."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    for name, chip in CHIPS.items():
        for size, rows in ((32, 48), (256, 48), (256, 4800)):
            key = jax.random.key(0)
            state = jax.jit(chip.program)(jax.random.normal(key, (size, size)), key)
            x = jnp.ones((rows, size))
            read = lambda s, x, c=chip, k=key: c.read(s, x, k, transpose=False, kind="forward")
            stored = jax.jit(read)
            drawn = jax.jit(lambda s, x, c=chip, r=read: r(_program.see(c, s), x))
            times: dict[str, list[float]] = {"stored": [], "drawn": []}
            for _ in range(21):
                for what, run in (("stored", stored), ("drawn", drawn)):
                    times[what].append(milliseconds(lambda f=run, s=state, i=x: f(s, i)))
            a, b = (statistics.median(times[what][1:]) for what in ("stored", "drawn"))
            print(
                f"{name}, {size} x {size}, {rows} inputs: stored {a:.3f} ms, drawn {b:.3f} ms, "
                f"{b / a:.1f} times as long",
                flush=True,
            )


if __name__ == "__main__":
    main()
