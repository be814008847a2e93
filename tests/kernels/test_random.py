"""The native kernels draw what `jax.random` draws, and pairs of numbers as plain JAX does."""

import itertools
import re

import jax
import numpy as np
import pytest
import scipy.stats
from jax import numpy as jnp
from jax.extend.random import threefry_2x32

import xbarax as xb
from xbarax import _kernels
from xbarax._kernels import _random

KEY = jax.random.key(7)
SHAPES = [(), (0,), (1,), (17,), (3, 5, 7), (400, 301)]


def native(fn):
    def call(*args):
        with _kernels.using("native"):
            return fn(*args)

    return jax.jit(call)


def data(keys):
    return np.asarray(jax.random.key_data(keys))


@pytest.mark.parametrize("shape", SHAPES)
def test_uniform_numbers_are_the_same_bits(shape):
    drawn = native(lambda k: _kernels.uniform(k, shape))(KEY)
    np.testing.assert_array_equal(drawn, jax.random.uniform(KEY, shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_normal_numbers_are_the_same_to_rounding(shape):
    drawn = native(lambda k: _kernels.normal(k, shape))(KEY)
    np.testing.assert_array_max_ulp(np.asarray(drawn), np.asarray(jax.random.normal(KEY, shape)), 8)


def pair_of(word, other):
    """Box and Muller's numbers of 32 random bits and 12 others, in double precision."""
    length = np.sqrt(-2 * np.log((word % 2**20 + 0.5) / 2**20))
    angle = np.pi / 2 * ((word >> 20) % 2**10 + ((other >> 1) % 2**12 + 0.5) / 2**12) / 2**10
    signs = (-1) ** (word >> 31), (-1) ** (word >> 30 & 1)
    return length * np.cos(angle) * signs[0], length * np.sin(angle) * signs[1]


@pytest.mark.parametrize("implementation", ["jax", "native"])
@pytest.mark.parametrize(
    "shape", [(0,), (1,), (2,), (3,), (17,), (3, 0), (0, 3), (3, 5, 7), (2, 130)]
)
def test_paired_normal_numbers_are_of_both_words_of_each_counter(shape, implementation):
    with _kernels.using(implementation):
        drawn = jax.jit(lambda k: _kernels.paired_normal(k, shape))(KEY)
    n = shape[-1]
    expected = np.zeros((int(np.prod(shape[:-1])), n))
    for line, i in np.ndindex(*expected.shape):
        quarter = (n + 3) // 4
        counter = np.array([0, line * quarter + i % quarter], np.uint32)
        words = [int(word) for word in threefry_2x32(data(KEY), counter)]
        numbers = [*pair_of(*words), *pair_of(*words[::-1])]
        expected[line, i] = numbers[i // quarter]
    assert drawn.shape == shape
    np.testing.assert_allclose(drawn, expected.reshape(shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("implementation", ["jax", "native"])
def test_paired_normal_numbers_are_normal_and_independent(implementation):
    lines, n = 1000, 4096
    with _kernels.using(implementation):
        drawn = jax.jit(lambda k: _kernels.paired_normal(k, (lines, n)))(KEY)
    x = np.asarray(drawn, np.float64)
    assert scipy.stats.kstest(x.ravel(), "norm").pvalue > 1e-6
    # Of products that have mean 0 and deviation 1: each within 5 deviations of its mean over all.
    moments = {1: x, 2: (x**2 - 1) / 2**0.5, 3: (x**3 - 3 * x) / 6**0.5}
    moments[4] = (x**4 - 6 * x**2 + 3) / 24**0.5
    for order, values in moments.items():
        assert abs(values.mean()) < 5 / values.size**0.5, order
    for rare, found in [
        (scipy.stats.norm.sf(4) * 2, abs(x) > 4),
        *((1 - scipy.stats.norm.sf(d) * 2, abs(x) < d) for d in (1e-4, 5e-4, 2e-3)),
    ]:
        assert abs(found.mean() - rare) < 5 * (rare / x.size) ** 0.5, rare
    quarters = [np.split(values, 4, axis=1) for values in moments.values()]
    for a, b in itertools.combinations(range(4), 2):
        for first, second in itertools.product(quarters, repeat=2):
            assert abs((first[a] * second[b]).mean()) < 5 / first[a].size ** 0.5, (a, b)


def test_counters_have_two_words():
    lines = [0, 1, 5, 2**16 + 3, 2**31 + 7, 2**32 - 1]
    for counters in (1, 3, 2**16 + 1):
        high, low = _random._counters(jnp.asarray(lines, jnp.uint32), counters)
        found = (np.asarray(high).astype(object) << 32) + np.asarray(low).astype(object)
        for place in {0, counters // 2, counters - 1}:
            assert found[:, place].tolist() == [line * counters + place for line in lines]


def test_keys_are_the_same():
    fold = native(_kernels.fold_in)
    for number in (0, 1, 2**31 - 1, np.uint32(2**32 - 1), np.int32(-1)):
        expected = jax.random.fold_in(KEY, jnp.asarray(number))
        np.testing.assert_array_equal(data(fold(KEY, number)), data(expected))
    split = native(lambda k: _kernels.split(k, 5))
    np.testing.assert_array_equal([data(k) for k in split(KEY)], data(jax.random.split(KEY, 5)))
    assert split.lower(KEY).as_text().count("custom_call @xbarax_split") == 1
    with _kernels.using("jax"):
        pure = jax.jit(lambda k: _kernels.split(k, 5))(KEY)
    np.testing.assert_array_equal([data(k) for k in pure], data(jax.random.split(KEY, 5)))


def test_a_batch_of_keys_is_split_in_one_call():
    keys = jax.random.split(KEY, 12).reshape(3, 4)
    split = native(jax.vmap(jax.vmap(lambda k: _kernels.split(k, 3))))
    expected = np.moveaxis(data(jax.vmap(jax.vmap(lambda k: jax.random.split(k, 3)))(keys)), 2, 0)
    np.testing.assert_array_equal([data(k) for k in split(keys)], expected)
    assert split.lower(keys).as_text().count("custom_call @xbarax_split") == 1


def test_a_batch_of_keys_is_one_call_and_draws_what_each_draws():
    keys = jax.random.split(KEY, 12).reshape(3, 4)
    draw = native(jax.vmap(jax.vmap(lambda k: _kernels.uniform(k, (2, 5)))))
    expected = [[jax.random.uniform(k, (2, 5)) for k in row] for row in keys]
    np.testing.assert_array_equal(draw(keys), np.asarray(expected))
    assert draw.lower(keys).as_text().count("custom_call @xbarax_uniform") == 1


def test_keys_and_numbers_to_fold_in_batch_apart():
    keys, numbers = jax.random.split(KEY, 4), jnp.arange(4)
    for axes in ((0, 0), (0, None), (None, 0)):
        given = (keys if axes[0] == 0 else KEY, numbers if axes[1] == 0 else 3)
        folded = native(jax.vmap(_kernels.fold_in, axes))(*given)
        expected = jax.vmap(jax.random.fold_in, axes)(*given)
        np.testing.assert_array_equal(data(folded), data(expected))


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_keys_of_other_generators_are_left_to_jax(impl):
    key = jax.random.key(7, impl=impl)
    for ours, theirs in [
        (_kernels.normal(key, (9,)), jax.random.normal(key, (9,))),
        (_kernels.paired_normal(key, (9,)), jax.random.normal(key, (9,))),
        (_kernels.uniform(key, (9,)), jax.random.uniform(key, (9,))),
        (data(_kernels.fold_in(key, 3)), data(jax.random.fold_in(key, 3))),
        ([data(k) for k in _kernels.split(key, 3)], data(jax.random.split(key, 3))),
    ]:
        np.testing.assert_array_equal(ours, theirs)


def test_the_older_layout_is_left_to_jax():
    with jax.threefry_partitionable(False):
        np.testing.assert_array_equal(
            native(lambda k: _kernels.uniform(k, (9,)))(KEY), jax.random.uniform(KEY, (9,))
        )


@pytest.mark.parametrize(("implementation", "calls"), [("jax", False), ("native", True)])
def test_a_noisy_chip_draws_with_what_was_asked_for(implementation, calls):
    chip = xb.Chip(device=xb.device.presets.pcm(), implementation=implementation)
    program = lambda weights: xb.MemristiveCrossbarArray(weights, chip, KEY) @ jnp.ones(5)
    text = jax.jit(program).lower(jnp.ones((3, 5))).as_text()
    assert (re.search(r"custom_call @xbarax_normal\b", text) is not None) == calls


def test_a_chip_is_the_same_whatever_draws():
    weights = np.random.default_rng(0).uniform(-1, 1, (12, 9)).astype(np.float32)
    x = np.random.default_rng(1).uniform(-1, 1, (20, 9)).astype(np.float32)
    chips = [
        xb.Chip(device=xb.device.presets.pcm(), implementation=implementation)
        for implementation in ("jax", "native")
    ]
    pure, fast = (xb.MemristiveCrossbarArray(weights, chip, KEY) for chip in chips)
    np.testing.assert_allclose(xb.readout(fast), xb.readout(pure), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(xb.read(fast, x), xb.read(pure, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("result", [(3, 4), (2, 5)])
def test_handlers_print_shapes_that_do_not_match(result):
    call = jax.ffi.ffi_call("xbarax_normal", jax.ShapeDtypeStruct(result, jnp.float32))
    keys = jnp.zeros((2, 3), jnp.uint32)
    shown = re.escape(f"keys uint32[2,3], numbers float32[{','.join(map(str, result))}]")
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match=shown):
        _kernels.library()
        jax.block_until_ready(call(keys))
