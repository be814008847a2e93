"""`xb.report`: an array's counters."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_equal, normal

W = normal(0, 3, 5)
X = normal(1, 5)
NAMES = {"saturated", "not_converged", "not_finite", "pulses"}


@pytest.fixture
def chip(implementation):
    return xb.Chip(implementation=implementation)


def spoilt(n):
    """An update with `n` entries that are not finite, of every kind."""
    dw = normal(2, 15)
    dw[:n] = [np.nan, np.inf, -np.inf, -np.nan][:n]
    return dw.reshape(3, 5)


def test_counts_nothing_at_first(chip):
    report = xb.report(xb.MemristiveCrossbarArray(W, chip))
    assert set(report) == NAMES
    assert_equal(report, dict.fromkeys(NAMES, jnp.int32(0)))


@pytest.mark.parametrize("n", [0, 1, 4])
def test_counts_what_is_not_finite_where_it_cannot_raise(chip, n):
    update = jax.jit(lambda w, dw: w + dw)
    w = xb.MemristiveCrossbarArray(W, chip)
    assert xb.report(update(w, spoilt(n)))["not_finite"] == n


def test_counts_from_the_making_on(chip):
    make = jax.jit(lambda weights: xb.MemristiveCrossbarArray(weights, chip))
    update = jax.jit(lambda w, dw: w - dw)
    w = make(spoilt(2))
    assert xb.report(w)["not_finite"] == 2
    w = update(update(w, spoilt(1)), spoilt(4))
    assert xb.report(w)["not_finite"] == 2 + 1 + 4
    assert xb.report(w + W)["not_finite"] == 7


def test_a_large_finite_update_is_finite(chip):
    update = jax.jit(lambda w, dw: w + dw)
    largest = np.full((3, 5), np.finfo(np.float32).max)
    assert xb.report(update(xb.MemristiveCrossbarArray(W, chip), largest))["not_finite"] == 0


def test_is_the_same_inside_jit(chip):
    w = xb.MemristiveCrossbarArray(W, chip)
    both = jax.jit(lambda w, dw: (xb.report(w + dw), w + dw))
    inside, updated = both(w, spoilt(3))
    assert_equal(inside, xb.report(updated))


def test_each_chip_of_a_batch_has_its_own(chip):
    updates = np.stack([spoilt(n) for n in (0, 3, 1)])
    run = lambda weights, dw: xb.MemristiveCrossbarArray(weights, chip) + dw
    batch = jax.jit(jax.vmap(run))(np.stack([W] * 3), updates)
    assert_equal(xb.report(batch)["not_finite"], jnp.array([0, 3, 1], jnp.int32))
    assert_equal(jax.vmap(xb.report)(batch), xb.report(batch))


@pytest.mark.parametrize("transform", [lambda f: f, jax.checkpoint], ids=["plain", "checkpoint"])
def test_has_no_derivative(chip, transform):
    value = transform(lambda w: jnp.sum(w @ X) + xb.report(w)["not_finite"])
    gradient = jax.grad(value)(xb.MemristiveCrossbarArray(W, chip))
    assert_equal(gradient, jnp.tile(X, (3, 1)))
