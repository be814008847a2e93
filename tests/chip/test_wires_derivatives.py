"""Derivatives of the effective conductance: against circuits, difference quotients, each other."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip import circuit
from xbarax import _kernels
from xbarax.chip.wires import _recursion

effective_conductance = xb.wires.effective_conductance


@pytest.fixture(scope="module", autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


RESISTANCES = [(0.0, 0.0), (0.0, 2.0), (1e-3, 1e-3), (100.0, 60.0)]


@functools.partial(jax.jit, static_argnums=0)
def compiled_gradient(implementation, cotangent, *point):
    with _kernels.using(implementation):
        loss = lambda *at: jnp.sum(cotangent * effective_conductance(*at))
        return jax.grad(loss, (0, 1, 2))(*point)


def gradient(implementation, dtype, cotangent, *point):
    """By all three, of the sum of the effective conductance times a cotangent."""
    return compiled_gradient(implementation, *(jnp.asarray(x, dtype) for x in (cotangent, *point)))


def assert_agrees(actual, expected, tolerance):
    """Each of three, relative to its norm."""
    for one, other in zip(actual, expected, strict=True):
        assert np.linalg.norm(one - other) <= tolerance * np.linalg.norm(other)


def cotangent_of(shape):
    return 1e3 * np.random.default_rng(8).normal(size=shape)


# ---- Against circuits and difference quotients --------------------------------------------------

SHAPES = [(1, 1), (1, 9), (9, 1), (4, 4), (5, 4), (13, 29), (40, 33)]


@pytest.mark.parametrize("word_line, bit_line", RESISTANCES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_products_of_voltages_and_of_currents(shape, word_line, bit_line):
    """With open cells, and wires of 0 ohm."""
    point, cotangent = (circuit.cells(8, *shape), word_line, bit_line), cotangent_of(shape)
    expected = circuit.derivatives(*point, cotangent)
    assert_agrees(gradient("native", jnp.float64, cotangent, *point), expected, 1e-9)
    assert_agrees(gradient("native", jnp.float32, cotangent, *point), expected, 1e-4)


@pytest.mark.parametrize("shape, single", [((1, 9), True), ((5, 4), True), ((13, 29), False)])
def test_gradients_in_jax_are_the_same(shape, single):
    cotangent = cotangent_of(shape)
    for word_line, bit_line in RESISTANCES:
        point = circuit.cells(8, *shape), word_line, bit_line
        expected = gradient("native", jnp.float64, cotangent, *point)
        actual = gradient("jax", jnp.float64, cotangent, *point)
        assert_agrees(actual, expected, 1e-10)
        if word_line > 0:
            assert np.any(actual[0] != expected[0])  # they are not the same program
        if single:  # each compiles for seconds
            assert_agrees(gradient("jax", jnp.float32, cotangent, *point), expected, 1e-4)


def difference_quotient(function, step):
    """The derivative at 0, to the fourth order in the step."""
    one = function(step) - function(-step)
    two = function(2 * step) - function(-2 * step)
    return (8 * one - two) / (12 * step)


def circuit_with_direction(shape):
    """Conductances and resistances, and a direction for each."""
    random = np.random.default_rng(8)
    point = (circuit.cells(8, *shape) + 1e-5, np.float64(20.0), np.float64(30.0))
    return point, (1e-4 * random.normal(size=shape), 10 * random.normal(), 10 * random.normal())


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (4, 3), (13, 29), (40, 33)], ids=str)
def test_gradients_are_difference_quotients(shape):
    (*point,), directions = circuit_with_direction(shape)
    loss = jax.jit(lambda *at: jnp.sum(cotangent_of(shape) * effective_conductance(*at)))
    derivatives = jax.grad(loss, (0, 1, 2))(*point)
    for k, direction in enumerate(directions):
        along = lambda t, k=k, d=direction: loss(*point[:k], point[k] + t * d, *point[k + 1 :])
        expected = difference_quotient(along, 1e-2)
        np.testing.assert_allclose(np.sum(derivatives[k] * direction), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 9), (13, 29)], ids=str)
def test_tangents_are_the_transpose_of_gradients(shape):
    point, directions = circuit_with_direction(shape)
    loss = jax.jit(lambda *at: jnp.sum(cotangent_of(shape) * effective_conductance(*at)))
    derivatives = jax.grad(loss, (0, 1, 2))(*point)
    forward = jax.jit(lambda *directions: jax.jvp(loss, point, directions)[1])
    for k in range(3):
        one = [jnp.asarray(d if j == k else 0 * d) for j, d in enumerate(directions)]
        expected = np.sum(derivatives[k] * directions[k])
        np.testing.assert_allclose(forward(*one), expected, rtol=1e-11)


def test_derivatives_by_ideal_wires_and_open_cells_exist():
    """One-sided: conductances and resistances do not become negative."""
    conductance = circuit.cells(9, 6, 8)
    conductance[2, 3] = 0
    total = jax.jit(lambda g, r: jnp.sum(effective_conductance(g, r, 2 * r)))
    at_zero = jax.grad(total, 1)(conductance, 0.0)
    sides = jnp.asarray([total(conductance, r) for r in (0.0, 1e-3, 2e-3)])
    np.testing.assert_allclose(at_zero, (4 * sides[1] - 3 * sides[0] - sides[2]) / 2e-3, rtol=1e-5)
    ideal = jax.grad(total)(conductance, 0.0)
    np.testing.assert_allclose(ideal, np.ones((6, 8)), rtol=1e-12)
    added = np.zeros((6, 8))
    added[2, 3] = 1e-9
    more = (total(conductance + added, 5.0) - total(conductance, 5.0)) / 1e-9
    np.testing.assert_allclose(jax.grad(total)(conductance, 5.0)[2, 3], more, rtol=1e-5)


def test_reverse_mode_does_not_trace_the_jax_code(monkeypatch):
    """That takes seconds, and compiling it more, where kernels take milliseconds."""
    monkeypatch.setattr(_recursion, "oriented", None)
    point, directions = circuit_with_direction((101, 90))
    with _kernels.using("native"):
        loss = jax.jit(lambda *at: jnp.sum(effective_conductance(*at)))
        derivatives = jax.jit(jax.grad(loss, (0, 1, 2)))(*point)
        moved = lambda t: loss(*(p + t * d for p, d in zip(point, directions, strict=True)))
        expected = difference_quotient(moved, 1e-2)
    along = sum(np.sum(a * b) for a, b in zip(derivatives, directions, strict=True))
    np.testing.assert_allclose(along, expected, rtol=1e-5)
    with pytest.raises(TypeError, match="not callable"):
        jax.jvp(loss, point, point)


@pytest.mark.parametrize("platform, native", [("cpu", True), ("cuda", False), ("tpu", False)])
def test_programs_for_accelerators_take_the_jax_code(platform, native):
    gradient = jax.jit(jax.value_and_grad(lambda g: jnp.sum(effective_conductance(g, 1.0, 2.0))))
    traced = gradient.trace(np.float32(circuit.cells(3, 2, 3)))
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("xbarax_effective_conductance" in program) == native
    assert ("xbarax_pull_effective_conductance" in program) == native


def test_the_kernel_refuses_operands_that_do_not_match():
    conductance, resistance = jnp.ones((2, 3, 4)), jnp.ones(2)
    with pytest.raises(Exception, match=r"do not match: float64\[2,3,5\] float64\[2,3,4\]"):
        cotangent = jnp.ones((2, 3, 5))
        _kernels.pull_effective_conductance(cotangent, conductance, resistance, resistance)


# ---- With JAX's transformations -----------------------------------------------------------------


def curved(conductance, word_line=10.0):
    return jnp.sum(jnp.sin(1e4 * effective_conductance(conductance, word_line, 20.0)))


def test_jacobians_are_the_same_forward_and_backward():
    point, _ = circuit_with_direction((4, 5))
    forward = jax.jacfwd(effective_conductance, (0, 1, 2))(*point)
    backward = jax.jacrev(effective_conductance, (0, 1, 2))(*point)
    assert forward[0].shape == (4, 5, 4, 5)
    assert_agrees(backward, forward, 1e-11)


def test_second_derivatives_are_difference_quotients():
    (conductance, *_), (step, *_) = circuit_with_direction((9, 10))
    slope = jax.jit(lambda g: jnp.sum(step * jax.grad(curved)(g)))
    expected = difference_quotient(lambda t: slope(conductance + t * step), 1e-3)
    product = jnp.sum(step * jax.grad(slope)(conductance))
    np.testing.assert_allclose(product, expected, rtol=1e-5)


def test_second_derivatives_are_the_same_in_every_order():
    (conductance, *_), (step, *_) = circuit_with_direction((3, 4))
    slope = lambda g: jax.jvp(curved, (g,), (step,))[1]
    backward = lambda g: jnp.sum(step * jax.grad(curved)(g))
    expected = jax.grad(backward)(conductance)
    for other in (
        jax.jvp(jax.grad(curved), (conductance,), (step,))[1],
        jax.grad(slope)(conductance),
    ):
        np.testing.assert_allclose(other, expected, rtol=1e-9, atol=1e-9 * np.max(np.abs(expected)))


def test_vmap_of_grad_is_grad_of_vmap():
    conductance, word_line = circuit.cells(10, 8, 11, 3), np.array([0.0, 10.0, 40.0])
    each = jax.vmap(jax.grad(curved))(conductance)
    together = jax.grad(lambda gs: jnp.sum(jax.vmap(curved)(gs)))(conductance)
    one_by_one = [jax.grad(curved)(g) for g in conductance]
    np.testing.assert_allclose(each, one_by_one, rtol=1e-10)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-10)
    shared = jax.vmap(jax.grad(curved, 1), (None, 0))(conductance[0], word_line)
    one_by_one = [jax.grad(curved, 1)(conductance[0], r) for r in word_line]
    np.testing.assert_allclose(shared, one_by_one, rtol=1e-10)


def test_vmap_of_tangents_is_a_loop():
    conductance, directions = circuit.cells(11, 5, 6), 1e-5 * cotangent_of((2, 5, 6))
    tangent = lambda d: jax.jvp(curved, (conductance,), (d,))[1]
    np.testing.assert_allclose(jax.vmap(tangent)(directions), list(map(tangent, directions)))


def test_checkpoint_changes_nothing():
    conductance = circuit.cells(12, 6, 7)
    expected = jax.jit(jax.grad(curved))(conductance)
    np.testing.assert_array_equal(jax.jit(jax.grad(jax.checkpoint(curved)))(conductance), expected)


def test_scan_is_a_loop():
    conductance, steps = circuit.cells(13, 6, 7), jnp.array([1.0, 0.5, 2.0])

    def step(g, scale):
        return scale * effective_conductance(g, 30.0, 10.0), jnp.sum(g)

    def looped(g):
        for scale in steps:
            g, _ = step(g, scale)
        return jnp.sum(jnp.sin(1e4 * g))

    scanned = lambda g: jnp.sum(jnp.sin(1e4 * jax.lax.scan(step, g, steps)[0]))
    expected = jax.grad(looped)(conductance)
    np.testing.assert_allclose(jax.grad(scanned)(conductance), expected, rtol=1e-10)
    np.testing.assert_allclose(jax.jit(jax.grad(scanned))(conductance), expected, rtol=1e-10)


def test_two_arrays_in_one_program_do_not_wait_for_each_other():
    # Two of jaxlib's batched LAPACK calls at once each wait for a thread that the other holds.
    cells = jnp.full((2, 9, 11), 1e-4, jnp.float32)
    change = lambda x: jax.jvp(lambda g: xb.wires.effective_conductance(g, 1.0, 2.0), (x,), (x,))[1]
    text = jax.jit(lambda x: (change(x), change(2 * x))).lower(cells).as_text()
    assert "stablehlo" in text and "lapack" not in text
