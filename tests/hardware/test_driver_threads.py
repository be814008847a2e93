"""Drivers get one call at a time, from any thread, and no thread waits for another for ever."""

import sys
import threading
import time
from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xbarax as xb
from tests.hardware.driver_bench import run_python
from tests.hardware.python_chip import PythonChip
from xbarax.hardware import _lifetimes, _native

W = jnp.arange(15.0).reshape(3, 5) / 8
DW = jnp.full((3, 5), 0.25)
X = jnp.arange(5.0)
READ = jax.jit(lambda w, x: w @ x)

# No call takes longer than milliseconds: who has not answered after so many seconds hangs.
DEADLINE = 60


@pytest.fixture
def chip(bench):
    return bench.load()


def in_threads(functions):
    """Runs functions at the same time, each in a thread, and returns their results."""
    results = [None] * len(functions)
    barrier = threading.Barrier(len(functions))

    def run(k):
        barrier.wait(DEADLINE)
        results[k] = functions[k]()

    threads = [threading.Thread(target=run, args=[k], daemon=True) for k in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive(), "a deadlock"
    return results


def test_two_threads_read_one_array(bench, chip):
    bench.delay(0.002)
    w = xb.MemristiveCrossbarArray(W, chip)
    before = bench.overlaps()
    read = lambda: [np.asarray(READ(w, X + k)) for k in range(20)]
    for results in in_threads([read, read]):
        np.testing.assert_allclose(results, [(W @ (X + k)) for k in range(20)], rtol=1e-6)
    assert bench.overlaps() == before
    assert sum(call.name == "read" for call in bench.calls()) == 40


def test_reads_of_one_program_do_not_overlap(bench, chip):
    """XLA runs what is not connected at the same time."""
    bench.delay(0.001)
    arrays = [xb.MemristiveCrossbarArray(W, chip) for _ in range(6)]
    before = bench.overlaps()
    read_all = jax.jit(lambda arrays, x: [jnp.sin(w @ x) for w in arrays])
    for _ in range(5):
        jax.block_until_ready(read_all(arrays, X))
    assert bench.overlaps() == before


def test_threads_with_arrays_of_their_own(bench, chip):
    """Making, updating, reading and losing arrays at once."""

    def work():
        w = xb.MemristiveCrossbarArray(W, chip)
        for _ in range(10):
            y = READ(w, X)
            w = xb.after(w, y) + DW
            xb.MemristiveCrossbarArray(W, chip)
        return np.asarray(xb.readout(w))

    before = bench.overlaps()
    for weights in in_threads([work] * 3):
        np.testing.assert_allclose(weights, W + 2.5, rtol=1e-6)
    assert bench.overlaps() == before


def test_an_error_in_one_thread_is_that_threads(bench, chip):
    ours, theirs = (xb.MemristiveCrossbarArray(W, chip) for _ in range(2))
    jax.block_until_ready((ours + DW)._state)

    def stale():
        with pytest.raises(jax.errors.JaxRuntimeError, match="generation 1, the chip is at 2"):
            READ(ours, X).block_until_ready()
        return True

    def current():
        return np.allclose([READ(theirs, X) for _ in range(10)], W @ X)

    assert in_threads([stale, current, stale, current]) == [True] * 4


@pytest.mark.parametrize("wait", ["block_until_ready", "numpy", "effects_barrier", "python"])
def test_the_main_thread_waits_while_the_driver_works(bench, chip, wait):
    """A driver in Python needs the interpreter's lock, wherever the main thread is."""
    bench.delay(0.01)
    w = xb.MemristiveCrossbarArray(W, chip)

    def several():
        ys = [READ(w, X + k) for k in range(5)]
        if wait == "block_until_ready":
            jax.block_until_ready(ys)
        if wait == "effects_barrier":
            jax.effects_barrier()
        if wait == "python":
            while not all(y.is_ready() for y in ys):
                sum(range(1000))
        return np.asarray(ys)

    (ys,) = in_threads([several])
    np.testing.assert_allclose(ys, [W @ (X + k) for k in range(5)], rtol=1e-6)


def test_a_lock_that_the_main_thread_holds_is_no_matter(bench, chip):
    """As with a lab's instrument lock that is taken around a whole measurement."""
    lock = threading.Lock()
    bench.delay(0.01)
    w = xb.MemristiveCrossbarArray(W, chip)

    def measure():
        with lock:
            return np.asarray(READ(w, X))

    for y in in_threads([measure, measure]):
        np.testing.assert_allclose(y, W @ X, rtol=1e-6)


def test_drivers_may_use_locks_and_threads_themselves():
    """A lab's driver talks to its instrument in a thread of its own, under a lock."""

    class Threaded(PythonChip):
        lock = threading.RLock()

        def read(self, array, inputs):
            answers = []
            reader = super().read
            with self.lock:
                thread = threading.Thread(target=lambda: answers.append(reader(array, inputs)))
                thread.start()
                thread.join()
            return answers[0]

    chip = xb.hardware.load(Threaded)
    w = xb.MemristiveCrossbarArray(W, chip)

    def locked():
        with Threaded.lock:  # the reads of a program that runs meanwhile have to wait
            time.sleep(0.05)
        return np.asarray(READ(w, X))

    for y in in_threads([locked, lambda: np.asarray(READ(w, X)), locked]):
        np.testing.assert_allclose(y, W @ X, rtol=1e-6)
    xb.hardware.close(chip)


def test_drivers_may_compute_with_numpy_and_even_with_jax():
    class Computing(PythonChip):
        def read(self, array, inputs):
            return np.asarray(jnp.asarray(inputs) @ jnp.asarray(self.living[array]).T)

    chip = xb.hardware.load(Computing)
    w = xb.MemristiveCrossbarArray(W, chip)
    np.testing.assert_allclose(in_threads([lambda: np.asarray(READ(w, X))])[0], W @ X, rtol=1e-6)
    xb.hardware.close(chip)


def test_loading_one_chip_in_many_threads_opens_it_once():
    opened = []

    class Slow(PythonChip):
        def __init__(self, config):
            opened.append(self)
            time.sleep(0.05)
            super().__init__(config)

    chips = in_threads([lambda: xb.hardware.load(Slow)] * 4)
    assert len(set(chips)) == 1
    w = xb.MemristiveCrossbarArray(W, chips[0])
    np.testing.assert_allclose(READ(w, X), W @ X, rtol=1e-6)
    assert len(opened) == 1
    xb.hardware.close(chips[0])


ENDING = """
import sys, threading
import jax, jax.numpy as jnp, numpy as np
import xbarax as xb

chip = xb.hardware.load(sys.argv[1])
w = xb.MemristiveCrossbarArray(jnp.ones((3, 5)), chip)
read = jax.jit(lambda w: jax.lax.fori_loop(0, 50, lambda _, y: y + w @ jnp.ones(5), jnp.zeros(3)))
if sys.argv[1].endswith(":PythonChip"):
    from tests.hardware.python_chip import PythonChip
    PythonChip.delay = 0.002
y = read(w)
"""


def test_a_process_may_end_while_a_program_runs(bench):
    with_delay = run_python(ENDING, bench.name)
    assert (with_delay.returncode, with_delay.stderr) == (0, "")


def test_a_place_is_given_back_once_by_threads_that_all_could(monkeypatch):
    given_back = []
    monkeypatch.setattr(_native, "release", lambda device, array: given_back.append(array))
    handles = [jnp.array([k, 0], jnp.uint32) for k in range(300)]
    gone = 50 * [("no chip", handle) for handle in handles]
    monkeypatch.setattr(_lifetimes, "_gone", deque(gone))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_threads([_lifetimes.settle] * 4)
    finally:
        sys.setswitchinterval(interval)
    _lifetimes.settle(wait=True)  # what the first left to another
    assert sorted(given_back) == list(range(300))
