"""Making an array: what it takes, what it refuses, and what it then says about itself."""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import normal

W = normal(0, 3, 5)
NOISY = xb.Chip(device=Noisy(write=0.1, read=0.1))


def test_holds_the_weights():
    w = xb.MemristiveCrossbarArray(W)
    np.testing.assert_array_equal(xb.readout(w), W, strict=True)


def test_has_the_attributes_of_an_array():
    chip = xb.Chip(implementation="jax")
    w = xb.MemristiveCrossbarArray(W, chip)
    assert (w.shape, w.dtype, w.ndim, w.size) == ((3, 5), np.dtype("float32"), 2, 15)
    assert w.chip == chip
    assert (w.T.shape, w.T.T) == ((5, 3), w)


def test_has_the_attributes_of_an_array_while_traced():
    def attributes(w):
        return w.shape, w.dtype, w.ndim, w.size, w.chip, w.T.shape, w.T.T is w

    seen = []
    jax.jit(lambda w: seen.append(attributes(w)))(xb.MemristiveCrossbarArray(W))
    assert seen == [((3, 5), np.dtype("float32"), 2, 15, xb.Chip(), (5, 3), True)]


def test_prints_its_shape_and_chip():
    w = xb.MemristiveCrossbarArray(W, xb.Chip(implementation="jax", tile=(64, 32)))
    assert repr(w).startswith("MemristiveCrossbarArray(float32[3,5], chip=Chip(")
    assert "tile=(64, 32)" in repr(w)
    assert "implementation='jax'" in repr(w)
    assert repr(w.T) == f"{w!r}.T"


def test_a_jaxpr_prints_its_type():
    jaxpr = jax.make_jaxpr(lambda w, x: w @ x)(xb.MemristiveCrossbarArray(W), W[0])
    assert "crossbar[f32[3,5]]" in str(jaxpr)


def test_is_an_instance_also_while_traced():
    seen = []

    def look(w, plain):
        seen.extend(isinstance(x, xb.MemristiveCrossbarArray) for x in (w, plain, "text"))

    look(xb.MemristiveCrossbarArray(W), W)
    jax.jit(look)(xb.MemristiveCrossbarArray(W), W)
    assert seen == [True, False, False] * 2


def test_is_one_leaf_of_a_tree():
    w = xb.MemristiveCrossbarArray(W)
    assert jax.tree.leaves({"a": [w]}) == [w]


def test_cannot_be_changed():
    w = xb.MemristiveCrossbarArray(W)
    for name in ("_state", "shape", "colour"):
        with pytest.raises(AttributeError, match=r"immutable: `w \+ dw` gives a new one"):
            setattr(w, name, None)
    with pytest.raises(AttributeError, match=r"immutable: `w \+ dw` gives a new one"):
        del w._state
    np.testing.assert_array_equal(xb.readout(w), W)


def test_weights_that_change_later_do_not_change_the_array():
    weights = W.copy()
    w = xb.MemristiveCrossbarArray(weights)
    weights[:] = 0
    np.testing.assert_array_equal(xb.readout(w), W)


@pytest.mark.parametrize("key", [jax.random.key(1), jax.random.PRNGKey(1)], ids=["new", "old"])
def test_takes_both_styles_of_keys(key):
    same = xb.MemristiveCrossbarArray(W, NOISY, jax.random.key(1))
    w = xb.MemristiveCrossbarArray(W, NOISY, key)
    np.testing.assert_array_equal(xb.readout(w), xb.readout(same), strict=True)


# ---- Refusals, eager and traced ----------------------------------------------------------------


@pytest.fixture(params=["eager", "traced"])
def construct(request):
    """The constructor, called with weights that are concrete or traced."""
    if request.param == "eager":
        return xb.MemristiveCrossbarArray
    return lambda weights: jax.jit(xb.MemristiveCrossbarArray)(weights)


@pytest.mark.parametrize("shape", [(), (5,), (1, 3, 5)])
def test_refuses_weights_without_two_axes(construct, shape):
    message = re.escape(f"two axes (out, in), given {len(shape)} of shape {shape}")
    with pytest.raises(ValueError, match=message):
        construct(jnp.ones(shape))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_refuses_empty_weights(construct, shape):
    with pytest.raises(ValueError, match=r"at least one, given the empty shape \(\d, \d\)"):
        construct(jnp.ones(shape))


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64"])
def test_refuses_weights_that_are_not_floating(construct, dtype):
    message = rf"floating-point numbers, float32, given {dtype}; cast with weights.astype\("
    with pytest.raises(TypeError, match=message):
        construct(jnp.ones((3, 5), dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_refuses_other_floating_types_and_says_what_to_cast(construct, dtype):
    message = rf"expected float32, given {dtype}; cast with weights.astype\(jnp.float32\)"
    with pytest.raises(TypeError, match=message):
        construct(jnp.ones((3, 5), dtype))


@pytest.mark.parametrize(
    ("weights", "cast"),
    [
        (np.ones((3, 5)), "weights.astype(jnp.float32)"),
        ([[1.0, 2.0]], "jnp.asarray(weights, jnp.float32)"),
        (((1.0,), (2.0,)), "jnp.asarray(weights, jnp.float32)"),
    ],
    ids=["float64", "list", "tuple"],
)
def test_casts_nothing_silently(weights, cast, as_users_call):
    message = re.escape(f"expected float32, given float64; cast with {cast}")
    with pytest.raises(TypeError, match=message):
        xb.MemristiveCrossbarArray(weights)


@pytest.mark.parametrize(
    ("weights", "given"),
    [
        (None, "NoneType"),
        ("abc", "str"),
        ({"a": 1}, "dict"),
        ([["a", "b"]], "list with entries of type <U1"),
        ([[None, 1.0]], "list with entries of type object"),
    ],
)
def test_refuses_what_is_no_array(weights, given, as_users_call):
    message = f"weights: expected an array of float32 numbers, given {re.escape(given)}$"
    with pytest.raises(TypeError, match=message):
        xb.MemristiveCrossbarArray(weights)


def test_refuses_lists_of_different_lengths(as_users_call):
    message = "weights: expected an array, given nested lists of different lengths: "
    with pytest.raises(ValueError, match=message):
        xb.MemristiveCrossbarArray([[1.0, 2.0], [3.0]])


def test_takes_lists_of_float32(as_users_call):
    one, two = np.float32(1), np.float32(2)
    w = xb.MemristiveCrossbarArray([[one, two]])
    np.testing.assert_array_equal(xb.readout(w), [[1, 2]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_weights_that_are_not_finite_and_says_where(bad):
    weights = W.copy()
    weights[1, 2] = weights[2, 4] = bad
    with pytest.raises(ValueError, match=r"finite numbers, given 2 .* the first at \(1, 2\)"):
        xb.MemristiveCrossbarArray(weights)


def test_refuses_a_crossbar_as_weights(as_users_call):
    w = xb.MemristiveCrossbarArray(W)
    with pytest.raises(TypeError, match=r"given a crossbar array; program what xb.readout\(w\)"):
        xb.MemristiveCrossbarArray(w)


def test_refuses_what_is_no_chip(as_users_call):
    with pytest.raises(TypeError, match=r"chip: expected an xbarax.Chip or None, given 'ideal'"):
        xb.MemristiveCrossbarArray(W, chip="ideal")


@pytest.mark.parametrize("key", [3, "seed", np.ones(2, np.float32), np.zeros(3, np.uint32)])
def test_refuses_what_is_no_key(key, as_users_call):
    with pytest.raises(TypeError, match=r"key: expected a PRNG key such as jax.random.key\(0\)"):
        xb.MemristiveCrossbarArray(W, key=key)


def test_refuses_a_batch_of_keys():
    keys = jax.random.split(jax.random.key(0), 4)
    with pytest.raises(ValueError, match=r"one PRNG key, .* shape \(4,\); use jax.vmap over"):
        xb.MemristiveCrossbarArray(W, key=keys)


@pytest.mark.parametrize("device", [Noisy(write=0.1), Noisy(read=0.1)], ids=["write", "read"])
def test_refuses_a_noisy_chip_without_a_key(device):
    with pytest.raises(ValueError, match=r"random numbers and needs a key: give key=jax.random"):
        xb.MemristiveCrossbarArray(W, xb.Chip(device=device))
