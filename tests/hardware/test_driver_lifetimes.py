"""A place on the chip lives as long as something stands for its array, and no longer."""

import copy
import gc
import inspect
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import xbarax as xb
from tests.hardware.driver_bench import MOST_ARRAYS, run_python, settled
from tests.hardware.python_chip import PythonChip

W = jnp.arange(15.0).reshape(3, 5) / 7
DW = jnp.full((3, 5), 0.25)
X = jnp.arange(5.0)


@pytest.fixture
def chip(bench):
    return bench.load()


def make(chip):
    return xb.MemristiveCrossbarArray(W, chip)


def test_the_place_is_given_back_at_the_next_call(bench, chip):
    w, other = make(chip), make(chip)
    assert bench.living() == 2
    bench.clear()
    del w
    gc.collect()
    assert bench.calls() == [] and bench.living() == 2
    bench.expect(lambda: other @ X, release=1, read=1)
    assert bench.living() == 1
    assert [call.name for call in bench.calls()] == ["release", "read"]


def test_making_an_array_gives_back_first(bench):
    chip = bench.load(arrays=1)
    for _ in range(3):
        w = make(chip)
        assert bench.living() == 1
        del w
        gc.collect()


def test_a_handle_is_an_array_whatever_its_generation(bench, chip):
    w = make(chip)
    for _ in range(10):
        w = w + DW
    assert settled(bench, chip) == 1
    old = w
    w = jax.jit(lambda w: w + DW)(w)
    del w
    assert settled(bench, chip) == 1  # the old value is stale, but can be recovered
    np.testing.assert_allclose(xb.readout(xb.hardware.recover(old)), W + 2.75, rtol=1e-5)
    del old
    assert settled(bench, chip) == 0


COPIES = {
    "another name": lambda w: w,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "through jit": jax.jit(lambda w: w),
    "tree": lambda w: jax.tree.map(lambda leaf: leaf, {"w": w}),
    "after": lambda w: xb.after(w, X),
    "container": lambda w: {"params": [(w,)]},
    "deepcopy of a container": lambda w: copy.deepcopy({"params": [(w,)]}),
    "transposed": lambda w: w.T,
    "closure": lambda w: lambda: w @ X,
    "bound method": lambda w: w.__matmul__,
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_keep_the_place(bench, chip, how):
    w = make(chip)
    kept = COPIES[how](w)
    assert bench.living() == 1
    del w
    assert settled(bench, chip) == 1
    del kept
    assert settled(bench, chip) == 0


def test_a_deepcopy_stands_for_the_same_array(chip):
    w = make(chip)
    same = copy.deepcopy(w)
    w = w + DW
    with pytest.raises(jax.errors.JaxRuntimeError, match="generation 1, the chip is at 2"):
        jax.block_until_ready(same @ X)
    np.testing.assert_allclose(xb.readout(xb.hardware.recover(same)), W + 0.25, rtol=1e-6)


def test_a_compiled_programs_constant_keeps_the_place(bench, chip):
    def compiled(w):
        return jax.jit(lambda x: w @ x)

    read = compiled(make(chip))
    np.testing.assert_allclose(read(X), W @ X, rtol=1e-6)
    assert settled(bench, chip) == 1
    np.testing.assert_allclose(read(X), W @ X, rtol=1e-6)
    read.clear_cache()
    del read
    jax.clear_caches()
    assert settled(bench, chip) == 0


def test_compiled_programs_do_not_keep_their_arguments(bench, chip):
    @jax.jit
    def step(w, x):
        y = w @ x
        return xb.after(w, y) + DW, y

    w = make(chip)
    w, y = step(w, X)
    jax.grad(lambda w: (w @ X).sum())(w)
    lax.scan(lambda w, _: (w + DW, None), w, None, length=2)
    del w
    assert settled(bench, chip) == 0
    assert y.shape == (3,)


def test_a_scans_carry(bench, chip):
    w = make(chip)
    w, _ = lax.scan(lambda w, _: (w + DW, None), w, None, length=3)
    assert settled(bench, chip) == 1
    np.testing.assert_allclose(xb.readout(w), W + 0.75, rtol=1e-6)
    del w
    assert settled(bench, chip) == 0


def test_a_batch_gives_its_places_back_together(bench, chip):
    ws = jax.vmap(lambda W: xb.MemristiveCrossbarArray(W, chip))(jnp.stack([W] * 3))
    more = jax.jit(jax.vmap(lambda w: w + DW))(ws)
    del ws
    assert settled(bench, chip) == 3
    np.testing.assert_allclose(xb.readout(more), jnp.stack([W + 0.25] * 3), rtol=1e-6)
    del more
    assert settled(bench, chip) == 0


def test_a_batch_that_does_not_fit_takes_nothing(bench):
    bench.load()
    bench.fail("allocate", after=2)
    chip = bench.load()
    with pytest.raises(xb.hardware.DriverError, match="allocate.*the bench tripped"):
        jax.vmap(lambda W: xb.MemristiveCrossbarArray(W, chip))(jnp.stack([W] * 4))
    assert settled(bench, chip) == 0


def test_an_array_whose_first_program_fails_gives_its_place_back(bench, chip):
    bench.fail("program")
    with pytest.raises(jax.errors.JaxRuntimeError, match="the bench tripped"):
        jax.block_until_ready(xb.readout(make(chip)))
    assert settled(bench, chip) == 0


def test_exceptions_hold_their_frames(bench, chip):
    def fails():
        held = make(chip)
        raise RuntimeError("with an array in its frame", held.shape)

    kept = None
    try:
        fails()
    except RuntimeError as error:
        kept = error
    assert settled(bench, chip) == 1
    del kept
    assert settled(bench, chip) == 0


def test_a_programs_error_does_not_keep_the_place(bench, chip):
    w = make(chip)
    bench.fail("read")
    with pytest.raises(jax.errors.JaxRuntimeError, match="the bench tripped"):
        jax.block_until_ready(jax.jit(lambda w: w @ X)(w))
    del w
    assert settled(bench, chip) == 0


def test_cycles_are_found_by_the_collector(bench, chip):
    gc.collect()
    ring = [make(chip)]
    ring.append(ring)
    del ring
    assert settled(bench, chip) == 0


def test_finalizers_never_call_the_driver():
    """Whatever runs the collector: here, a thread of its own, and a call that is being made."""
    stacks = []

    class Recording(PythonChip):
        def release(self, array):
            names = [frame.function for frame in inspect.stack()]
            stacks.append((threading.current_thread(), names))
            super().release(array)

        def read(self, array, inputs):
            gc.collect()  # in the middle of a call
            return super().read(array, inputs)

    chip = xb.hardware.load(Recording)
    w, kept = make(chip), make(chip)
    holder = [[w]]
    holder.append(holder)
    del w, holder
    jax.block_until_ready(kept @ X)  # its call collects the ring
    assert stacks == []
    jax.block_until_ready(kept @ X)
    assert len(stacks) == 1 and "note" not in stacks[0][1]
    w = make(chip)
    ring = [w]
    ring.append(ring)
    del w, ring
    collector = threading.Thread(target=gc.collect)
    collector.start()
    collector.join()
    assert len(stacks) == 1
    jax.block_until_ready(kept @ X)
    assert len(stacks) == 2 and stacks[1][0] is not collector
    xb.hardware.close(chip)


@pytest.mark.parametrize("use", ["read", "update"])
def test_an_array_that_is_deleted_while_a_program_runs_is_still_there(bench, chip, use):
    bench.delay(0.1)
    other = make(chip)
    run = {
        "read": jax.jit(lambda w: w @ X),
        "update": jax.jit(lambda w: xb.readout(xb.after(w, w @ X) + DW) @ X),
    }[use]
    run(make(chip)).block_until_ready()  # compiled
    for _ in range(2):
        w = make(chip)
        y = run(w)
        del w
        gc.collect()
        z = other @ X  # a call that may give places back
        expected = W if use == "read" else W + 0.25
        np.testing.assert_allclose(y, expected @ X, rtol=1e-5)
        np.testing.assert_allclose(z, W @ X, rtol=1e-5)
    assert settled(bench, chip) == 1


def test_the_last_value_may_be_one_that_a_program_is_still_making(bench, chip):
    bench.delay(0.1)
    step = jax.jit(lambda w: xb.after(w, w @ X) + DW)
    w, other = make(chip), make(chip)
    for _ in range(4):
        w = step(w)
        other = step(other)
    np.testing.assert_allclose(xb.readout(w), W + 1, rtol=1e-5)
    np.testing.assert_allclose(xb.readout(other), W + 1, rtol=1e-5)
    assert settled(bench, chip) == 2


def test_collecting_all_the_time(bench, chip):
    """Rings of arrays become garbage while programs run."""
    thresholds = gc.get_threshold()
    gc.set_threshold(5)
    try:
        w = make(chip)
        step = jax.jit(lambda w, x: (xb.after(w, w @ x) + DW, w @ x))
        for k in range(20):
            ring = [make(chip)]
            ring.append(ring)
            w, y = step(w, X)
            np.testing.assert_allclose(y, (W + 0.25 * k) @ X, rtol=1e-4)
    finally:
        gc.set_threshold(*thresholds)
    del ring
    assert settled(bench, chip) == 1


def test_a_closed_chip_forgets(bench):
    chip = bench.load()
    w = make(chip)
    xb.hardware.close(chip)
    assert bench.living() == 0
    del w
    gc.collect()
    again = bench.load()
    assert settled(bench, again) == 0


def test_arrays_of_a_closed_and_opened_chip_are_not_mixed_up(bench):
    chip = bench.load()
    old = make(chip)
    xb.hardware.close(chip)
    with pytest.raises(jax.errors.JaxRuntimeError, match="no chip is open"):
        jax.block_until_ready(old @ X)
    again = bench.load()
    new = make(again)
    with pytest.raises(jax.errors.JaxRuntimeError, match="which the chip does not have"):
        jax.block_until_ready(old @ X)
    del old
    assert settled(bench, again) == 1
    np.testing.assert_allclose(new @ X, W @ X, rtol=1e-6)


CYCLES = """
import sys

import jax, numpy as np, psutil
import xbarax as xb

resident = lambda: psutil.Process().memory_info().rss
chip = xb.hardware.load(sys.argv[1], config={"outputs": 128, "inputs": 128})
weights = np.ones((20, 64, 128), np.float32)  # 32 KiB each: 320 MB, if all were kept
make_all = jax.vmap(lambda W: xb.MemristiveCrossbarArray(W, chip))
for k in range(500):
    if k == 50:
        before = resident()
    arrays = make_all(weights)
    del arrays
    one = xb.MemristiveCrossbarArray(weights[0], chip)
    del one
print(resident() - before)
# All that was made has to fit at once.
full = [xb.MemristiveCrossbarArray(weights[0], chip) for _ in range(MOST)]
"""


def test_ten_thousand_arrays_with_constant_memory(bench):
    """In a process of its own, where nothing else takes memory, or time by checks of types."""
    done = run_python(CYCLES.replace("MOST", str(MOST_ARRAYS)), bench.name)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40 << 20
