"""The effective conductance of arrays with resistive wires: against SciPy, closed forms, laws."""

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


@pytest.fixture
def as_implemented(implementation):
    with _kernels.using(implementation):
        yield


LARGEST = (33, 40)  # in JAX, which compiles for long
SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (7, 7), (8, 8), (5, 40), (40, 5), (15, 29), LARGEST]
RESISTANCES = [(0.0, 0.0), (0.0, 2.0), (3.0, 0.0), (1e-3, 1e-3), (1.0, 2.5), (100.0, 60.0)]


@functools.cache
def cells_and_solution(n_words, n_bits, word_line, bit_line):
    """Cells, and their effective conductance by SciPy."""
    conductance = circuit.cells(n_words + n_bits, n_words, n_bits)
    return conductance, circuit.effective(conductance, word_line, bit_line)


def assert_agrees(actual, expected, tolerance):
    """Each bit line's column, relative to its norm."""
    norms = np.linalg.norm(expected, axis=0)
    assert np.all(np.linalg.norm(actual - expected, axis=0) <= tolerance * norms)


# ---- What is computed ---------------------------------------------------------------------------


@pytest.mark.parametrize("word_line, bit_line", RESISTANCES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_a_nodal_solution(as_implemented, shape, word_line, bit_line):
    conductance, expected = cells_and_solution(*shape, word_line, bit_line)
    actual = effective_conductance(conductance, word_line, bit_line)
    assert actual.dtype == jnp.float64
    assert_agrees(actual, expected, 1e-9)
    single = effective_conductance(jnp.float32(conductance), word_line, bit_line)
    assert single.dtype == jnp.float32
    assert_agrees(single, expected, 1e-5)


@pytest.mark.parametrize("word_line, bit_line", RESISTANCES[2:4] + RESISTANCES[5:])
def test_agrees_with_a_nodal_solution_of_a_large_array(word_line, bit_line):
    """Random signs at all sources, eight times: mean squares are those of a column's errors."""
    conductance = circuit.cells(0, 128, 128)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (128, 8))
    expected = circuit.outputs(conductance, signs, word_line, bit_line)
    for dtype, tolerance in ((jnp.float64, 1e-9), (jnp.float32, 1e-5)):
        with _kernels.using("native"):
            seen = effective_conductance(jnp.asarray(conductance, dtype), word_line, bit_line)
        seen = np.float64(seen)
        errors = np.sqrt(np.mean(np.square(seen.T @ signs - expected), axis=1))
        assert np.all(errors <= tolerance * np.linalg.norm(seen, axis=0))


@pytest.mark.parametrize("n", range(8, 36, 3))
def test_arrays_of_every_size_agree_natively(n):
    """They are halved in many ways."""
    conductance, expected = cells_and_solution(n, n + n % 4, 5.0, 10.0)
    with _kernels.using("native"):
        assert_agrees(effective_conductance(conductance, 5.0, 10.0), expected, 1e-9)


@pytest.mark.parametrize("n", [11, 20])
def test_arrays_of_every_size_agree_in_jax(n):
    """They are padded to whole blocks in many ways."""
    conductance, expected = cells_and_solution(n, n + n % 4, 5.0, 10.0)
    with _kernels.using("jax"):
        assert_agrees(effective_conductance(conductance, 5.0, 10.0), expected, 1e-9)


@pytest.mark.parametrize("word_line, bit_line", [(1e4, 1e4), (1e-9, 1e4)])
def test_wires_can_resist_more_than_cells(as_implemented, word_line, bit_line):
    conductance = 1e3 * circuit.cells(3, *LARGEST)  # up to 1 S
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
    conductance = circuit.cells(1, *LARGEST)
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
    conductance = circuit.cells(11, *LARGEST)
    for word_line in (0.0, 1.0, 50.0):
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
        (
            (GOOD, "1 ohm", 1.0),
            TypeError,
            "word_line: expected a number or an array of float64, given ",
        ),
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
