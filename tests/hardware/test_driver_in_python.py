"""What drivers in Python may return and raise, and what becomes of it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xbarax as xb
from tests.hardware.driver_bench import run_python
from tests.hardware.python_chip import PythonChip
from xbarax.hardware._driver import Status

W = jnp.arange(15.0).reshape(3, 5) / 8
X = jnp.arange(5.0)


@pytest.fixture
def load():
    """Opens chips of classes that change some of `PythonChip`, and closes them."""
    opened = []

    def load_one(**methods):
        chip = xb.hardware.load(type("Changed", (PythonChip,), methods))
        opened.append(chip)
        return chip

    yield load_one
    for chip in opened:
        xb.hardware.close(chip)


def raiser(error):
    def method(self, *_):
        raise error

    return method


RAISED = {
    "ValueError": (ValueError("no such line"), "invalid argument: .*ValueError: no such line"),
    "MemoryError": (MemoryError("full"), "no space: .*MemoryError: full"),
    "TimeoutError": (TimeoutError("no answer"), "timeout: .*TimeoutError: no answer"),
    "NotImplementedError": (NotImplementedError("x"), "unsupported: .*NotImplementedError: x"),
    "RuntimeError": (RuntimeError("tripped"), "device error: .*RuntimeError: tripped"),
    "OSError": (OSError(5, "I/O error"), r"device error: .*OSError: \[Errno 5\] I/O error"),
    "KeyError": (KeyError("array"), "device error: .*KeyError: 'array'"),
    "DriverError": (
        xb.hardware.DriverError("hot", Status.TIMEOUT),
        "timeout: hot",
    ),
    "of many lines": (RuntimeError("one\n  two\tthree"), "RuntimeError: one.*two.*three"),
    "of other letters": (RuntimeError("30 µs, 2 Ω"), "RuntimeError: 30 µs, 2 Ω"),
    "with a zero": (RuntimeError("a\0b"), r"RuntimeError: a\?b"),
    "long": (RuntimeError("x" * 100_000), "RuntimeError: xxx"),
    "without a text": (RuntimeError(), "device error: RuntimeError"),
    "KeyboardInterrupt": (KeyboardInterrupt(), "device error: KeyboardInterrupt"),
    "SystemExit": (SystemExit(3), "device error: SystemExit: 3"),
    "GeneratorExit": (GeneratorExit(), "device error: GeneratorExit"),
}


@pytest.mark.parametrize("kind", RAISED)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_what_is_raised_reaches_the_user(load, kind, wrap):
    error, message = RAISED[kind]
    w = xb.MemristiveCrossbarArray(W, load(read=raiser(error)))
    with pytest.raises(jax.errors.JaxRuntimeError) as raised:
        jax.block_until_ready(wrap(lambda w: w @ X)(w))
    text = str(raised.value)
    assert re.search(f"counting: reading of array .*{message}", text, re.DOTALL)
    np.testing.assert_array_equal(xb.readout(w), W)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


class WithoutStatus(xb.hardware.DriverError):
    def __init__(self):
        Exception.__init__(self, "of its own making")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Unprintable(), "device error: Unprintable"),
        (WithoutStatus(), "device error: of its own making"),
        (xb.hardware.DriverError("fine", Status.OK), "device error: fine"),
    ],
)
def test_what_is_raised_is_an_error_whatever_it_is(load, error, message):
    w = xb.MemristiveCrossbarArray(W, load(read=raiser(error)))
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(w @ X)
    np.testing.assert_array_equal(xb.readout(w), W)


@pytest.mark.parametrize("error", [ConnectionError("cable"), xb.hardware.DeviceLostError("cable")])
def test_a_chip_that_is_lost_is_opened_anew(load, error):
    opened, failing = [], [True]

    def init(self, config):
        opened.append(self)
        PythonChip.__init__(self, config)

    def read(self, array, inputs):
        if failing:
            failing.clear()
            raise error
        return PythonChip.read(self, array, inputs)

    w = xb.MemristiveCrossbarArray(W, load(__init__=init, read=read))
    with pytest.raises(jax.errors.JaxRuntimeError, match="lost: .*cable"):
        jax.block_until_ready(w @ X)
    with pytest.raises(jax.errors.JaxRuntimeError, match="is lost since an earlier call"):
        jax.block_until_ready(xb.readout(w))
    with pytest.raises(xb.hardware.DriverError, match="is lost since an earlier call"):
        xb.MemristiveCrossbarArray(W, w.chip)
    assert len(opened) == 1
    w = xb.hardware.recover(w)
    assert len(opened) == 2
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-6)


@pytest.mark.parametrize("name", ["__init__", "describe"])
def test_a_chip_that_does_not_open(load, name):
    error = RuntimeError("no power")
    with pytest.raises(xb.hardware.DriverError, match="RuntimeError: no power"):
        load(**{name: raiser(error)})


def test_a_chip_that_does_not_close_says_nothing(load):
    chip = load(close=raiser(RuntimeError("stuck")))
    xb.hardware.close(chip)


RETURNED = {
    "another shape": (lambda y: y.T, r"float32 of shape \(2, 3\), .* float32 of shape \(3, 2\)"),
    "one row": (lambda y: y[0], r"of shape \(2, 3\), the driver returned float32 of shape \(3,\)"),
    "a number": (lambda y: 0.5, r"the driver returned float64 of shape \(\)"),
    "None": (lambda y: None, r"the driver returned (object|None)"),
    "complex": (lambda y: y + 0j, "the driver returned complex64"),
    "objects": (lambda y: y.astype(object), "the driver returned object"),
    "text": (lambda y: y.astype(str), "the driver returned <U"),
    "dates": (lambda y: y.astype("m8[s]"), "the driver returned timedelta64"),
    "lists of different lengths": (lambda y: [[1.0], [1.0, 2.0]], "ValueError: .*inhomogeneous"),
    "not a number": (lambda y: y * np.nan, "returned 6 numbers that are not finite"),
    "infinity": (lambda y: np.where(y == y[1, 2], np.inf, y), "returned 1 numbers that are not"),
}


@pytest.mark.parametrize("kind", RETURNED)
@pytest.mark.parametrize("call", ["read", "read_transposed", "read_out"])
def test_what_cannot_be_a_result(load, kind, call):
    change, message = RETURNED[kind]
    wrong = lambda self, *given: change(getattr(PythonChip, call)(self, *given))
    weights = np.float32([[1, 2, 3], [4, 5, 6]])
    if call == "read":  # results are (2, 3) in every call
        w = xb.MemristiveCrossbarArray(weights.T.copy(), load(read=wrong))
        use = lambda: xb.read(w, np.eye(2, dtype=np.float32))
    elif call == "read_transposed":
        w = xb.MemristiveCrossbarArray(weights, load(read_transposed=wrong))
        use = lambda: xb.read(w, np.eye(2, dtype=np.float32), transpose=True)
    else:
        w = xb.MemristiveCrossbarArray(weights, load(read_out=wrong))
        use = lambda: xb.readout(w)
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(use())


TAKEN = {
    "float64": lambda y: y.astype(np.float64),
    "float16": lambda y: y.astype(np.float16),
    "int64": lambda y: y.astype(np.int64),
    "lists": lambda y: y.tolist(),
    "Fortran's order": np.asfortranarray,
    "a view": lambda y: np.repeat(y, 2, axis=1)[:, ::2],
    "a JAX array": jnp.asarray,
    "read-only": lambda y: np.broadcast_to(y, y.shape),
    "big-endian": lambda y: y.astype(">f4"),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_can_be_a_result(load, kind):
    """Any real numbers of the right shape, which become float32."""
    change = TAKEN[kind]
    read = lambda self, *given: change(PythonChip.read(self, *given))
    read_out = lambda self, *given: change(PythonChip.read_out(self, *given))
    weights = np.float32([[1, 2, 3], [4, 5, 6]])
    w = xb.MemristiveCrossbarArray(weights, load(read=read, read_out=read_out))
    np.testing.assert_array_equal(xb.read(w, np.eye(3, dtype=np.float32)), weights.T)
    np.testing.assert_array_equal(xb.readout(w), weights)


@pytest.mark.parametrize("number", [None, -1, 2**64, 1.5, "1"])
def test_what_cannot_be_an_arrays_number(load, number):
    chip = load(allocate=lambda self, outputs, inputs: number)
    message = f"allocate: expected an array's number.*returned {re.escape(repr(number))}"
    with pytest.raises(xb.hardware.DriverError, match=message):
        xb.MemristiveCrossbarArray(W, chip)


@pytest.mark.parametrize("number", [0, 2**64 - 1, np.int64(7), np.uint64(2**64 - 1), True])
def test_any_integer_can_be_an_arrays_number(load, number):
    def allocate(self, outputs, inputs):
        self.living[int(number)] = np.zeros((outputs, inputs), np.float32)
        return number

    w = xb.MemristiveCrossbarArray(W, load(allocate=allocate))
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-6)


def test_what_drivers_are_given(load):
    seen = {}

    def note(name):
        def method(self, array, *given):
            if given:
                seen[name] = given[0].shape, given[0].dtype, given[0].flags
            return getattr(PythonChip, name)(self, array, *given)

        return method

    names = ("program", "update", "pulse", "read", "read_transposed")
    w = xb.MemristiveCrossbarArray(W, load(**{name: note(name) for name in names}))
    xb.read(w, jnp.ones((2, 4, 5))), xb.read(w, jnp.ones(3), transpose=True)
    w = xb.hardware.pulse(w + jnp.ones((3, 5)).T.reshape(3, 5), jnp.ones((3, 5), jnp.int32))
    jax.block_until_ready(xb.readout(w))
    shapes = {"read": (8, 5), "read_transposed": (1, 3)}
    assert seen.keys() == set(names)
    for name, (shape, dtype, flags) in seen.items():
        assert shape == shapes.get(name, (3, 5)) and flags.c_contiguous
        assert dtype == (np.int32 if name == "pulse" else np.float32)


def test_what_is_kept_is_the_drivers_own(load):
    """Neither does what comes after change it, nor does the driver change what it was made of."""
    kept = []

    def update(self, array, deltas):
        PythonChip.update(self, array, deltas)
        deltas += 1
        kept.append(deltas)

    w = xb.MemristiveCrossbarArray(W, load(update=update))
    given = [jnp.full((3, 5), float(k)) for k in range(5)]
    for deltas in given:
        w = w + deltas
    np.testing.assert_array_equal(xb.readout(w), W + 10)
    assert [float(deltas[0, 0]) for deltas in kept] == [1, 2, 3, 4, 5]
    assert [float(deltas[0, 0]) for deltas in given] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"max_outputs": 0}, "max_outputs"),
        ({"max_inputs": -1}, "max_inputs"),
        ({"max_arrays": 2**32}, "max_arrays"),
        ({"name": ""}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"weight_low": 1.0}, "weight"),
        ({"weight_low": float("nan")}, "weight"),
        ({"read_noise": -1.0}, "read_noise"),
    ],
)
def test_what_cannot_be_a_description(load, said, message):
    fields = {"name": "wrong", "max_outputs": 4, "max_inputs": 4, **said}
    with pytest.raises(xb.hardware.DriverError, match=message):
        load(describe=lambda self: xb.hardware.Description(**fields))


def test_a_description_of_another_kind(load):
    with pytest.raises(xb.hardware.DriverError, match=r"expected an .*Description, given dict"):
        load(describe=lambda self: {})


def test_a_capability_without_its_method(load):
    """It is described, but raises `NotImplementedError`, as the base class does."""
    pulse = xb.hardware.AbstractDriver.pulse
    w = xb.MemristiveCrossbarArray(W, load(pulse=pulse))
    with pytest.raises(jax.errors.JaxRuntimeError, match="unsupported: NotImplementedError: pulse"):
        jax.block_until_ready(xb.hardware.pulse(w, jnp.ones((3, 5), jnp.int32))._state)


PROGRAM = """
import os, signal, sys, time
import jax, numpy as np
import xbarax as xb
from tests.hardware.python_chip import PythonChip

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was ignored

class Slow(PythonChip):
    def read(self, array, inputs):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        print("read to the end", flush=True)
        return PythonChip.read(self, array, inputs)

w = xb.MemristiveCrossbarArray(np.ones((2, 2), np.float32), xb.hardware.load(Slow))
try:
    try:
        while True:
            (w @ np.ones(2, np.float32)).block_until_ready()
            time.sleep(0.5)
    except jax.errors.JaxRuntimeError as error:
        sys.exit(f"the call failed: {error}")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_interrupts_the_program_not_the_call():
    done = run_python(PROGRAM)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["read to the end", "interrupted"]
