"""What a call of a chip's driver costs on the way through xbarax.

    python benchmarks/driver_calls.py

A scan of 100 steps reads a batch of 48 inputs a step, as the time loop of a spiking layer does:
through a driver in this process, and through one in a process of its own. What the same loop takes
without the read is subtracted. Beside it the driver's function is called directly, with the same
numbers. A batch of inputs is one call for each step, which is counted too.
"""

import argparse
import ctypes
import time

import jax
import numpy as np
from jax import numpy as jnp

import xbarax as xb
from xbarax.hardware import _sources

STEPS, BATCH = 100, 48
SIZES = ((1, 1), (16, 32), (32, 32), (128, 128))
CALLS = 200  # of the loop in a round, so that a round takes some 0.1 s


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    path = xb.hardware.reference_driver()
    chips = [xb.hardware.load(path), xb.hardware.load(path, isolated=True)]
    print(f"µs a read of {BATCH} inputs, medians of {rounds} rounds in turn")
    print("inputs  outputs    direct  in process  isolated   overheads")
    for n_in, n_out in SIZES:
        runs = [
            _direct(path, n_in, n_out),
            _loop(None, n_in, n_out),
            *(_loop(chip, n_in, n_out) for chip in chips),
        ]
        times = np.array([[run() for run in runs] for _ in range(rounds)])
        direct, inside, isolated = 1e6 * np.median(
            [times[:, 0], times[:, 2] - times[:, 1], times[:, 3] - times[:, 1]], axis=1
        )
        print(
            f"{n_in:6}{n_out:9}{direct:10.2f}{inside:12.2f}{isolated:10.2f}"
            f"{inside - direct:9.2f}{isolated - direct:9.2f}"
        )


def _loop(chip, n_in: int, n_out: int):
    """Seconds a step of a compiled loop that reads; without a chip, one that does not."""
    weights = jnp.ones((n_out, n_in))
    w = weights if chip is None else xb.MemristiveCrossbarArray(weights, chip)
    xs = jnp.ones((STEPS, BATCH, n_in))

    @jax.jit
    def loop(w, xs):
        read = lambda x: x if chip is None else xb.read(w, x)
        return jax.lax.scan(lambda carry, x: (carry + read(x)[0, 0], None), 0.0, xs)[0]

    assert loop(w, xs) == STEPS * (1 if chip is None else n_in)

    def run() -> float:
        start = time.perf_counter()
        for _ in range(CALLS // 10):
            loop(w, xs).block_until_ready()
        return (time.perf_counter() - start) / (CALLS // 10) / STEPS

    return run


def _direct(path, n_in: int, n_out: int):
    """Seconds a call of the function itself, less what calling anything from here takes."""
    table = _sources.table_of(str(path))
    device, array = ctypes.c_void_p(), ctypes.c_uint64()
    assert table.open(b"{}", ctypes.byref(device)) == 0
    assert table.allocate(device, n_out, n_in, ctypes.byref(array)) == 0
    floats = lambda x: x.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    weights = np.ones((n_out, n_in), np.float32)
    x, y = np.ones((BATCH, n_in), np.float32), np.empty((BATCH, n_out), np.float32)
    assert table.program(device, array, floats(weights)) == 0
    read, inputs, results = table.read, floats(x), floats(y)

    def run() -> float:
        # An unknown array is refused at once: the same call without the work.
        empty = _seconds(lambda: read(device, 0, BATCH, inputs, results))
        return _seconds(lambda: read(device, array, BATCH, inputs, results)) - empty

    return run


def _seconds(call) -> float:
    start = time.perf_counter()
    for _ in range(CALLS * 10):
        call()
    return (time.perf_counter() - start) / (CALLS * 10)


if __name__ == "__main__":
    main()
