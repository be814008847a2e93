"""`xb.mixed_precision`: what is kept, what leaves as whole pulses, and what is untouched."""

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_close, assert_equal, normal

UP, DOWN = 0.02, 0.015
DEVICE = xb.device.ConstantStep(
    step_up=UP,
    step_down=DOWN,
    step_spread=0.0,
    asymmetry_spread=0.0,
    lower_spread=0.0,
    upper_spread=0.0,
    cycle_noise=0.0,
)
CHIP = xb.Chip(device=DEVICE, mapping=xb.mapping.IdealReference(weight_range=1.0))
W = 0.3 * np.clip(normal(0, 4, 3), -1, 1)
UPDATES = 0.02 * normal(1, 60, 4, 3)


def make(chip=CHIP, seed=0):
    return xb.MemristiveCrossbarArray(W, chip, jax.random.key(seed))


def test_whole_pulses_leave_and_the_remainder_stays():
    w, optimiser = make(), xb.mixed_precision()
    state = optimiser.init(w)
    kept, passed_sum = np.zeros(W.shape), np.zeros(W.shape)
    seen = set()
    for n, update in enumerate(UPDATES, start=1):
        passed, state = optimiser.update(jnp.asarray(update), state, w)
        kept = kept + update
        step = np.where(kept > 0, UP, DOWN)
        pulses = np.trunc(kept / step)
        kept = kept - pulses * step
        np.testing.assert_allclose(passed, pulses * step, atol=1e-6)
        np.testing.assert_allclose(state.remainder, kept, atol=1e-5)
        assert np.all(np.abs(state.remainder) < step * (1 + 1e-4))
        passed_sum = passed_sum + np.asarray(passed, np.float64)
        total = np.sum(UPDATES[:n], axis=0, dtype=np.float64)
        np.testing.assert_allclose(passed_sum + state.remainder, total, atol=1e-6)
        seen |= set(pulses.ravel())
    assert {-1, 0, 1} < seen


def test_what_is_worth_no_pulse_waits():
    w, optimiser = make(), xb.mixed_precision()
    state, counts = optimiser.init(w), []
    for _ in range(9):
        passed, state = optimiser.update(jnp.full(W.shape, 0.3 * UP), state, w)
        counts.append(np.unique(np.rint(passed / UP)))
    assert_equal(np.concatenate(counts), np.array([0, 0, 0, 1, 0, 0, 1, 0, 0], np.float32))


def test_the_array_moves_by_all_that_left():
    optimiser = optax.chain(optax.sgd(1.0), xb.mixed_precision())

    @jax.jit
    def step(carry, gradient):
        w, state = carry
        update, state = optimiser.update(gradient, state, w)
        return (xb.apply_updates(w, update), state), update

    w = make()
    before, pulses = np.asarray(xb.readout(w)), int(xb.report(w)["pulses"])
    (w, state), passed = jax.lax.scan(step, (w, jax.jit(optimiser.init)(w)), UPDATES)
    passed = np.asarray(passed, np.float64)
    np.testing.assert_allclose(xb.readout(w), before + passed.sum(0), atol=1e-4)
    total = -UPDATES.sum(0, dtype=np.float64)
    np.testing.assert_allclose(passed.sum(0) + state[1].remainder, total, atol=1e-5)
    given = np.rint(passed / np.where(passed > 0, UP, DOWN))
    np.testing.assert_allclose(passed / np.where(passed > 0, UP, DOWN), given, atol=1e-3)
    assert xb.report(w)["pulses"] - pulses == np.sum(np.abs(given)) > 100


def test_everything_else_passes_unchanged():
    statistical = xb.Chip(device=xb.device.PCM())
    params = {"pulses": make(), "ideal": make(xb.Chip()), "pcm": make(statistical), "plain": W}
    optimiser = xb.mixed_precision()
    state = optimiser.init(params)
    updates = dict.fromkeys(params, jnp.asarray(UPDATES[0]))
    passed, state = optimiser.update(updates, state, params)
    assert [name for name, kept in state.remainder.items() if kept is not None] == ["pulses"]
    for name in ("ideal", "pcm", "plain"):
        assert_equal(passed[name], updates[name])
    assert np.any(passed["pulses"] != updates["pulses"])
    assert set(passed) == set(params)


def test_updates_that_are_none_stay_none():
    """As `xb.apply_updates` takes them, for parameters that are left alone."""
    params = [make(), W]
    optimiser = xb.mixed_precision()
    state = optimiser.init(params)
    _, state = optimiser.update([jnp.asarray(UPDATES[0]), jnp.asarray(W)], state, params)
    passed, after = optimiser.update([None, None], state, params)
    assert passed == [None, None]
    assert_equal(after.remainder[0], state.remainder[0])


def test_vmap_over_chips_is_the_loop():
    optimiser = xb.mixed_precision()

    def train(key):
        w = xb.MemristiveCrossbarArray(W, CHIP, key)
        state = optimiser.init(w)
        for update in UPDATES[:3]:
            passed, state = optimiser.update(jnp.asarray(update), state, w)
            w = w + passed
        return xb.readout(w), state.remainder

    keys = jax.random.split(jax.random.key(0), 3)
    loop = jax.tree.map(lambda *each: jnp.stack(each), *map(train, keys))
    assert_close(jax.vmap(train)(keys), loop)


def test_batches_of_arrays_have_a_remainder_each():
    optimiser = xb.mixed_precision()
    keys = jax.random.split(jax.random.key(0), 2)
    chips = jax.vmap(lambda key: xb.MemristiveCrossbarArray(W, CHIP, key))(keys)
    passed, state = optimiser.update(jnp.asarray(UPDATES[:2]), optimiser.init(chips), chips)
    for n in range(2):
        one, remainder = optimiser.update(jnp.asarray(UPDATES[n]), optimiser.init(make()), make())
        assert_close(passed[n], one)
        assert_close(state.remainder[n], remainder.remainder)


def test_a_network_learns_with_it():
    rng = np.random.default_rng(3)
    xs = rng.standard_normal((200, 3)).astype(np.float32)
    wanted = xs @ np.array([[0.5, -0.4, 0.2]], np.float32).T
    chip = xb.Chip(device=DEVICE, mapping=xb.mapping.IdealReference(weight_range=1.0))
    w = xb.MemristiveCrossbarArray(np.zeros((1, 3), np.float32), chip, jax.random.key(0))
    optimiser = optax.chain(optax.sgd(0.002), xb.mixed_precision())
    loss = lambda w: jnp.mean((xb.read(w, xs) - wanted) ** 2)

    @jax.jit
    def step(carry, _):
        w, state = carry
        value, gradient = jax.value_and_grad(loss)(w)
        update, state = optimiser.update(gradient, state, w)
        return (xb.apply_updates(w, update), state), value

    (w, _), losses = jax.lax.scan(step, (w, optimiser.init(w)), None, 1500)
    np.testing.assert_allclose(xb.readout(w), [[0.5, -0.4, 0.2]], atol=2 * UP)
    assert losses[-1] < 0.01 * losses[0]


def test_it_needs_the_parameters():
    optimiser = xb.mixed_precision()
    with pytest.raises(ValueError, match="mixed_precision: its update needs the parameters"):
        optimiser.update(UPDATES[0], optimiser.init(make()))
