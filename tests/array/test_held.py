"""What an array holds, as few arrays and back."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_equal, normal
from xbarax.array._held import Packing

LARGE = (64, 65)  # float32: more than 16 KB
SMALL = (64, 64)


def tree(batch=()):
    """Leaves of all kinds, with these axes in front."""
    bits = np.random.default_rng(0).integers(0, 2**32, (*batch, *SMALL), dtype=np.uint32)
    return {
        "any bits": jnp.asarray(bits).view(jnp.float32),  # NaNs with payloads among them
        "count": jnp.full(batch, -3, jnp.int32),
        "empty": jnp.zeros((*batch, 0, 4)),
        "key": jax.random.split(jax.random.key(7), (*batch, 1))[..., 0],
        "keys": jax.random.split(jax.random.key(8), (*batch, 2)),
        "large": jnp.asarray(normal(1, *batch, *LARGE)),
        "mask": jnp.asarray(normal(2, *batch, 5, 3) > 0),
        "words": jnp.asarray(bits[..., 0, :3]),
    }


def bits_of(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    return np.asarray(leaf).view(np.uint8 if leaf.dtype == bool else np.uint32)


def packing(leaves=None, **how):
    leaves = tree() if leaves is None else leaves
    return Packing(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), leaves), **how)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_packing_and_unpacking_keep_all_bits(batch, wrap):
    given = tree(batch)
    few = wrap(packing().pack)(given)
    found = wrap(packing().unpack)(few)
    assert jax.tree.structure(found) == jax.tree.structure(given)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(given), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(bits_of(a), bits_of(b))


def test_small_parts_are_one_vector_of_words():
    few = packing().pack(tree())
    words = SMALL[0] * SMALL[1] + 1 + 2 + 3  # any bits, count, key, words
    expected = [((words,), jnp.uint32), ((2,), tree()["keys"].dtype), (LARGE, jnp.float32)]
    assert [(a.shape, a.dtype) for a in few] == [*expected, ((5, 3), jnp.bool_)]
    assert [(a.shape, a.dtype) for a in packing().shapes] == [(a.shape, a.dtype) for a in few]


def test_a_chips_own_parts_stay_apart():
    leaves = {name: leaf for name, leaf in tree().items() if name in ("count", "large")}
    apart = packing(leaves, apart=True)
    assert_equal(apart.unpack(apart.pack(leaves)), leaves)
    assert len(apart.shapes) == 2


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_an_array_is_the_same_inside_and_outside_of_jit(shape):
    chip = xb.Chip(xb.device.presets.reram_soft_bounds())
    w = xb.MemristiveCrossbarArray(normal(0, *shape), chip, jax.random.key(0))
    dw, x = normal(1, *shape), normal(2, shape[1])
    inside = jax.jit(lambda w: w + dw)(w)
    np.testing.assert_allclose(xb.readout(inside), xb.readout(w + dw), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda w: w @ x)(w), w @ x, rtol=1e-5, atol=1e-5)
