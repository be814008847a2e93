"""`xb.monte_carlo`: the loop over chips, compiled once and run in chunks."""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import Compilations, assert_close, assert_equal, normal

CHIP = xb.Chip(device=Noisy(write=0.1, read=0.2))
W, XS = normal(0, 3, 4), normal(1, 5, 4)
KEY = jax.random.key(2)


def experiment(key):
    w = xb.MemristiveCrossbarArray(W, CHIP, key)
    return {"reads": xb.read(w, XS), "largest": jnp.max(jnp.abs(xb.readout(w)))}


@pytest.fixture(scope="module")
def loop():
    each = map(jax.jit(experiment), jax.random.split(KEY, 7))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100, None])
def test_is_the_loop_whatever_the_chunk(loop, chunk):
    results = xb.monte_carlo(experiment, 7, KEY, chunk=chunk)
    assert_close(results, loop)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(results))
    assert len(np.unique(results["largest"])) == 7


def test_one_chip():
    one = xb.monte_carlo(experiment, 1, KEY)
    assert_close(one["reads"][0], experiment(jax.random.split(KEY, 1)[0])["reads"])


def test_keys_of_the_old_style_are_taken(loop):
    assert_close(xb.monte_carlo(experiment, 7, jax.random.key_data(KEY)), loop)


@pytest.mark.parametrize("chunk", [5, 12])
def test_there_is_one_compilation(chunk):
    run = lambda fn: xb.monte_carlo(fn, 12, KEY, chunk=chunk)
    run(lambda key: jax.random.normal(key))  # compiles what makes the keys
    compilations = Compilations()
    run(experiment)
    assert compilations.count == 1


def test_large_arrays_make_chunks_small():
    """Each chip's largest array is of 1 MiB; 2 MiB is what a chunk may take."""
    sizes = []

    def look(bits):
        sizes.append(bits.shape)
        return bits

    def large(key):
        bits = jax.random.bits(key)
        seen = jax.pure_callback(look, bits, bits, vmap_method="broadcast_all")
        return jnp.sum(jax.random.normal(key, (512, 512))), seen

    xb.monte_carlo(large, 5, KEY)
    assert_equal(np.array(sizes), np.array([[2], [2], [2]]))


def test_under_jit_it_says_what_to_do():
    with pytest.raises(TypeError, match="cannot be traced: call it outside of jax.jit, or use"):
        jax.jit(lambda key: xb.monte_carlo(jax.random.normal, 3, key))(KEY)


# ---- The bar -----------------------------------------------------------------------------------


def sample(key):
    return jax.random.uniform(key)


@pytest.mark.parametrize(
    ("n", "given", "shown"),
    [
        (20, {"chunk": 5}, False),
        (20, {"chunk": 5, "progress": True}, True),
        (200, {"chunk": 200}, False),
        (200, {"chunk": 100}, True),
        (200, {"chunk": 100, "progress": False}, False),
    ],
)
def test_a_bar_is_shown_for_many_chips(n, given, shown, capsys):
    assert xb.monte_carlo(sample, n, KEY, **given).shape == (n,)
    out, bar = capsys.readouterr()
    assert out == "" and ("chips" in bar) == shown
    assert (f"{n}/{n}" in bar) == shown


# ---- Bad input ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    ("args", "given", "error", "message"),
    [
        ((3, 5, KEY), {}, TypeError, "monte_carlo: expected a function of a key, given 3"),
        ((sample, 0, KEY), {}, ValueError, "n_chips: expected a positive integer, given 0"),
        ((sample, 2.0, KEY), {}, ValueError, "n_chips: expected a positive integer, given 2.0"),
        ((sample, True, KEY), {}, ValueError, "n_chips: expected a positive integer, given True"),
        ((sample, 5, KEY), {"chunk": 0}, ValueError, "chunk: expected a positive integer, given 0"),
        ((sample, 5, None), {}, TypeError, "monte_carlo: key: expected a PRNG key, given None"),
        ((sample, 5, 7), {}, TypeError, "key: expected a PRNG key such as jax.random.key(0)"),
        ((sample, 5, jax.random.split(KEY)), {}, ValueError, "given a batch of shape (2,)"),
        (
            (lambda key: xb.MemristiveCrossbarArray(W, CHIP, key), 5, KEY),
            {},
            TypeError,
            "monte_carlo: fn must return plain arrays, it returned crossbar[float32[3,4]]",
        ),
        ((lambda key: key, 5, KEY), {}, TypeError, "must return plain arrays, it returned key<fry"),
    ],
)
def test_bad_experiments(args, given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        xb.monte_carlo(*args, **given)
