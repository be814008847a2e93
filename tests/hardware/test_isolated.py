"""Drivers in processes of their own: what happens there costs neither the run nor the data."""

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

import xbarax as xb
from tests.hardware.faulty_chip import FaultyChip

W = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32))
X = jnp.arange(5.0)
READ = jax.jit(lambda w, x: w @ x)


@pytest.fixture
def isolated():
    """Loads drivers in processes of their own, and closes them."""
    opened = contextlib.ExitStack()

    def load(driver, **options):
        chip = xb.hardware.load(driver, isolated=True, **options)
        opened.callback(xb.hardware.close, chip)
        return chip

    with opened:
        yield load


def children() -> set[int]:
    """The processes that this one has started, and which have not ended."""
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture(params=["C", "Python"])
def driver(request):
    return xb.hardware.reference_driver() if request.param == "C" else FaultyChip


def test_it_does_what_the_driver_does_in_this_process(driver, isolated):
    here, there = xb.hardware.load(driver), isolated(driver)
    assert here != there and "isolated=True" in repr(there)
    assert there.description == here.description

    def everything(w, x):
        loss = lambda w, x: jnp.sum(jax.vmap(lambda x: w @ x)(x) ** 2)
        grads = jax.grad(loss, argnums=(0, 1))(w, x)
        w = xb.after(w, grads) + 0.1 * grads[0] / 100
        return xb.read(w, x), xb.readout(w), grads

    x = jnp.stack([X, X + 1])
    results = [
        jax.jit(everything)(xb.MemristiveCrossbarArray(W, chip), x) for chip in (here, there)
    ]
    jax.tree.map(np.testing.assert_array_equal, *results)
    xb.hardware.close(here)


def test_it_has_a_process_that_ends_when_the_chip_is_closed(driver, isolated):
    before = children()
    chip = isolated(driver)
    assert len(children() - before) == 1
    again = xb.hardware.load(driver, isolated=True)
    assert again == chip and len(children() - before) == 1
    xb.hardware.close(chip)
    assert children() == before


def test_a_large_layer_grows_the_shared_memory(isolated):
    chip = isolated(xb.hardware.reference_driver())
    weights = np.random.default_rng(1).integers(-4, 5, (700, 900)).astype(np.float32)
    w = xb.MemristiveCrossbarArray(weights, chip)
    np.testing.assert_array_equal(xb.readout(w), weights)
    x = np.random.default_rng(2).integers(-4, 5, (50, 900)).astype(np.float32)
    np.testing.assert_array_equal(xb.read(w, x), x @ weights.T)


FAULTS = {
    "crash": "lost: the driver's process was ended by SIGSEGV",
    "exit": "lost: the driver's process ended with exit code 4",
    "hang": "lost: the driver did not answer within 1 s, and its process was ended",
    "lost": "lost: ConnectionError: the bench is unplugged",
    "error": "device error: RuntimeError: the read failed on the bench",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_scan_is_an_exception_and_the_chip_recovers(fault, isolated):
    chip = isolated(FaultyChip, config={"fault": fault, "of": "read", "call": 4}, deadline=1.0)
    w = xb.MemristiveCrossbarArray(W, chip)

    @jax.jit
    def loop(w, x):
        def step(w, x):
            y = w @ x
            return xb.after(w, y) + jnp.full(w.shape, 0.25), y

        return jax.lax.scan(step, w, x)

    xs = jnp.stack([X] * 5)
    with pytest.raises(
        jax.errors.JaxRuntimeError, match=f"faulty: reading of array .*{FAULTS[fault]}"
    ):
        jax.block_until_ready(loop(w, xs)[1])
    now = xb.hardware.recover({"w": w, "other": X})["w"]
    wanted = np.asarray(W) + 0.75  # three updates before the fourth read
    np.testing.assert_allclose(xb.readout(now), wanted, rtol=1e-6)
    now, ys = loop(now, xs[:2])
    np.testing.assert_allclose(ys[0], wanted @ np.asarray(X), rtol=1e-5)
    np.testing.assert_allclose(xb.readout(now), wanted + 0.5, rtol=1e-6)


def test_after_a_crash_every_array_says_how_to_go_on(isolated):
    chip = isolated(FaultyChip, config={"fault": "crash", "of": "update", "call": 1})
    first, second = (xb.MemristiveCrossbarArray(k * W, chip) for k in (1, 2))
    with pytest.raises(jax.errors.JaxRuntimeError, match="updating of array .*SIGSEGV"):
        jax.block_until_ready(xb.readout(first + W))
    for attempt in (lambda: second @ X, lambda: xb.MemristiveCrossbarArray(W, chip)):
        with pytest.raises((jax.errors.JaxRuntimeError, xb.hardware.DriverError)) as error:
            jax.block_until_ready(attempt())
        assert "is lost since an earlier call (faulty: updating" in str(error.value)
        assert "xb.hardware.recover(w)" in str(error.value)
    first, second = xb.hardware.recover((first, second))
    np.testing.assert_allclose(first @ X, 2 * W @ X, rtol=1e-5)  # what was last asked for
    np.testing.assert_allclose(second @ X, 2 * W @ X, rtol=1e-5)


def test_a_killed_process_is_told_and_started_again(driver, isolated):
    before = children()
    w = xb.MemristiveCrossbarArray(W, isolated(driver))
    (process,) = children() - before
    os.kill(process, signal.SIGKILL)
    with pytest.raises(jax.errors.JaxRuntimeError, match="process was ended by SIGKILL"):
        jax.block_until_ready(w @ X)
    w = xb.hardware.recover(w)
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-5)


def test_a_file_that_is_gone_is_named_when_it_is_needed_again(tmp_path, isolated):
    file = shutil.copy(xb.hardware.reference_driver(), tmp_path / "libmine.so")
    before = children()
    w = xb.MemristiveCrossbarArray(W, isolated(file))
    (process,) = children() - before
    file.unlink()
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-5)  # it is open
    os.kill(process, signal.SIGKILL)
    with pytest.raises(jax.errors.JaxRuntimeError, match="SIGKILL"):
        jax.block_until_ready(w @ X)
    with pytest.raises(xb.hardware.DriverError, match=r"open: .*libmine\.so"):
        xb.hardware.recover(w)
    shutil.copy(xb.hardware.reference_driver(), file)
    np.testing.assert_allclose(xb.hardware.recover(w) @ X, W @ X, rtol=1e-5)


def test_ctrl_c_is_not_for_the_driver(driver, isolated):
    before = children()
    w = xb.MemristiveCrossbarArray(W, isolated(driver))
    (process,) = children() - before
    os.kill(process, signal.SIGINT)
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-5)


def test_two_threads_take_turns(driver, isolated):
    w = xb.MemristiveCrossbarArray(W, isolated(driver))
    wrong = []

    def read(k):
        for i in range(50):
            y = READ(w, X * (i + k))
            if not np.allclose(y, W @ X * (i + k), rtol=1e-4, atol=1e-4):
                wrong.append((k, i))

    threads = [threading.Thread(target=read, args=[k]) for k in (1, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_process_ends_with_the_program(driver):
    """Also where the program is killed, and cannot close anything."""
    name = driver if isinstance(driver, os.PathLike) else f"{driver.__module__}:{driver.__name__}"
    program = (
        "import os, psutil, xbarax as xb\n"
        f"chip = xb.hardware.load({str(name)!r}, isolated=True)\n"
        "print(*[child.pid for child in psutil.Process().children()], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(timeout=20)


def test_a_hanging_driver_ends_with_the_program():
    """Where the program is killed while it waits: else the process would keep the chip."""
    program = (
        "import os, psutil, threading, numpy as np, xbarax as xb\n"
        "config = {'fault': 'hang', 'of': 'read', 'call': 1}\n"
        "name = 'tests.hardware.faulty_chip:FaultyChip'\n"
        "chip = xb.hardware.load(name, config=config, isolated=True)\n"
        "w = xb.MemristiveCrossbarArray(np.ones((1, 1), np.float32), chip)\n"
        "print(*[child.pid for child in psutil.Process().children()], flush=True)\n"
        "threading.Timer(1, lambda: os.kill(os.getpid(), 9)).start()\n"
        "(w @ np.ones(1, np.float32)).block_until_ready()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(timeout=60)


def test_a_library_is_not_loaded_into_this_process(make_library):
    text = """
    #include <stdlib.h>
    __attribute__((constructor)) static void at_once(void) { _Exit(5); }
    const void* xbarax_driver_entry(void) { return 0; }
    """
    with pytest.raises(xb.hardware.DriverError, match="process ended with exit code 5"):
        xb.hardware.load(make_library(text), isolated=True)


REFUSALS = {
    "tests.hardware.faulty_chip:Missing": "open: invalid argument: ImportError: .*has no Missing",
    "tests.hardware.no_such_module:Chip": "open: invalid argument: ModuleNotFoundError: No module",
    "tests.hardware.faulty_chip:np": "open: invalid argument: TypeError: .*expected a subclass of",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_imported_there_is_said(name):
    with pytest.raises(xb.hardware.DriverError, match=REFUSALS[name]):
        xb.hardware.load(name, isolated=True)


def test_a_class_that_only_this_process_has_is_refused():
    class Local(FaultyChip):
        pass

    with pytest.raises(ValueError, match="another process can import.*<locals>"):
        xb.hardware.load(Local, isolated=True)


def test_what_the_driver_says_at_opening_is_said():
    with pytest.raises(xb.hardware.DriverError, match="open: lost: ConnectionError: no answer"):
        xb.hardware.load(FaultyChip, config={"fault": "closed"}, isolated=True)


def test_pickled_arrays_take_their_process_along(isolated):
    chip = isolated(FaultyChip)
    w = xb.MemristiveCrossbarArray(W, chip)
    again = pickle.loads(pickle.dumps(w))
    assert again.chip == chip
    np.testing.assert_array_equal(xb.readout(again), W)
    np.testing.assert_array_equal(xb.readout(w), W)
