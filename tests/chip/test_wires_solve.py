"""All voltages and currents of arrays with resistive wires: against SciPy, and Kirchhoff's laws."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip import circuit
from xbarax import _kernels


@pytest.fixture(scope="module", autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


SHAPES = [(1, 1), (1, 9), (9, 1), (7, 7), (6, 40), (40, 6), (17, 30), (64, 50)]
RESISTANCES = [(0.0, 0.0), (0.0, 2.0), (3.0, 0.0), (1e-3, 1e-3), (1.0, 2.5), (100.0, 60.0)]


def sources(seed, *shape):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


@pytest.mark.parametrize("word_line, bit_line", RESISTANCES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_a_nodal_solution(shape, word_line, bit_line):
    conductance, voltage = circuit.cells(sum(shape), *shape), sources(1, 3, shape[0])
    expected = circuit.solve(conductance, voltage.T, word_line, bit_line)
    solution = xb.wires.solve(conductance, voltage, word_line, bit_line)
    largest = np.max(np.abs(voltage))
    for actual, nodes in zip(solution[:2], expected, strict=True):
        np.testing.assert_allclose(actual, np.moveaxis(nodes, -1, 0), rtol=0, atol=1e-9 * largest)
    cells = np.moveaxis(conductance[..., None] * (expected.word - expected.bit), -1, 0)
    np.testing.assert_allclose(
        solution.cell_current, cells, rtol=0, atol=1e-9 * np.max(np.abs(cells))
    )


@pytest.mark.parametrize("shape", [(1, 9), (6, 40), (40, 6), (17, 30)], ids=str)
def test_jax_and_native_agree(shape):
    conductance, voltage = circuit.cells(sum(shape), *shape), sources(1, 3, shape[0])
    for word_line, bit_line in ((0.0, 2.0), (100.0, 60.0)):
        solutions = []
        for implementation in ("jax", "native"):
            with _kernels.using(implementation):
                solutions.append(xb.wires.solve(conductance, voltage, word_line, bit_line))
        for one, other in zip(*solutions, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * float(np.max(one)))
        assert np.any(solutions[0].cell_current != solutions[1].cell_current)


def test_the_kernel_refuses_operands_that_do_not_match():
    conductance, resistance = jnp.ones((2, 3, 4)), jnp.ones(2)
    with pytest.raises(Exception, match=r"do not match: float64\[2,3,4\] float64\[2,5,4\]"):
        _kernels.cell_currents(conductance, jnp.ones((2, 5, 4)), resistance, resistance)


@pytest.mark.parametrize("word_line, bit_line", [r for r in RESISTANCES if min(r) > 0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kirchhoffs_current_law_holds_at_every_node(shape, word_line, bit_line):
    """From the voltages alone: what flows off each node against what flows over it."""
    conductance, voltage = circuit.cells(sum(shape), *shape), sources(2, shape[0])
    solution = xb.wires.solve(conductance, voltage, word_line, bit_line)
    word, bit = np.asarray(solution.word_voltage), np.asarray(solution.bit_voltage)

    def flows(near, node, far, conductance_of_segment):
        return conductance_of_segment * (node - near), conductance_of_segment * (node - far)

    left = np.concatenate([voltage[:, None], word[:, :-1]], axis=1)
    right = np.concatenate([word[:, 1:], word[:, -1:]], axis=1)  # nothing flows at the end
    above = np.concatenate([bit[:1], bit[:-1]])
    below = np.concatenate([bit[1:], np.zeros((1, shape[1]))])
    for node, other, (near, far), resistance in (
        (word, bit, (left, right), word_line),
        (bit, word, (above, below), bit_line),
    ):
        residual = sum(flows(near, node, far, 1 / resistance)) + conductance * (node - other)
        over = (np.abs(near) + np.abs(far) + 2 * np.abs(node)) / resistance
        over += conductance * (np.abs(node) + np.abs(other))
        assert np.all(np.abs(residual) <= 1e-10 * over)


@pytest.mark.parametrize("word_line, bit_line", RESISTANCES)
def test_currents_follow_the_wires(word_line, bit_line):
    """The branches' currents add up at each node, and are those that Ohm's law gives."""
    conductance, voltage = circuit.cells(3, 19, 14), sources(3, 19)
    s = jax.tree.map(np.asarray, xb.wires.solve(conductance, voltage, word_line, bit_line))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-15)
    beyond = np.concatenate([s.word_current[:, 1:], np.zeros((19, 1))], axis=1)
    close(s.word_current, beyond + s.cell_current)
    above = np.concatenate([np.zeros((1, 14)), s.bit_current[:-1]])
    close(s.bit_current, above + s.cell_current)
    near = np.concatenate([voltage[:, None], s.word_voltage[:, :-1]], axis=1)
    below = np.concatenate([s.bit_voltage[1:], np.zeros((1, 14))])
    np.testing.assert_allclose(near - s.word_voltage, word_line * s.word_current, atol=1e-15)
    np.testing.assert_allclose(s.bit_voltage - below, bit_line * s.bit_current, atol=1e-15)
    np.testing.assert_array_equal(s.output_current, s.bit_current[-1])


@pytest.mark.parametrize("shape", [(5, 5), (13, 30), (30, 13)], ids=str)
def test_outputs_are_those_of_the_effective_conductance(shape):
    conductance, voltage = circuit.cells(4, *shape), sources(4, 5, shape[0])
    effective = xb.wires.effective_conductance(conductance, 20.0, 30.0)
    outputs = xb.wires.solve(conductance, voltage, 20.0, 30.0).output_current
    np.testing.assert_allclose(outputs, voltage @ effective, rtol=1e-10, atol=1e-15)


def test_inputs_and_arrays_broadcast():
    conductance, voltage = circuit.cells(5, 6, 9, 2), sources(5, 4, 1, 6)
    word_line = np.array([1.0, 20.0])
    together = xb.wires.solve(conductance, voltage, word_line, 3.0)
    assert together.word_voltage.shape == (4, 2, 6, 9)
    assert together.output_current.shape == (4, 2, 9)
    for i in range(4):
        for k in range(2):
            one = xb.wires.solve(conductance[k], voltage[i, 0], word_line[k], 3.0)
            for actual, expected in zip(together, one, strict=True):
                np.testing.assert_allclose(actual[i, k], expected, rtol=1e-11, atol=1e-16)


def test_float32_stays_float32():
    conductance, voltage = np.float32(circuit.cells(6, 20, 20)), np.float32(sources(6, 20))
    single = xb.wires.solve(conductance, voltage, 10.0, 10.0)
    double = xb.wires.solve(np.float64(conductance), np.float64(voltage), 10.0, 10.0)
    for actual, expected in zip(single, double, strict=True):
        assert actual.dtype == jnp.float32
        np.testing.assert_allclose(
            actual, expected, rtol=0, atol=1e-5 * float(np.max(np.abs(expected)))
        )


@pytest.mark.parametrize("shape", [(4, 6), (12, 9)], ids=str)
def test_derivatives_are_difference_quotients(shape):
    random = np.random.default_rng(7)
    point = (circuit.cells(7, *shape) + 1e-5, sources(7, shape[0]), np.array(20.0), np.array(5.0))
    steps = (1e-5 * random.normal(size=shape), random.normal(size=shape[0]), 1.0, 1.0)
    weights = random.normal(size=shape)

    @jax.jit
    def loss(*at):
        solution = xb.wires.solve(*at)
        return jnp.sum(weights * (solution.word_voltage**2 + 1e3 * solution.bit_current))

    gradient = jax.grad(loss, (0, 1, 2, 3))(*point)
    for which, step in enumerate(steps):
        moved = lambda t, k=which, d=step: loss(*point[:k], point[k] + t * d, *point[k + 1 :])
        expected = (8 * (moved(0.01) - moved(-0.01)) - (moved(0.02) - moved(-0.02))) / 0.12
        np.testing.assert_allclose(jnp.sum(gradient[which] * step), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_arrays_have_no_currents(shape):
    solution = xb.wires.solve(np.zeros(shape), np.zeros((2, shape[0])), 1.0, 1.0)
    assert solution.cell_current.shape == (2, *shape)
    np.testing.assert_array_equal(solution.output_current, np.zeros((2, shape[1])))


GOOD = np.full((2, 3), 1e-4)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((-GOOD, np.ones(2), 1.0, 1.0), ValueError, "solve: conductance: .* given 6 others"),
        ((GOOD, np.ones(3), 1.0, 1.0), ValueError, r"\(…, 2\), one for each .* given shape \(3,\)"),
        ((GOOD, np.float32(1), 1.0, 1.0), TypeError, "voltage: expected float64, .* given float32"),
        ((GOOD, np.array([1.0, np.nan]), 1.0, 1.0), ValueError, "voltage: expected finite numbers"),
        ((GOOD, np.ones(2), -1.0, 1.0), ValueError, "word_line: .* given -1.0"),
        ((GOOD, np.ones(2), 1.0, np.array([np.inf])), ValueError, "bit_line: .* given 1 others"),
        ((GOOD, np.ones((4, 2)), np.ones(3), 1.0), ValueError, r"arrays \(3,\), voltage \(4,\)"),
    ],
)
def test_bad_input_is_refused(as_users_call, arguments, error, message):
    with pytest.raises(error, match=message):
        xb.wires.solve(*arguments)


def test_tiny_voltages_keep_their_digits():
    # Word lines that lose a half of their voltage at each cell, with an open one at the end.
    cells = np.full((2, 40), 5e-3)
    cells[1, -1] = 0
    with jax.enable_x64(True):
        found = xb.wires.solve(jnp.asarray(cells), jnp.array([1.0, 0.3]), 100.0, 0.0)
        voltage = np.asarray(found.word_voltage)
    # Between grounds, a line of conductances g and segments 1/r is a recursion from its end.
    for row, source in enumerate((1.0, 0.3)):
        ratios, seen = [], 0.0
        for g in cells[row, ::-1]:
            seen += g
            ratios.append(1 / (1 + 100.0 * seen))
            seen *= ratios[-1]
        expected = source * np.cumprod(ratios[::-1])
        assert expected[-1] < 1e-11
        np.testing.assert_allclose(voltage[row], expected, rtol=1e-12)
