"""The effective conductance of arrays with resistive wires: against SciPy, closed forms, laws."""

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


@pytest.fixture
def as_implemented(implementation):
    """Outside of derivatives: those are always computed in JAX."""
    with _kernels.using(implementation):
        yield


SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (7, 7), (8, 8), (5, 40), (40, 5), (15, 29), (64, 64)]
RESISTANCES = [(0.0, 0.0), (0.0, 2.0), (3.0, 0.0), (1e-3, 1e-3), (1.0, 2.5), (100.0, 60.0)]


def assert_agrees(actual, expected, tolerance):
    """Each bit line's column, relative to its norm."""
    norms = np.linalg.norm(expected, axis=0)
    assert np.all(np.linalg.norm(actual - expected, axis=0) <= tolerance * norms)


# ---- What is computed ---------------------------------------------------------------------------


@pytest.mark.parametrize("word_line, bit_line", RESISTANCES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_a_nodal_solution(as_implemented, shape, word_line, bit_line):
    conductance = circuit.cells(sum(shape), *shape)
    expected = circuit.effective(conductance, word_line, bit_line)
    actual = effective_conductance(conductance, word_line, bit_line)
    assert actual.dtype == jnp.float64
    assert_agrees(actual, expected, 1e-9)
    single = effective_conductance(jnp.float32(conductance), word_line, bit_line)
    assert single.dtype == jnp.float32
    assert_agrees(single, expected, 1e-5)


def test_agrees_with_a_nodal_solution_of_a_large_array(as_implemented):
    conductance = circuit.cells(0, 128, 128)
    for word_line, bit_line in RESISTANCES[2:4] + RESISTANCES[5:]:
        expected = circuit.effective(conductance, word_line, bit_line)
        assert_agrees(effective_conductance(conductance, word_line, bit_line), expected, 1e-9)


def test_numbers_of_every_size_agree(as_implemented):
    """Arrays are padded to whole blocks in many ways."""
    for n_words, n_bits in [(n, n + n % 4) for n in range(8, 36, 3)]:
        conductance = circuit.cells(n_words, n_words, n_bits)
        expected = circuit.effective(conductance, 5.0, 10.0)
        assert_agrees(effective_conductance(conductance, 5.0, 10.0), expected, 1e-9)


@pytest.mark.parametrize("word_line, bit_line", [(1e4, 1e4), (1e-9, 1e4)])
def test_wires_can_resist_more_than_cells(as_implemented, word_line, bit_line):
    conductance = 1e3 * circuit.cells(3, 20, 30)  # up to 1 S
    expected = circuit.effective(conductance, word_line, bit_line)
    assert_agrees(effective_conductance(conductance, word_line, bit_line), expected, 1e-9)
    single = effective_conductance(jnp.float32(conductance), word_line, bit_line)
    assert_agrees(single, expected, 1e-4)


def test_a_single_cell_is_in_series_with_its_wires():
    actual = effective_conductance(np.array([[1e-3]]), 30.0, 70.0)
    np.testing.assert_allclose(actual, 1e-3 / (1 + 1e-3 * 100), rtol=1e-15)


def test_a_bit_line_alone_is_a_ladder():
    """One word line: its voltage falls from cell to cell, a continued fraction from the end on."""
    conductance, word_line, bit_line = circuit.cells(5, 1, 12), 200.0, 300.0
    branch = conductance[0] / (1 + conductance[0] * bit_line)
    seen = np.zeros(13)  # the conductance to the right of each node, and below it
    for j in range(11, -1, -1):
        beyond = branch[j] + seen[j + 1]
        seen[j] = beyond / (1 + beyond * word_line)
    voltage, expected = 1.0, []
    for j in range(12):
        voltage = voltage - word_line * seen[j] * voltage
        expected.append(branch[j] * voltage)
    actual = effective_conductance(conductance, word_line, bit_line)
    np.testing.assert_allclose(actual[0], expected, rtol=1e-12)


def test_wires_without_resistance_change_nothing(as_implemented):
    conductance = circuit.cells(1, 33, 21)
    np.testing.assert_allclose(effective_conductance(conductance, 0, 0), conductance, rtol=1e-14)


def test_nothing_flows_through_open_cells(as_implemented):
    np.testing.assert_array_equal(effective_conductance(np.zeros((20, 9)), 1.0, 1.0), 0)


def test_sources_and_grounds_can_change_places():
    """Reciprocity: driven from the grounds, the array read at the sources is the transpose."""
    conductance = circuit.cells(2, 18, 25)
    turned = conductance.T[::-1, ::-1]  # word line 0 is the last bit line; it begins at the bottom
    actual = effective_conductance(turned, 7.0, 4.0)[::-1, ::-1].T
    np.testing.assert_allclose(actual, effective_conductance(conductance, 4.0, 7.0), rtol=1e-11)


# ---- How it is computed -------------------------------------------------------------------------


def test_batches_are_loops(as_implemented):
    conductance = circuit.cells(4, 12, 17, 3, 2)
    word_line = np.array([0.0, 10.0])
    together = effective_conductance(conductance, word_line, 5.0)
    one_by_one = [
        [effective_conductance(g, r, 5.0) for g, r in zip(gs, word_line, strict=True)]
        for gs in conductance
    ]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12)
    mapped = jax.vmap(effective_conductance, (0, None, None))(conductance, word_line, 5.0)
    np.testing.assert_allclose(mapped, together, rtol=1e-12)


def test_resistances_alone_can_be_a_batch():
    conductance, word_line = circuit.cells(6, 4, 9), np.array([1.0, 50.0, 0.0])
    together = effective_conductance(conductance, word_line, word_line[:, None])
    assert together.shape == (3, 3, 4, 9)
    np.testing.assert_allclose(
        together[0, 1], effective_conductance(conductance, 50.0, 1.0), rtol=1e-12
    )


def test_jax_and_native_agree():
    conductance, word_line = circuit.cells(11, 37, 22, 3), np.array([0.0, 1.0, 50.0])
    results = []
    for implementation in ("jax", "native"):
        with _kernels.using(implementation):
            results.append(effective_conductance(conductance, word_line, 4.0))
    np.testing.assert_allclose(*results, rtol=1e-10)
    assert np.any(results[0] != results[1])  # they are not the same program


def test_the_kernel_refuses_operands_that_do_not_match():
    conductance, resistance = jnp.ones((2, 3, 4)), jnp.ones(3)
    with pytest.raises(Exception, match=r"do not match: float64\[2,3,4\] float64\[3\]"):
        _kernels.effective_conductance(conductance, resistance, resistance)


def test_eager_is_jit():
    conductance = circuit.cells(7, 9, 9)
    inside = jax.jit(effective_conductance)(conductance, 2.0, 3.0)
    np.testing.assert_allclose(inside, effective_conductance(conductance, 2.0, 3.0), rtol=1e-13)


def test_traced_numbers_take_the_type_of_the_cells():
    single = np.float32(circuit.cells(7, 3, 3))
    assert jax.jit(effective_conductance)(single, 2.0, 3.0).dtype == jnp.float32


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 3, 4)])
def test_empty_arrays_stay_empty(shape):
    assert effective_conductance(np.zeros(shape), 1.0, 1.0).shape == shape


@pytest.mark.parametrize("lines", [1, 7, 8, 56, 57, 100, 128, 129, 1000])
def test_blocks_cover_the_array_with_little_waste(lines):
    cut = _recursion.plan(lines, lines)
    assert lines <= cut.m * 2**cut.rows <= 1.25 * lines
    assert (cut.m, cut.rows) == (cut.n, cut.columns)


# ---- Derivatives --------------------------------------------------------------------------------


def difference_quotient(function, step):
    """The derivative at 0, to the fourth order in the step."""
    one = function(step) - function(-step)
    two = function(2 * step) - function(-2 * step)
    return (8 * one - two) / (12 * step)


def circuit_with_direction(shape):
    """Conductances and resistances, a direction for each, and a cotangent."""
    random = np.random.default_rng(8)
    point = (circuit.cells(8, *shape) + 1e-5, np.float64(20.0), np.float64(30.0))
    direction = (1e-4 * random.normal(size=shape), 10 * random.normal(), 10 * random.normal())
    return point, direction, 1e3 * random.normal(size=shape)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (4, 3), (13, 30), (30, 13)], ids=str)
@pytest.mark.parametrize("which", [0, 1, 2], ids=["conductance", "word_line", "bit_line"])
def test_derivatives_are_difference_quotients(shape, which):
    point, direction, cotangent = circuit_with_direction(shape)
    direction = tuple(d if k == which else 0 * d for k, d in enumerate(direction))
    loss = jax.jit(lambda *at: jnp.sum(cotangent * effective_conductance(*at)))
    along = lambda t: loss(*(p + t * d for p, d in zip(point, direction, strict=True)))
    expected = difference_quotient(along, 1e-2)
    forward = jax.jvp(loss, point, tuple(map(jnp.asarray, direction)))[1]
    gradient = jax.grad(loss, (0, 1, 2))(*point)
    backward = sum(jnp.sum(g * d) for g, d in zip(gradient, direction, strict=True))
    np.testing.assert_allclose(forward, expected, rtol=1e-5)
    np.testing.assert_allclose(backward, forward, rtol=1e-11)


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


def test_second_derivatives_are_difference_quotients():
    (conductance, *resistances), (step, *_), cotangent = circuit_with_direction((9, 10))
    loss = lambda g: jnp.sum(cotangent * effective_conductance(g, *resistances))
    slope = jax.jit(lambda g: jnp.sum(step * jax.grad(loss)(g)))
    expected = difference_quotient(lambda t: slope(conductance + t * step), 1e-3)
    curvature = jnp.sum(step * jax.grad(slope)(conductance))
    np.testing.assert_allclose(curvature, expected, rtol=1e-5)


def test_vmap_of_grad_is_grad_of_vmap():
    conductance = circuit.cells(10, 8, 11, 3)
    loss = lambda g: jnp.sum(jnp.sin(1e4 * effective_conductance(g, 10.0, 20.0)))
    each = jax.vmap(jax.grad(loss))(conductance)
    together = jax.grad(lambda gs: jnp.sum(jax.vmap(loss)(gs)))(conductance)
    one_by_one = [jax.grad(loss)(g) for g in conductance]
    np.testing.assert_allclose(each, one_by_one, rtol=1e-10)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-10)


# ---- Bad input ----------------------------------------------------------------------------------

GOOD = np.full((2, 3), 1e-4)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (([[1.0]], 1.0, 1.0), TypeError, "conductance: expected an array, given list"),
        ((np.ones((2, 2), int), 1.0, 1.0), TypeError, "expected float32 or float64, given int64"),
        ((np.ones(3), 1.0, 1.0), ValueError, r"\(…, word lines, bit lines\), given shape \(3,\)"),
        ((-GOOD, 1.0, 1.0), ValueError, "at least 0 siemens, given 6 others, the first -0.0001"),
        ((np.nan * GOOD, 1.0, 1.0), ValueError, "given 6 others, the first nan"),
        ((np.inf * GOOD, 1.0, 1.0), ValueError, "given 6 others, the first inf"),
        ((GOOD, -1.0, 1.0), ValueError, "word_line: .* at least 0 ohm, given -1.0"),
        ((GOOD, 1.0, float("nan")), ValueError, "bit_line: .* at least 0 ohm, given nan"),
        ((GOOD, 1.0, np.array([1.0, -2.0])), ValueError, "at least 0 ohm, given 1 others, .* -2.0"),
        ((GOOD, "1 ohm", 1.0), TypeError, "word_line: expected an array, given str"),
        ((GOOD, np.float32(1), 1.0), TypeError, "an array of float64, .* given float32"),
        (
            (np.ones((2, 3, 4)), np.ones(5), 1.0),
            ValueError,
            r"conductance \(2,\), word_line \(5,\)",
        ),
    ],
)
def test_bad_input_is_refused(as_users_call, arguments, error, message):
    with pytest.raises(error, match=message):
        effective_conductance(*arguments)
