"""`xb.read`, batches first, and `xb.readout`."""

import re

import jax
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_close, assert_equal, normal

N_OUT, N_IN = 3, 5
W = normal(0, N_OUT, N_IN)


@pytest.fixture
def w(implementation):
    return xb.MemristiveCrossbarArray(W, xb.Chip(implementation=implementation))


@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 4), (2, 1, 3), (0,), (4, 0)])
def test_takes_any_batch_in_front(w, batch):
    x = normal(1, *batch, N_IN)
    assert_close(xb.read(w, x), jnp.asarray(x @ W.T))
    assert_close(jax.jit(xb.read)(w, x), jnp.asarray(x @ W.T))


@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 4), (2, 1, 3), (0,), (4, 0)])
def test_reads_transposed(w, batch):
    y = normal(1, *batch, N_OUT)
    assert_close(xb.read(w, y, transpose=True), jnp.asarray(y @ W))


def test_is_the_operators_read(w):
    x = normal(1, 4, N_IN)
    assert_close(xb.read(w, x), (w @ x.T).T)
    assert_close(xb.read(w, x[:, :N_OUT], transpose=True), (w.T @ x[:, :N_OUT].T).T)


def test_an_ideal_chip_takes_a_key_and_needs_none(w):
    x = normal(1, 4, N_IN)
    assert_equal(xb.read(w, x, key=jax.random.key(0)), xb.read(w, x))


@pytest.mark.parametrize(
    ("shape", "transpose", "expected"),
    [
        ((4,), False, "last axis of 5 (in)"),
        ((5, 2), False, "last axis of 5 (in)"),
        ((), False, "last axis of 5 (in)"),
        ((2, 5), True, "last axis of 3 (out)"),
    ],
)
@pytest.mark.parametrize("how", ["eager", "jit"])
def test_prints_both_types_where_shapes_do_not_match(w, shape, transpose, expected, how):
    read = lambda w, x: xb.read(w, x, transpose=transpose)
    given = f"float32[{','.join(map(str, shape))}]"
    message = f"read: expected a {expected}, given crossbar[float32[3,5]] and {given}"
    with pytest.raises(ValueError, match=re.escape(message)):
        (jax.jit(read) if how == "jit" else read)(w, jnp.ones(shape))


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_says_what_to_cast(w, dtype):
    with pytest.raises(TypeError, match=rf"x: .*given {dtype}; cast with x.astype\(jnp.float32\)"):
        xb.read(w, jnp.ones((2, N_IN), dtype))


@pytest.mark.parametrize("function", [xb.readout, xb.report, lambda w: xb.read(w, jnp.ones(N_IN))])
@pytest.mark.parametrize("given", [W, jnp.asarray(W), 3.0], ids=lambda x: type(x).__name__)
def test_takes_nothing_but_crossbars(function, given, as_users_call):
    message = rf"xb\.\w+: expected a MemristiveCrossbarArray, given {type(given).__name__}"
    with pytest.raises(TypeError, match=message):
        function(given)


def test_refuses_what_is_no_key(w, as_users_call):
    with pytest.raises(TypeError, match=r"key: expected a PRNG key such as jax.random.key\(0\)"):
        xb.read(w, normal(1, N_IN), key=3)


def test_the_readout_is_the_weights(w):
    assert_equal(xb.readout(w), jnp.asarray(W))
    assert_equal(jax.jit(xb.readout)(w), jnp.asarray(W))
