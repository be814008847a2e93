"""Batches of arrays: made and used by `vmap`, refused elsewhere."""

import re

import jax
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_equal, normal

WEIGHTS = normal(0, 4, 3, 5)
X, Y, DW = normal(1, 5), normal(2, 3), normal(3, 3, 5)


@pytest.fixture
def batch():
    return jax.vmap(xb.MemristiveCrossbarArray)(WEIGHTS)


def test_has_its_batch_axes_in_front(batch):
    assert (batch.shape, batch.ndim, batch.size) == ((4, 3, 5), 3, 60)
    assert repr(batch).startswith("MemristiveCrossbarArray(float32[4,3,5]")
    assert isinstance(batch, xb.MemristiveCrossbarArray)
    assert_equal(xb.readout(batch), jnp.asarray(WEIGHTS))
    assert_equal(jax.jit(xb.readout)(batch), jnp.asarray(WEIGHTS))


def test_can_be_made_along_any_axis_of_the_weights():
    batch = jax.vmap(xb.MemristiveCrossbarArray, in_axes=2)(jnp.moveaxis(WEIGHTS, 0, 2))
    assert_equal(xb.readout(batch), jnp.asarray(WEIGHTS))


USES = {
    "w @ x": lambda w: w @ X,
    "w.T @ y": lambda w: w.T @ Y,
    "xb.read": lambda w: xb.read(w, X),
    "w + dw": lambda w: w + DW,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("how", ["eager", "jit"])
def test_is_refused_outside_vmap(batch, use, how):
    function = jax.jit(USES[use]) if how == "jit" else USES[use]
    message = f"{use}: crossbar[float32[4,3,5]] is a batch of arrays; use it inside jax.vmap"
    with pytest.raises(ValueError, match=re.escape(message)):
        function(batch)


def test_is_refused_inside_one_vmap_where_two_are_needed():
    grid = jax.vmap(jax.vmap(xb.MemristiveCrossbarArray))(WEIGHTS.reshape(2, 2, 3, 5))
    with pytest.raises(ValueError, match=r"crossbar\[float32\[2,3,5\]\] is a batch of arrays"):
        jax.vmap(lambda w: w @ X)(grid)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_is_mapped_over_its_first_axis_only(batch, axis):
    message = (
        r"vmap over axis -?\d of crossbar\[float32\[4,3,5\]\]: .* use in_axes=0 and out_axes=0"
    )
    with pytest.raises(ValueError, match=message):
        jax.vmap(lambda w: w @ X, in_axes=axis)(batch)


def test_batching_updates_to_one_array_is_refused_everywhere():
    w = xb.MemristiveCrossbarArray(WEIGHTS[0])
    add = lambda dw: w + dw
    message = (
        r"one array, crossbar\[float32\[3,5\]\], cannot take a batch of 4 updates: add them up"
    )
    for run in (jax.vmap(add), jax.jit(jax.vmap(add)), jax.vmap(jax.jit(add))):
        with pytest.raises(ValueError, match=message):
            run(WEIGHTS)
    with pytest.raises(ValueError, match=message):
        jax.vmap(lambda dw: jax.lax.scan(lambda w, _: (w + dw, None), w, length=2)[0])(WEIGHTS)
