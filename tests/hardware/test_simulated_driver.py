"""The simulated chip, as users see it.

What is random is tested at five standard deviations, with fixed seeds: a right chip fails a check
with a probability of about 1e-6, once and for all.
"""

import contextlib
import gc
import json
import random
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xbarax as xb

PATH = xb.hardware.simulated_driver()
W = np.random.default_rng(0).uniform(-1, 1, (6, 5)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(4000, 5)).astype(np.float32)


@pytest.fixture
def load():
    """Opens simulated chips, and closes them."""
    opened = contextlib.ExitStack()

    def load_one(*, isolated=False, **config):
        chip = xb.hardware.load(PATH, config=config, isolated=isolated)
        opened.callback(xb.hardware.close, chip)
        return chip

    with opened:
        yield load_one


def test_the_description_is_the_configuration(load):
    said = load(outputs=3, inputs=4, arrays=5, range=0.5, levels=11, read_noise=0.25).description
    assert (said.max_outputs, said.max_inputs, said.max_arrays) == (3, 4, 5)
    assert (said.weight_low, said.weight_high, said.read_noise) == (-0.5, 0.5, 0.25)
    assert said.capabilities == {"read_transposed", "update", "pulse", "read_out"}
    assert said.weight_error == pytest.approx(0.1, rel=1e-5)  # a step, since updates round


def test_weights_are_levels(load):
    w = xb.MemristiveCrossbarArray(W, load(levels=21))
    held = np.asarray(xb.readout(w))
    np.testing.assert_allclose(held, np.round(W * 10) / 10, atol=1e-6)


def test_small_updates_are_not_lost_on_average(load):
    w = xb.MemristiveCrossbarArray(np.zeros((60, 50), np.float32), load(levels=21, seed=3))
    for _ in range(20):
        w += np.full(w.shape, 0.01, np.float32)
    held = np.asarray(xb.readout(w))
    np.testing.assert_allclose(held, np.round(held * 10) / 10, atol=1e-6)
    deviation = 0.1 * np.sqrt(20 * 0.1 * 0.9)  # 20 updates, each a step with probability 0.1
    assert abs(held.mean() - 0.2) < 5 * deviation / np.sqrt(held.size)


def test_pulses_move_by_levels(load):
    w = xb.MemristiveCrossbarArray(np.zeros((2, 2), np.float32), load(levels=21))
    w = xb.hardware.pulse(w, np.array([[1, -2], [100, 0]], np.int32))
    np.testing.assert_allclose(xb.readout(w), [[0.1, -0.2], [1, 0]], atol=1e-6)


@pytest.mark.parametrize("transpose", [False, True])
def test_reads_have_the_noise_that_is_described(load, transpose):
    chip = load(read_noise=0.05, seed=4)
    w = xb.MemristiveCrossbarArray(W, chip)
    held = np.asarray(xb.readout(w), np.float64)
    x = X[:, :1] * np.ones((1, 6), np.float32) if transpose else X
    results = np.asarray(xb.read(w, x, transpose=transpose), np.float64)
    exact = x @ (held if transpose else held.T)
    length = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    noise = (results - exact) / (chip.description.read_noise * length)
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)
    between = np.corrcoef(noise.T)[np.triu_indices(noise.shape[1], 1)]
    assert np.abs(between).max() < 5 / np.sqrt(len(noise))


def test_without_noise_reads_are_exact(load):
    chip = load(read_noise=0)
    w = xb.MemristiveCrossbarArray(W, chip)
    held = np.asarray(xb.readout(w), np.float64)
    length = np.linalg.norm(X, axis=1, keepdims=True)
    error = np.abs(np.asarray(xb.read(w, X)) - X @ held.T)
    assert np.all(error <= chip.description.read_error * length)


def test_the_seed_decides(load):
    results = [
        np.asarray(xb.read(xb.MemristiveCrossbarArray(W, load(seed=s, arrays=a)), X))
        for s, a in [(1, 10), (1, 11), (2, 10)]
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert np.all(np.any(results[0] != results[2], axis=1))


def test_gradients_are_of_the_chip(load):
    w = xb.MemristiveCrossbarArray(W, load(read_noise=0, levels=0))
    x = X[:10]
    loss = lambda w, x: jnp.sum(xb.read(w, x) ** 2)
    dw, dx = jax.jit(jax.grad(loss, argnums=(0, 1)))(w, x)
    y = x @ W.T
    np.testing.assert_allclose(dw, 2 * y.T @ x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dx, 2 * y @ W, rtol=1e-4, atol=1e-4)


def test_room_for_so_many_arrays(load):
    chip = load(arrays=2)
    kept, gone = (xb.MemristiveCrossbarArray(W, chip) for _ in range(2))
    with pytest.raises(xb.hardware.DriverError, match="no space: allocate: all 2 arrays are taken"):
        xb.MemristiveCrossbarArray(W, chip)
    del gone
    gc.collect()
    again = xb.MemristiveCrossbarArray(W, chip)
    np.testing.assert_array_equal(xb.readout(again), xb.readout(kept))


@pytest.mark.parametrize("shape", [(20, 19), (1, 9), (9, 1), (16, 8)])
def test_a_layer_larger_than_the_chip(load, shape):
    chip = load(outputs=8, inputs=8, levels=0, read_noise=0.01, seed=6)
    weights = np.random.default_rng(2).uniform(-1, 1, shape).astype(np.float32)
    w = xb.MemristiveCrossbarArray(weights, chip)
    np.testing.assert_array_equal(xb.readout(w), weights)
    x = np.random.default_rng(3).normal(size=(3000, shape[1])).astype(np.float32)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    noise = (np.asarray(xb.read(w, x)) - x @ weights.T) / (0.01 * length)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)  # parts' noise adds to the whole's
    np.testing.assert_allclose(
        xb.read(w, x @ weights.T, transpose=True),
        x @ weights.T @ weights,
        atol=6 * 0.01 * np.linalg.norm(x @ weights.T, axis=1).max(),
    )
    tiles = -(-shape[0] // 8) * -(-shape[1] // 8)
    full = load(outputs=8, inputs=8, arrays=tiles)
    kept = xb.MemristiveCrossbarArray(weights, full)
    with pytest.raises(xb.hardware.DriverError, match=f"all {tiles} arrays are taken"):
        xb.MemristiveCrossbarArray(np.zeros((1, 1), np.float32), full)
    assert kept.shape == shape


def test_what_the_chip_lacks_is_told_and_done_otherwise(load):
    with pytest.warns(xb.hardware.EmulationWarning) as told:
        chip = load(capabilities=[], levels=201, read_noise=0)
    assert len(told) == 1
    for missing in ("read_transposed", "update", "read_out"):
        assert missing in str(told[0].message)
    w = xb.MemristiveCrossbarArray(W, chip)
    np.testing.assert_array_equal(xb.readout(w), W)  # what was asked for; the chip has levels
    np.testing.assert_allclose(w.T @ X[0, :1].repeat(6), W.T @ X[0, :1].repeat(6), rtol=1e-5)
    w -= W / 2
    np.testing.assert_allclose(w @ X[0], W / 2 @ X[0], atol=0.005 * np.abs(X[0]).sum())
    with pytest.raises(ValueError, match="xbarax simulated takes no pulses"):
        xb.hardware.pulse(w, np.zeros((6, 5), np.int32))


def test_a_bad_configuration_is_refused_with_its_member(load):
    with pytest.raises(
        xb.hardware.DriverError,
        match=re.escape('"levels": expected 0 or an integer from 2 to 65536, given 1'),
    ):
        load(levels=1)
    with pytest.raises(xb.hardware.DriverError, match='unknown member: "colour"; expected'):
        load(colour="red")


READ_FAULTS = {
    "error": "device error: read: simulated error at call 3",
    "timeout": "timeout: read: simulated timeout at call 3",
    "lost": "lost: read: simulated loss of the chip at call 3",
    "nan": "the chip returned 1 numbers that are not finite",
}


@pytest.mark.parametrize("kind", READ_FAULTS)
def test_after_a_fault_in_a_scan_the_chip_recovers(load, kind):
    fault = {"kind": kind, "call": 3, "of": "read"}
    w = xb.MemristiveCrossbarArray(W, load(fault=fault, levels=0, range=4, read_noise=0))

    @jax.jit
    def loop(w, x):
        def step(w, x):
            y = w @ x
            return xb.after(w, y) + jnp.full(w.shape, 0.25), y

        return jax.lax.scan(step, w, x)

    with pytest.raises(jax.errors.JaxRuntimeError, match=READ_FAULTS[kind]):
        jax.block_until_ready(loop(w, X[:5])[1])
    w = xb.hardware.recover(w)
    np.testing.assert_allclose(
        xb.readout(w), W + 0.5, atol=1e-5
    )  # two updates, then the third read
    w, y = loop(w, X[:5])
    np.testing.assert_allclose(y[0], (W + 0.5) @ X[0], atol=1e-4)


@pytest.mark.parametrize("of", ["update", "program"])
def test_failed_programming_is_made_good(load, of):
    """The chip's weights are anything then."""
    call = {"update": 1, "program": 2}[of]
    fault = {"kind": "error", "call": call, "of": of}
    chip = load(fault=fault, levels=0, range=4, read_noise=0)
    w = xb.MemristiveCrossbarArray(W, chip)
    change = {"update": lambda: w + W, "program": lambda: xb.hardware.program(w, 2 * W)}[of]
    with pytest.raises(jax.errors.JaxRuntimeError, match=f"{of}: simulated error at call {call}"):
        jax.block_until_ready(xb.readout(change()))
    np.testing.assert_allclose(xb.readout(xb.hardware.recover(w)), 2 * W, rtol=1e-6)


def test_a_fault_that_a_file_remembers_ends_one_process(load, tmp_path):
    file = tmp_path / 'é\u20ac\N{OLD PERSIAN SIGN A} "1"'
    fault = {"kind": "exit", "call": 1, "of": "read", "once": str(file)}
    w = xb.MemristiveCrossbarArray(W, load(isolated=True, fault=fault, levels=0, read_noise=0))
    assert not file.exists()
    with pytest.raises(jax.errors.JaxRuntimeError, match="exit code 3"):
        jax.block_until_ready(w @ X[0])
    assert file.exists()
    w = xb.hardware.recover(w)  # in a new process, which has counted no calls
    np.testing.assert_allclose(w @ X[0], W @ X[0], rtol=1e-4, atol=1e-5)


def _refuse_constant(name):
    raise ValueError(name)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return False
    return True


def test_it_takes_for_json_what_python_does():
    """Texts that are nearly JSON: both must agree where it ends to be."""
    from xbarax.hardware import _sources

    whole = (
        '{"seed": -0, "read_noise": 1.5e-3, "capabilities": ["pulse", "re\\u0061d_out", true], '
        '"fault": {"kind": "nan", "once": "\\ud83d\\ude00\\n\\"\\\\", "a": [], "b": {}}, '
        '"c": null, "d": 0.0E+1}'
    )
    generator = random.Random(7)
    counts = {False: 0, True: 0}
    for _ in range(5000):
        text = list(whole)
        for _ in range(generator.randint(0, 2)):
            at = generator.randrange(len(text))
            end = at + generator.randint(0, 2)
            text[at:end] = generator.choice('{}[]":,\\u0e-+.1 \t\n\x01é')
        given = "".join(text)
        with pytest.raises(xb.hardware.DriverError) as error:
            _sources.open_driver(str(PATH), given)
        counts[_is_json(given)] += 1
        assert ("not JSON at byte" in str(error.value)) != _is_json(given), (given, error.value)
    assert min(counts.values()) > 1000
