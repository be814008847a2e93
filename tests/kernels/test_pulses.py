"""Pulses by the native kernel against plain JAX: the same cells, the same noise."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from xbarax import _kernels

DEVICES = {
    "soft bounds": xb.device.presets.reram_soft_bounds(),
    "constant": xb.device.ConstantStep(cycle_noise=0.5, lower_spread=0.0),
    "linear": xb.device.LinearStep(gamma_up=0.8, gamma_down=1.3),
    "additive": xb.device.LinearStep(additive_noise=True, step_lognormal=True),
    "quiet": xb.device.SoftBounds(cycle_noise=0.0, asymmetry_spread=0.0),
    "without slopes": xb.device.LinearStep(
        gamma_up=0.0, gamma_down=0.0, additive_noise=True, cycle_noise=0.0, step_spread=0.0
    ),
    "lognormal": xb.device.ConstantStep(
        step_up=0.1, step_lognormal=True, step_spread=6.0, lower_spread=0.0, cycle_noise=0.0
    ),
    "large steps": xb.device.SoftBounds(step_up=0.4, step_down=0.9, cycle_noise=0.2),
}
IDENTITY, KEY = jax.random.key(3), jax.random.key(4)


def drawn(device, shape, most):
    """States within each cell's own bounds, and counts, of which half are zero."""
    own = device.own(IDENTITY, shape)
    share = jax.random.uniform(jax.random.key(0), shape)
    counts = jax.random.randint(jax.random.key(1), shape, -most, most + 1)
    pulsed = jax.random.bernoulli(jax.random.key(2), 0.5, shape)
    return own.lower + share * (own.upper - own.lower), jnp.where(pulsed, counts, 0)


def pulsed(word, device, state, counts, key=KEY):
    with _kernels.using(word):
        cells = {"state": state, "identity": IDENTITY}
        zeros = {name: jnp.zeros((), jnp.int32) for name in ("pulses", "saturated", "capped")}
        if device.write_noise > 0:
            cells["written"] = jnp.zeros_like(state)
        return device.pulse({**cells, **zeros}, counts, key)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize(("shape", "most"), [((3,), 2), ((2, 45, 70), 300)], ids=["few", "many"])
def test_kernels_agree_with_jax(name, shape, most):
    device = DEVICES[name]
    state, counts = drawn(device, shape, most)
    native, jax_ = (
        jax.jit(functools.partial(pulsed, word, device))(state, counts)
        for word in ("native", "jax")
    )
    apart = np.abs(native["state"] - jax_["state"]) > 2e-6
    # Where rounding decides how many pulses go at once, a cell's noise differs from there on.
    assert apart.mean() < 1e-3
    assert abs(int(native["saturated"]) - int(jax_["saturated"])) <= apart.sum()
    assert int(native["pulses"]) == int(jax_["pulses"]) == int(jnp.abs(counts).sum())
    still = np.asarray(counts == 0)
    np.testing.assert_array_equal(native["state"][still], state[still])


ASKED = {
    "write noise": xb.device.presets.reram_soft_bounds(),
    "failed cells": xb.device.ConstantStep(step_up=0.02, failed=0.2, cycle_noise=0.1),
    "from symmetry": xb.device.SoftBounds(
        step_up=0.02, zero_at_symmetry=True, asymmetry_spread=0.2, write_noise=2.0, max_pulses=3
    ),
    "linear, from symmetry": xb.device.LinearStep(
        step_up=0.02, gamma_up=0.3, zero_at_symmetry=True
    ),
}


def asked(word, method, device, cells, *operands):
    with _kernels.using(word):
        return getattr(device, method)(cells, *operands)


def the_same(device, native, jax_):
    """Whether two ways agree, but for rounding that decides how many pulses go at once."""
    apart = np.abs(native["state"] - jax_["state"]) > 3e-6
    assert apart.mean() < 1e-3
    for counter in ("pulses", "capped"):
        assert int(native[counter]) == int(jax_[counter])
    assert abs(int(native["saturated"]) - int(jax_["saturated"])) <= apart.sum()
    if device.write_noise > 0:
        np.testing.assert_allclose(native["written"], jax_["written"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ASKED)
def test_changes_and_restarts_agree_with_jax(name):
    device = ASKED[name]
    shape, (low, high) = (2, 40, 50), device.conductance_range
    draw = lambda k, f, t: jax.random.uniform(jax.random.key(k), shape, minval=f, maxval=t)
    target = draw(5, low - 1e-6, high + 1e-6)
    cells = asked("jax", "program", device, target, device.zero_conductance, KEY)
    the_same(
        device, asked("native", "program", device, target, device.zero_conductance, KEY), cells
    )
    delta = draw(6, -1e-6, 1e-6).at[0, 0, :4].set(jnp.array([jnp.nan, jnp.inf, -jnp.inf, 0]))
    where = draw(7, 0, 1) < 0.3
    for method, operands in (
        ("update", (delta, KEY)),
        ("restart", (where, target[::-1], low, KEY)),
    ):
        both = [asked(word, method, device, cells, *operands) for word in ("native", "jax")]
        the_same(device, *both)
    if device.max_pulses < 100:
        assert int(asked("native", "update", device, cells, delta, KEY)["capped"]) > 0


def test_a_cell_does_not_depend_on_the_others():
    device = DEVICES["soft bounds"]
    state, counts = drawn(device, (5, 1000), 50)
    every = pulsed("native", device, state, counts)["state"]
    some = jnp.arange(1000) % 7 == 2
    few = pulsed("native", device, state, jnp.where(some, counts, 0))["state"]
    np.testing.assert_array_equal(few, jnp.where(some, every, state))


def test_small_lognormal_steps_keep_their_digits():
    device = xb.device.ConstantStep(
        step_up=1e-3, step_lognormal=True, step_spread=5.0, upper=1e30, upper_spread=0.0,
        asymmetry_spread=0.0, cycle_noise=0.0,
    )  # fmt: skip
    state = jnp.zeros((1000,))
    moved = pulsed("native", device, state, jnp.full(state.shape, 64, jnp.int32))["state"]
    xi = np.asarray(jax.random.normal(jax.random.split(IDENTITY, 4)[0], state.shape), np.float64)
    np.testing.assert_allclose(moved, 64e-3 * np.exp(5.0 * xi), rtol=2e-5)


@pytest.mark.parametrize("word", ["native", "jax"])
def test_infinite_steps_end_at_a_bound(word):
    device = xb.device.SoftBounds(step_lognormal=True, step_spread=30.0, cycle_noise=0.1)
    own = device.own(IDENTITY, (500,))
    counts = jnp.full((500,), 3, jnp.int32)
    state = np.asarray(pulsed(word, device, jnp.zeros((500,)), counts)["state"])
    beyond = (state > 1.00001 * own.upper) | (state < 1.00001 * own.lower)
    assert not np.any(beyond)


def test_batches_are_one_call():
    device = DEVICES["additive"]
    state, counts = drawn(device, (3, 20, 30), 40)
    keys = jax.random.split(KEY, 3)
    run = functools.partial(pulsed, "native", device)
    mapped = jax.jit(jax.vmap(run))
    batch = mapped(state, counts, keys)["state"]
    looped = jnp.stack([run(*one)["state"] for one in zip(state, counts, keys, strict=True)])
    np.testing.assert_array_equal(batch, looped)
    text = mapped.lower(state, counts, keys).compile().as_text()
    assert text.count('custom_call_target="xbarax_pulse"') == 1


def test_other_generators_and_models_go_by_jax():
    device = DEVICES["soft bounds"]
    state, counts = drawn(device, (4, 5), 3)
    calls = lambda *args: str(jax.make_jaxpr(functools.partial(pulsed, "native", *args))(*cells))
    cells = (state, counts)
    assert "xbarax_pulse" in calls(device)
    assert "xbarax_pulse" not in calls(xb.device.ExponentialStep())
    cells = (state, counts, jax.random.key(0, impl="rbg"))
    assert "xbarax_pulse" not in calls(device)
