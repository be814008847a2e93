"""The native kernels compute what the pure-JAX specification computes."""

import functools
import re

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from xbarax import _kernels

# The kernels work in blocks of 4, 6, 16, 32, 64 and 96.
EDGES = [1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 31, 33, 63, 64, 65, 95, 97, 127]
sizes = st.sampled_from(EDGES) | st.integers(1, 140)
no_deadline = settings(deadline=None, max_examples=25, derandomize=True, database=None)


@pytest.fixture(scope="module", autouse=True)
def registered():
    _kernels.library()


@functools.partial(jax.jit, static_argnames="transpose")
def native_read(g, x, transpose=False):
    return _kernels.read(g, x, transpose=transpose)


native_update = jax.jit(lambda g, d: _kernels.update(g, d))


def integers(seed, *shape):
    """Integers of -8 ... 8: sums of their products are exact in whatever order they are made."""
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(np.float32)


def read(implementation, weights, x, transpose=False):
    w = xb.MemristiveCrossbarArray(weights, xb.Chip(implementation=implementation))
    return xb.read(w, x, transpose=transpose)


# ---- Reads -------------------------------------------------------------------------------------


@no_deadline
@given(n_out=sizes, n_in=sizes, n_rows=st.just(0) | sizes, seed=st.integers(0, 1000))
@example(n_out=1, n_in=1, n_rows=1, seed=0)
@example(n_out=1, n_in=1, n_rows=0, seed=0)
@example(n_out=200, n_in=150, n_rows=300, seed=0)  # enough for several threads
def test_reads_agree_exactly_on_integers(n_out, n_in, n_rows, seed):
    weights = integers(seed, n_out, n_in)
    x, y = integers(seed + 1, n_rows, n_in), integers(seed + 2, n_rows, n_out)
    np.testing.assert_array_equal(native_read(weights, x), x @ weights.T)
    np.testing.assert_array_equal(native_read(weights, y, transpose=True), y @ weights)
    np.testing.assert_array_equal(read("jax", weights, x), x @ weights.T)


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 13, 3), (64, 64, 64), (65, 127, 17)])
@pytest.mark.parametrize("transpose", [False, True])
def test_reads_are_within_the_rounding_of_a_sum(shape, transpose, implementation):
    n_out, n_in, n_rows = shape
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((n_out, n_in), np.float32)
    x = rng.standard_normal((n_rows, n_out if transpose else n_in), np.float32)
    matrix = weights if transpose else weights.T
    exact = x.astype(np.float64) @ matrix
    # Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: gamma_n, in any order.
    unit = 2.0**-24 * (x.shape[1] + 1)
    bound = unit / (1 - unit) * (np.abs(x).astype(np.float64) @ np.abs(matrix))
    difference = np.abs(np.asarray(read(implementation, weights, x, transpose)) - exact)
    assert np.all(difference <= bound)


@pytest.mark.parametrize("transpose", [False, True])
def test_batches_of_arrays_are_one_call(transpose):
    weights, x = integers(0, 2, 3, 5, 7), integers(1, 2, 3, 4, 5 if transpose else 7)
    call = jax.vmap(jax.vmap(lambda w, x: native_read(w, x, transpose)))
    expected = x @ (weights if transpose else weights.swapaxes(-1, -2))
    np.testing.assert_array_equal(call(weights, x), expected)
    assert jax.jit(call).lower(weights, x).as_text().count("custom_call @xbarax_read") == 1


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), (2, 1)])
def test_vmap_is_the_loop(axes):
    several = lambda z, axis: z if axis is None else np.stack([z, z + 1, 2 * z], axis)
    one = lambda z, axis, i: z if axis is None else z.take(i, axis)
    g, x = several(integers(0, 5, 7), axes[0]), several(integers(1, 4, 7), axes[1])
    loop = [one(x, axes[1], i) @ one(g, axes[0], i).T for i in range(3)]
    np.testing.assert_array_equal(jax.vmap(native_read, axes)(g, x), np.stack(loop))


def test_values_that_are_not_finite_pass_through():
    weights = integers(0, 20, 30)
    weights[3, 4], weights[7, 8] = np.inf, np.nan
    x = np.abs(integers(1, 9, 30)) + 1
    for n_rows in (1, 9):
        y = np.asarray(native_read(weights, x[:n_rows]))
        assert np.all(np.isposinf(y[:, 3])) and np.all(np.isnan(y[:, 7]))
        finite = np.delete(y, [3, 7], axis=1)
        np.testing.assert_array_equal(finite, x[:n_rows] @ np.delete(weights, [3, 7], axis=0).T)


# ---- Updates -----------------------------------------------------------------------------------


@no_deadline
@given(
    shape=st.tuples(sizes, sizes),
    bad=st.lists(st.sampled_from([np.nan, -np.nan, np.inf, -np.inf]), max_size=5),
    seed=st.integers(0, 1000),
)
def test_updates_agree_and_count_what_is_not_finite(shape, bad, seed):
    rng = np.random.default_rng(seed)
    g, d = rng.standard_normal((2, *shape), np.float32)
    places = rng.permutation(d.size)[: len(bad)]
    d.ravel()[places] = bad[: len(places)]
    total, count = native_update(g, d)
    np.testing.assert_array_equal(total, g + d)
    assert count == len(places)


@pytest.mark.parametrize(
    "value", [np.finfo(np.float32).max, np.finfo(np.float32).tiny, 1e-45, -0.0]
)
def test_extreme_numbers_are_finite(value):
    d = np.full((3, 5), value, np.float32)
    total, count = native_update(np.zeros_like(d), d)
    assert count == 0
    np.testing.assert_array_equal(total, jnp.zeros_like(d) + d)  # both may take 1e-45 for 0


def test_each_array_of_a_batch_has_its_own_count():
    g, d = integers(0, 2, 3, 5, 7), integers(1, 2, 3, 5, 7)
    d[0, 1, 2, 3] = d[1, 2, :2, 0] = np.nan
    total, count = jax.vmap(jax.vmap(native_update))(g, d)
    np.testing.assert_array_equal(total, g + d)
    np.testing.assert_array_equal(count, [[0, 1, 0], [0, 0, 2]])


# ---- Which one runs ----------------------------------------------------------------------------


@pytest.mark.parametrize(("implementation", "calls"), [("jax", 0), ("native", 1), ("auto", 1)])
def test_a_compiled_program_calls_what_was_asked_for(implementation, calls):
    w = xb.MemristiveCrossbarArray(integers(0, 3, 5), xb.Chip(implementation=implementation))
    x = integers(1, 5)
    read = jax.jit(lambda w, x: w @ x).lower(w, x).as_text()
    transposed = jax.jit(lambda w, y: w.T @ y).lower(w, x[:3]).as_text()
    update = jax.jit(lambda w: w + integers(2, 3, 5)).lower(w).as_text()
    count = lambda text, name: len(re.findall(rf"custom_call @{name}\b", text))
    assert count(read, "xbarax_read") == calls
    assert count(transposed, "xbarax_read_transposed") == calls
    assert count(update, "xbarax_update") == calls


@pytest.mark.parametrize(("implementation", "calls"), [("native", True), ("jax", False)])
def test_a_chip_that_is_not_ideal_has_them_too(implementation, calls):
    chip = xb.Chip(device=Noisy(), implementation=implementation)
    w = xb.MemristiveCrossbarArray(integers(0, 3, 5), chip)
    program = jax.jit(lambda w, x: w @ x).lower(w, integers(1, 5)).as_text()
    assert ("xbarax_read" in program) == calls


# ---- What handlers refuse ----------------------------------------------------------------------


def call(name, result, *operands):
    return jax.ffi.ffi_call(name, jax.ShapeDtypeStruct(result, jnp.float32))(*operands)


@pytest.mark.parametrize(
    ("name", "result", "g", "x"),
    [
        ("xbarax_read", (4, 3), (3, 5), (4, 6)),
        ("xbarax_read", (4, 5), (3, 5), (4, 5)),
        ("xbarax_read", (3, 3), (3, 5), (4, 5)),
        ("xbarax_read", (3,), (3, 5), (5,)),
        ("xbarax_read", (2, 4, 3), (2, 3, 5), (3, 4, 5)),
        ("xbarax_read_transposed", (4, 5), (3, 5), (4, 5)),
    ],
)
def test_a_handler_prints_the_shapes_that_do_not_match(name, result, g, x):
    in_order = (g, result, x) if name == "xbarax_read_transposed" else (g, x, result)
    shapes = " ".join(f"float32[{','.join(map(str, shape))}]" for shape in in_order)
    message = re.escape(f"xbarax read: operands that do not match: {shapes}")
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match=message):
        jax.block_until_ready(call(name, result, jnp.ones(g), jnp.ones(x)))


def test_a_handler_refuses_another_type():
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match="F32|f32|dtype"):
        operands = jnp.ones((3, 5), jnp.float16), jnp.ones((4, 5), jnp.float16)
        jax.block_until_ready(call("xbarax_read", (4, 3), *operands))
