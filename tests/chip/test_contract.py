"""What holds for every chip in the registry, whatever its device does.

Inputs are levels of 8-bit converters between −1 and 1, at which gradients are those of the plain
product.
"""

import copy
import pickle

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp

import xbarax as xb
from tests.chip.registry import CHIPS, OTHERS
from tests.helpers import assert_close, assert_equal, normal

N_OUT, N_IN, N_ROWS = 5, 7, 4
W, DW = normal(0, N_OUT, N_IN), 0.5 * normal(1, N_OUT, N_IN)


def to_levels(x):
    """The nearest levels of an 8-bit DAC."""
    return np.clip(np.rint(127 * x), -127, 127).astype(np.float32) / np.float32(127)


XS, C = to_levels(0.7 * normal(2, N_ROWS, N_IN)), to_levels(0.7 * normal(3, N_OUT))
X = XS[0]
READ_KEY = jax.random.key(7)


@pytest.fixture(params=CHIPS)
def chip(request):
    return CHIPS[request.param]


def make(chip, weights=W, seed=0):
    return xb.MemristiveCrossbarArray(weights, chip, jax.random.key(seed))


def observe(w, x, y):
    """Everything an array gives, for keys that are given and for its own."""
    return {
        "read": xb.read(w, x, key=READ_KEY),
        "transposed": xb.read(w, y, key=READ_KEY, transpose=True),
        "operator": w @ x.T,
        "operator, transposed": w.T @ y.T,
        "readout": xb.readout(w),
        "report": xb.report(w),
    }


observed = jax.jit(observe)


def loss(w, x):
    return jnp.sum(jnp.tanh(xb.read(w, x, key=READ_KEY)) ** 2)


def test_is_static(chip):
    twin = copy.deepcopy(chip)
    assert twin == chip and hash(twin) == hash(chip) and twin is not chip
    assert pickle.loads(pickle.dumps(chip)) == chip


def test_eager_is_jit(chip):
    w = make(chip)
    assert_close(observed(w, XS, W.T), observe(w, XS, W.T))
    assert_close(observed(jax.jit(lambda w: w + DW)(w), XS, W.T), observed(w + DW, XS, W.T))
    assert_close(observed(jax.jit(lambda w: make(chip, w))(W), XS, W.T), observed(w, XS, W.T))


def test_jit_takes_an_array_as_a_constant(chip):
    w = make(chip)
    assert_close(jax.jit(lambda x: w @ x)(X), w @ X)
    assert_close(jax.jit(lambda y: w.T @ y)(C), w.T @ C)


def test_reading_changes_nothing(chip):
    w = make(chip)
    before = xb.array.get_state(w)
    first = observed(w, XS, W.T)
    assert_equal(observed(w, XS, W.T), first)
    assert_equal(xb.array.get_state(w), before)


def test_programming_is_a_function(chip):
    w = make(chip)
    before = observed(w, XS, W.T)
    once, again = observed(w + DW, XS, W.T), observed(w + DW, XS, W.T)
    assert_equal(once, again)
    assert_equal(observed(w, XS, W.T), before)
    assert np.any(once["readout"] != before["readout"])


def test_subtracting_is_adding_the_negative(chip):
    w = make(chip)
    assert_equal(observed(w - DW, XS, W.T), observed(w + (-DW), XS, W.T))


def test_vmap_over_inputs_is_the_loop(chip):
    w = make(chip)
    read = lambda x: xb.read(w, x, key=READ_KEY)
    assert_close(jax.vmap(read)(XS), jnp.stack([read(x) for x in XS]))
    of_columns = jax.vmap(read, in_axes=1, out_axes=1)(XS.T)
    assert_close(of_columns, jnp.stack([read(x) for x in XS], axis=1))
    blocks = XS.reshape(2, 2, N_IN)
    assert_close(jax.vmap(read)(blocks), jnp.stack([read(block) for block in blocks]))


def test_vmap_over_keys_is_the_loop(chip):
    w = make(chip)
    keys = jax.random.split(READ_KEY, N_ROWS)
    read = lambda x, key: xb.read(w, x, key=key)
    assert_close(
        jax.vmap(read)(XS, keys), jnp.stack([read(*row) for row in zip(XS, keys, strict=True)])
    )
    assert_close(jax.vmap(read, (None, 0))(X, keys), jnp.stack([read(X, key) for key in keys]))


def test_vmap_of_the_operator_is_the_loop(chip):
    w = make(chip)
    assert_close(jax.vmap(lambda x: w @ x)(XS), jnp.stack([w @ x for x in XS]))
    assert_close(jax.vmap(lambda x: w @ x)(XS), (w @ XS.T).T)


def test_vmap_over_chips_is_the_loop(chip):
    keys = jax.random.split(jax.random.key(5), 3)
    run = lambda key: observed(xb.MemristiveCrossbarArray(W, chip, key) + DW, XS, W.T)
    loop = jax.tree.map(lambda *each: jnp.stack(each), *[run(key) for key in keys])
    assert_close(jax.vmap(run)(keys), loop)


def test_vmap_over_chips_and_inputs_is_the_loop(chip):
    keys = jax.random.split(jax.random.key(5), 3)
    chips = jax.vmap(lambda key: xb.MemristiveCrossbarArray(W, chip, key))(keys)
    one = lambda w, x: xb.read(w, x, key=READ_KEY)
    grid = jax.vmap(jax.vmap(one, (None, 0)), (0, None))(chips, XS)
    loop = [[one(xb.MemristiveCrossbarArray(W, chip, key), x) for x in XS] for key in keys]
    assert_close(grid, jnp.stack([jnp.stack(row) for row in loop]))
    assert_close(jax.vmap(jax.vmap(one, (0, None)), (None, 0))(chips, XS), grid.swapaxes(0, 1))


def test_vmap_of_grad_is_the_loop(chip):
    w = make(chip)
    grad = jax.grad(loss, argnums=(0, 1))
    loop = jax.tree.map(lambda *each: jnp.stack(each), *[grad(w, x) for x in XS])
    assert_close(jax.vmap(grad, in_axes=(None, 0))(w, XS), loop)


def test_grad_of_vmap_is_the_sum(chip):
    w = make(chip)
    total = lambda w, xs: jnp.sum(jax.vmap(loss, in_axes=(None, 0))(w, xs))
    each = [jax.grad(loss, argnums=(0, 1))(w, x) for x in XS]
    of_weights, of_inputs = jax.grad(total, argnums=(0, 1))(w, XS)
    assert_close(of_weights, sum(g for g, _ in each))
    assert_close(of_inputs, jnp.stack([g for _, g in each]))


def test_scan_is_the_loop(chip):
    def step(w, x):
        return w + DW / 10, xb.read(w, x, key=xb.array.step_key(w, 3))

    w = make(chip)
    last, ys = jax.jit(lambda w: lax.scan(step, w, XS))(w)
    expected = []
    for x in XS:
        w, y = step(w, x)
        expected.append(y)
    assert_close(ys, jnp.stack(expected))
    assert_close(observed(last, XS, W.T), observed(w, XS, W.T))


def test_grad_of_the_weights_is_the_outer_product(chip):
    w = make(chip)
    gradient = jax.grad(lambda w: C @ xb.read(w, X, key=READ_KEY))(w)
    assert_close(gradient, jnp.outer(C, X))
    transposed = jax.grad(lambda w: X @ xb.read(w, C, key=READ_KEY, transpose=True))(w)
    assert_close(transposed, jnp.outer(C, X))


def test_grad_through_programming_is_straight(chip):
    value = lambda weights, dw: C @ xb.read(make(chip, weights) + dw, X, key=READ_KEY)
    of_weights, of_update = jax.grad(value, argnums=(0, 1))(W, DW)
    assert_close(of_weights, jnp.outer(C, X))
    assert_close(of_update, jnp.outer(C, X))


def test_grad_of_the_readout_is_the_identity(chip):
    gradient = jax.grad(lambda w: jnp.sum(DW * xb.readout(w)))(make(chip))
    assert_equal(gradient, jnp.asarray(DW))


def test_the_tangent_is_that_of_the_effective_weights(chip):
    w, dx = make(chip), XS[1]
    read = lambda w, x: xb.read(w, x, key=READ_KEY)
    value, tangent = jax.jvp(read, (w, X), (DW, dx))
    assert_close(value, read(w, X))
    assert_close(tangent, DW @ X + xb.readout(w) @ dx)


def test_grad_is_grad_of_checkpoint(chip):
    w = make(chip)
    plain = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(w, XS)
    assert_close(jax.jit(jax.value_and_grad(jax.checkpoint(loss), argnums=(0, 1)))(w, XS), plain)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (11, 13)])
def test_takes_every_shape(chip, shape):
    @jax.jit
    def use(w, x, y):
        gradient, x_bar = jax.grad(loss, argnums=(0, 1))(w, x)
        return xb.readout(w + gradient), xb.read(w, y, key=READ_KEY, transpose=True), x_bar

    n_out, n_in = shape
    w = make(chip, normal(8, *shape))
    updated, back, x_bar = use(w, normal(9, 3, n_in), normal(9, 3, n_out))
    assert (updated.shape, back.shape, x_bar.shape) == (shape, (3, n_in), (3, n_in))
    assert all(np.all(np.isfinite(result)) for result in (updated, back, x_bar))


def test_takes_no_rows(chip):
    seen = observed(make(chip), XS[:0], W.T[:0])
    assert seen["read"].shape == seen["operator"].T.shape == (0, N_OUT)
    assert seen["transposed"].shape == seen["operator, transposed"].T.shape == (0, N_IN)


def test_reports_the_same_counters(chip):
    report = xb.report(make(chip) + DW)
    assert set(report) >= {"saturated", "not_converged", "not_finite", "pulses"}
    assert all(c.dtype == jnp.int32 and c.shape == () and c >= 0 for c in report.values())
    assert report["not_finite"] == 0


def test_is_stored_whole(chip):
    w = make(chip) + DW
    for twin in (pickle.loads(pickle.dumps(w)), xb.array.set_state(w, xb.array.get_state(w))):
        assert jax.typeof(twin) == jax.typeof(w)
        assert_equal(observed(twin + DW, XS, W.T), observed(w + DW, XS, W.T))


def test_ages_add_up(chip):
    w = make(chip)
    total = observed(xb.age(w, 5e4), XS, W.T)
    assert_close(observed(xb.age(xb.age(w, 4.0), 49_996.0), XS, W.T), total)
    assert_close(observed(jax.jit(xb.age)(w, 5e4), XS, W.T), total)
    gradient = jax.grad(lambda w: jnp.sum(DW * xb.readout(xb.age(w, 5e4) + DW)))(w)
    assert_equal(gradient, jnp.asarray(DW))


def test_needs_a_key_where_it_draws_random_numbers(chip):
    if not (chip.noisy_read or chip.noisy_program):
        return assert_equal(
            observed(xb.MemristiveCrossbarArray(W, chip), XS, W.T), observed(make(chip), XS, W.T)
        )
    with pytest.raises(ValueError, match="this chip draws random numbers and needs a key"):
        xb.MemristiveCrossbarArray(W, chip)


@pytest.mark.parametrize("chip", OTHERS.values(), ids=list(OTHERS))
def test_other_devices_live_a_whole_life(chip):
    @jax.jit
    def life(key):
        w = xb.age(xb.MemristiveCrossbarArray(W, chip, key) + DW, 3600.0)
        return observe(w, XS, W.T), jax.grad(loss, argnums=(0, 1))(w, XS)

    keys = jax.random.split(READ_KEY, 2)
    loop = jax.tree.map(lambda *each: jnp.stack(each), *map(life, keys))
    mapped = jax.jit(jax.vmap(life))(keys)
    assert_close(mapped, loop)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(loop))
    weights, read = loop[0]["readout"], loop[0]["read"]
    assert np.mean(weights[0] != weights[1]) > 0.5
    # Each chip still computes about what it was told to.
    for seen, told in ((weights, W + DW), (read, XS @ (W + DW).T)):
        assert np.corrcoef(np.ravel(seen), np.ravel(np.stack([told] * 2)))[0, 1] > 0.7
