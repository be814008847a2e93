"""Times calls of a chip's driver on their way through xbarax.

    python benchmarks/driver_calls.py

A loop of 100 steps reads a batch of 48 inputs in each, as the time loop of a spiking layer does,
from a driver that only looks at its inputs and writes its results (`driver_calls.c`, compiled
here), in this process and in one of its own. What the same program takes without the read is
subtracted, and what the function itself takes when it is called directly: the rest is overhead.
Then the calls that a training step of the notebook's network makes are counted, with all weights on
the reference driver.
"""

import argparse
import collections
import ctypes
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from argument_types import count
from jax import numpy as jnp

import xbarax as xb
from xbarax import train
from xbarax.hardware import _sources

STEPS, BATCH = 100, 48
SIZES = ((1, 1), (16, 32), (128, 128), (700, 256))
LOOPS, CALLS = 20, 2000  # in a round


def main() -> None:
    """Prints a line for each size, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=21)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = compile_driver(Path(folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xb.hardware.EmulationWarning)
            chips = [xb.hardware.load(path, isolated=isolated) for isolated in (False, True)]
        print(f"overhead of a read of {BATCH} inputs in µs, medians of {rounds} rounds in turn")
        print("inputs  outputs  in process  isolated")
        for size in SIZES:
            runs = [
                direct(path, *size),
                loop(chips[0], *size, reads=False),
                *(loop(chip, *size, reads=True) for chip in chips),
            ]
            times = np.array([[run() for run in runs] for _ in range(rounds)]).T
            call, without, *with_reads = 1e6 * times
            inside, isolated = (np.median(t - without - call) for t in with_reads)
            print(f"{size[0]:6}{size[1]:9}{inside:12.1f}{isolated:10.1f}", flush=True)
        count_calls(Path(folder))
        for chip in chips:
            xb.hardware.close(chip)


def compile_driver(folder: Path) -> Path:
    """The library of the driver that does the least work."""
    source, library = Path(__file__).with_suffix(".c"), folder / "libleast.so"
    compiler = [os.environ.get("CC", "cc"), "-O3", "-shared", "-fPIC"]
    include = f"-I{xb.hardware.include_dir()}"
    subprocess.run([*compiler, include, str(source), "-o", str(library)], check=True)
    return library


def loop(chip, n_in: int, n_out: int, reads: bool):
    """A function that gives seconds a step of a compiled loop that reads, or does not."""
    w = xb.MemristiveCrossbarArray(jnp.ones((n_out, n_in)), chip)
    x = jnp.ones((BATCH, n_in))

    @jax.jit
    def program(w, x):
        look = lambda: xb.read(w, x) if reads else x
        step = lambda carry, _: (carry + look()[0, 0], None)
        return jax.lax.scan(step, 0.0, None, length=STEPS)[0]

    jax.block_until_ready(program(w, x))
    return lambda: seconds(lambda: program(w, x).block_until_ready(), LOOPS) / STEPS


def direct(path: Path, n_in: int, n_out: int):
    """A function that gives seconds a call of the driver's function, less those of ctypes."""
    table = _sources.table_of(str(path))
    device, array = ctypes.c_void_p(), ctypes.c_uint64()
    assert table.open(b"{}", ctypes.byref(device)) == 0
    assert table.allocate(device, n_out, n_in, ctypes.byref(array)) == 0
    floats = lambda x: x.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    inputs = floats(np.ones((BATCH, n_in), np.float32))
    results = floats(np.empty((BATCH, n_out), np.float32))
    read = lambda n: table.read(device, array, n, inputs, results)
    return lambda: seconds(lambda: read(BATCH), CALLS) - seconds(lambda: read(0), CALLS)


def seconds(call, times: int) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def count_calls(folder: Path) -> None:
    """Prints the calls of a training step."""
    task = train.make_task(train.TrainConfig())
    update = train.make_update(task.net, task.optimiser, donate=False)
    chip = xb.hardware.load(xb.hardware.reference_driver(), record=folder / "calls.xbr")
    params = jax.tree.map(lambda w: xb.MemristiveCrossbarArray(w, chip), task.params)
    results = update(params, task.optimiser.init(task.params), *next(iter(task.training)))
    jax.block_until_ready(results[1:])
    del params, results
    xb.hardware.close(chip)
    calls = xb.hardware.read_recording(chip.record).calls
    counts = collections.Counter((call.call, call.n) for call in calls)
    print("calls of a training step of the notebook's network, and vectors in each:")
    for (name, n), times in counts.items():
        if name in ("read", "read_transposed", "update"):
            print(f"  {times:4} × {name}" + (f" of {n}" if n else ""))


if __name__ == "__main__":
    main()
