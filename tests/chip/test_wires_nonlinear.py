"""Arrays of cells that are not linear: against SciPy, closed forms and Kirchhoff's laws."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from scipy.optimize import brentq

import xbarax as xb
from tests.chip import circuit
from xbarax.chip.wires import _conjugate


@pytest.fixture(scope="module", autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def sinh(np_, u, p):
    return p["g"] * np_.sinh(p["a"] * u) / p["a"]


def sinh_slope(u, p):
    return p["g"] * np.cosh(p["a"] * u)


def sinh_cells(u, p):
    return sinh(jnp, u, p)


def diode(np_, u, p):
    return 1e-3 * p["g"] * np_.expm1(u / 0.05)


def diode_slope(u, p):
    return 1e-3 * p["g"] * np.exp(u / 0.05) / 0.05


def diode_cells(u, p):
    return diode(jnp, u, p)


def cubic_cells(u, p):
    return p["g"] * (u + p["a"] * u**3)


def linear_cells(u, p):
    return p["g"] * u


LAWS = {
    "mild": (sinh_cells, functools.partial(sinh, np), sinh_slope, 2.0),
    "steep": (sinh_cells, functools.partial(sinh, np), sinh_slope, 40.0),
    "diode": (diode_cells, functools.partial(diode, np), diode_slope, 0.0),
    "cubic": (
        cubic_cells,
        cubic_cells,
        lambda u, p: p["g"] * (1 + 3 * p["a"] * u**2),
        3.0,
    ),
}
RESISTANCES = [(0.0, 0.0), (0.0, 2.0), (3.0, 0.0), (1e-3, 1e-3), (1.0, 2.5), (100.0, 60.0)]


def sources(seed, *shape):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


def assert_agrees(law, shape, word_line, bit_line):
    cells, current, slope, exponent = LAWS[law]
    parameters = {"g": circuit.cells(sum(shape), *shape), "a": np.float64(exponent)}
    voltage = sources(1, 2, shape[0])
    solution, convergence = xb.wires.solve_nonlinear(
        cells, parameters, voltage, word_line, bit_line
    )
    assert np.all(convergence.converged) and np.all(convergence.residual <= 1e-12)
    for i in range(2):
        nodes = circuit.solve_nonlinear(
            lambda u: current(u, parameters),
            lambda u: slope(u, parameters),
            shape,
            voltage[i],
            word_line,
            bit_line,
        )
        largest = np.max(np.abs(voltage[i]))
        np.testing.assert_allclose(solution.word_voltage[i], nodes.word, atol=1e-9 * largest)
        np.testing.assert_allclose(solution.bit_voltage[i], nodes.bit, atol=1e-9 * largest)
        flow = current(nodes.word - nodes.bit, parameters)
        error = np.abs(solution.cell_current[i] - flow)
        # As exact as the voltages are.
        scale = np.abs(flow) + largest * slope(nodes.word - nodes.bit, parameters)
        assert np.all(error <= 1e-9 * scale)


@pytest.mark.parametrize("word_line, bit_line", RESISTANCES)
@pytest.mark.parametrize("law", LAWS)
def test_agrees_with_a_nodal_solution(law, word_line, bit_line):
    assert_agrees(law, (13, 9), word_line, bit_line)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (10, 30)], ids=str)
def test_agrees_for_every_shape(shape):
    assert_agrees("mild", shape, 20.0, 50.0)
    assert_agrees("mild", shape, 0.0, 1e-3)


@pytest.mark.parametrize("law", LAWS)
def test_kirchhoffs_current_law_holds_at_every_node(law):
    """From the voltages alone: what flows off each node against Σ |g| |v| there."""
    cells, current, slope, exponent = LAWS[law]
    parameters = {"g": circuit.cells(3, 13, 9), "a": np.float64(exponent)}
    voltage = sources(2, 2, 13)
    solution, _ = xb.wires.solve_nonlinear(cells, parameters, voltage, 10.0, 4.0)
    word, bit = np.asarray(solution.word_voltage[0]), np.asarray(solution.bit_voltage[0])
    wires = circuit.network(13, 9, 10.0, 4.0)
    nodes = np.zeros(wires.count)
    nodes[:13], nodes[wires.word], nodes[wires.bit] = voltage[0], word, bit
    matrix = circuit.nodal_matrix(wires.count, wires.segments)
    excess, over = matrix @ nodes, abs(matrix) @ np.abs(nodes)
    flow = current(word - bit, parameters)
    around = slope(word - bit, parameters) * (np.abs(word) + np.abs(bit))
    np.add.at(excess, wires.word, flow)
    np.subtract.at(excess, wires.bit, flow)
    np.add.at(over, wires.word, around)
    np.add.at(over, wires.bit, around)
    assert np.all(np.abs(excess[14:]) <= 1e-10 * over[14:])


def test_linear_cells_have_the_linear_solution():
    conductance, voltage = circuit.cells(4, 7, 6), sources(4, 2, 7)
    solution, convergence = xb.wires.solve_nonlinear(
        linear_cells, {"g": conductance}, voltage, 30.0, 20.0
    )
    expected = xb.wires.solve(conductance, voltage, 30.0, 20.0)
    for actual, wanted in zip(solution, expected, strict=True):
        largest = float(np.max(np.abs(wanted)))
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-11 * largest)
    assert np.all(convergence.steps >= 1)


@pytest.mark.parametrize("exponent", [1e-3, 1.0, 30.0, 300.0])
def test_one_cell_is_a_cell_behind_two_segments(exponent):
    """u of V − u = (r_w + r_b) f(u), at up to e¹⁵⁰ times the current of a linear cell."""
    parameters = {"g": np.array([[1e-4]]), "a": np.float64(exponent)}
    solution, _ = xb.wires.solve_nonlinear(sinh_cells, parameters, np.array([0.5]), 300.0, 700.0)
    left = lambda u: 0.5 - u - 1000.0 * sinh(np, u, {"g": 1e-4, "a": exponent})
    across = brentq(left, 0.0, 0.5, xtol=1e-16, rtol=1e-15)
    assert solution.output_current.shape == (1,)
    np.testing.assert_allclose(solution.output_current, (0.5 - across) / 1000.0, rtol=1e-11)
    np.testing.assert_allclose(
        solution.word_voltage - solution.bit_voltage, across, rtol=0, atol=1e-11
    )


def test_open_selectors_are_as_no_cells():
    conductance, voltage = circuit.cells(5, 13, 9), sources(5, 2, 13)
    voltage[0, [0, 4, 5]] = voltage[1, [7, 12]] = 0
    solve = lambda g, **rows: xb.wires.solve_nonlinear(
        sinh_cells, {"g": g, "a": np.float64(2.0)}, voltage, 40.0, 30.0, **rows
    )[0]
    solution, closed = solve(conductance, selected=voltage != 0), solve(conductance)
    for i in range(2):
        deleted = solve(conductance * (voltage[i] != 0)[:, None])
        for actual, wanted in zip(solution, deleted, strict=True):
            np.testing.assert_allclose(actual[i], wanted[i], rtol=1e-10, atol=1e-15)
    np.testing.assert_array_equal(solution.cell_current[0, [0, 4, 5]], 0)
    assert np.max(np.abs(closed.cell_current[0, [0, 4, 5]])) > 1e-7  # sneak currents


def test_without_resistance_each_cell_has_its_input():
    conductance, voltage = circuit.cells(6, 13, 9), sources(6, 2, 13)
    parameters = {"g": conductance, "a": np.float64(5.0)}
    solution, convergence = xb.wires.solve_nonlinear(sinh_cells, parameters, voltage, 0.0, 0.0)
    expected = np.sum(sinh(np, voltage[..., None], parameters), axis=-2)
    np.testing.assert_allclose(solution.output_current, expected, rtol=1e-13, atol=1e-18)
    np.testing.assert_array_equal(solution.bit_voltage, np.zeros((2, 13, 9)))
    np.testing.assert_array_equal(convergence.steps, [1, 1])


def test_inputs_and_arrays_broadcast():
    conductance, voltage = circuit.cells(7, 6, 9, 2), sources(7, 3, 1, 6)
    word_line, exponent = np.array([1.0, 200.0]), np.array([[[1.0]], [[8.0]]])
    together, convergence = xb.wires.solve_nonlinear(
        sinh_cells, {"g": conductance, "a": exponent}, voltage, word_line, 30.0
    )
    assert together.word_voltage.shape == (3, 2, 6, 9)
    assert convergence.residual.shape == convergence.steps.shape == (3, 2)
    for i in range(3):
        for k in range(2):
            parameters = {"g": conductance[k], "a": exponent[k]}
            one, alone = xb.wires.solve_nonlinear(
                sinh_cells, parameters, voltage[i, 0], word_line[k], 30.0
            )
            assert abs(int(alone.steps) - int(convergence.steps[i, k])) <= 1
            for actual, expected in zip(together, one, strict=True):
                np.testing.assert_allclose(actual[i, k], expected, rtol=0, atol=1e-11)


def test_vmap_is_the_loop():
    conductance, voltage = circuit.cells(8, 13, 9), sources(8, 2, 13)
    solve = lambda v: xb.wires.solve_nonlinear(
        sinh_cells, {"g": conductance, "a": np.float64(3.0)}, v, 10.0, 30.0
    )
    mapped, convergence = jax.vmap(solve)(voltage)
    assert np.all(convergence.converged)
    expected, _ = solve(voltage)
    np.testing.assert_allclose(
        mapped.output_current, expected.output_current, rtol=1e-10, atol=1e-15
    )


@pytest.mark.parametrize("law", ["mild", "steep", "diode"])
def test_float32_is_as_exact_as_it_can_be(law):
    cells, _, _, exponent = LAWS[law]
    parameters = {"g": np.float32(circuit.cells(9, 13, 9)), "a": np.float32(exponent)}
    voltage = np.float32(sources(9, 2, 13))
    single, convergence = xb.wires.solve_nonlinear(cells, parameters, voltage, 100.0, 50.0)
    double, _ = xb.wires.solve_nonlinear(
        cells, jax.tree.map(np.float64, parameters), np.float64(voltage), 100.0, 50.0
    )
    assert np.all(convergence.residual <= 1e-5)
    for actual, expected in zip(single, double, strict=True):
        assert actual.dtype == jnp.float32
        largest = float(np.max(np.abs(expected)))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * largest)


# ---- Derivatives --------------------------------------------------------------------------------


def difference(fn, step):
    """dfn/dt at 0, of fourth order."""
    moved = lambda t: np.float64(fn(t * step))
    return (8 * (moved(1.0) - moved(-1.0)) - (moved(2.0) - moved(-2.0))) / (12 * step)


POINT = (
    {"g": circuit.cells(10, 5, 7), "a": np.array(4.0)},
    sources(10, 2, 5),
    np.array(200.0),
    np.array(50.0),
)


@jax.jit
def loss(parameters, voltage, word_line, bit_line):
    rows = np.array([True, True, False, True, True])
    solution, _ = xb.wires.solve_nonlinear(
        sinh_cells, parameters, voltage, word_line, bit_line, selected=rows, tolerance=1e-14
    )
    weights = np.random.default_rng(11).normal(size=(5, 7))
    return jnp.sum(weights * (solution.word_voltage**2 + 1e3 * solution.bit_current))


@pytest.fixture(scope="module")
def derivatives():
    """The gradient, and how it changes along a step."""
    return jax.jit(lambda point, step: jax.jvp(jax.grad(loss, (0, 1, 2, 3)), point, step))


def directions():
    """One for each argument."""
    random = np.random.default_rng(12)
    zero = jax.tree.map(np.zeros_like, POINT)
    yield ({"g": 1e-5 * random.normal(size=(5, 7)), "a": np.zeros(())}, *zero[1:])
    yield ({"g": np.zeros((5, 7)), "a": np.array(1.0)}, *zero[1:])
    yield (zero[0], random.normal(size=(2, 5)), *zero[2:])
    yield (*zero[:2], np.array(10.0), zero[3])
    yield (*zero[:3], np.array(10.0))


def dot(one, other):
    return sum(np.sum(a * b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True))


def moved(step, t):
    return jax.tree.map(lambda a, b: a + t * b, POINT, step)


def test_derivatives_are_difference_quotients(derivatives):
    for step in directions():
        expected = difference(lambda t, s=step: loss(*moved(s, t)), 1e-2)
        assert abs(expected) > 1e-9
        found, _ = derivatives(POINT, step)
        np.testing.assert_allclose(dot(found, step), expected, rtol=1e-5)


def test_second_derivatives_are_difference_quotients_of_first_ones(derivatives):
    for step in directions():
        along = lambda t, s=step: dot(derivatives(moved(s, t), s)[0], s)
        _, found = derivatives(POINT, step)
        np.testing.assert_allclose(dot(found, step), difference(along, 1e-2), rtol=1e-5)


def test_what_the_current_closes_over_is_differentiated():
    conductance, voltage = circuit.cells(13, 5, 7) + 1e-5, sources(13, 5)

    @jax.jit
    @jax.value_and_grad
    def outputs(exponent):
        def current(u, g):
            return g * jnp.sinh(exponent * u) / exponent

        solution, _ = xb.wires.solve_nonlinear(current, conductance, voltage, 100.0, 50.0)
        return 1e3 * jnp.sum(solution.output_current**2)

    expected = difference(lambda t: outputs(4.0 + t)[0], 1e-2)
    np.testing.assert_allclose(outputs(4.0)[1], expected, rtol=1e-5)


def test_where_linear_cells_have_no_stable_solution_derivatives_are_nan():
    cell = _conjugate.Circuit(jnp.array([[[-2.0]], [[2.0]]]), jnp.array(0.5), jnp.array(0.5))
    found = jax.jit(_conjugate.solve)(cell, jnp.ones((2, 1, 1)))
    np.testing.assert_allclose(np.ravel(found), [np.nan, 1 / 3], rtol=1e-12)


# ---- What is not found, and bad input -----------------------------------------------------------

ARRAY = {"g": np.full((2, 3), 1e-3), "a": np.array(30.0)}
INPUTS = np.array([[0.5, 0.2], [0.0, 0.0]])
HARD = dict(word_line=50.0, bit_line=50.0, max_steps=2)


def test_outside_of_tracing_no_solution_is_an_error():
    message = (
        r"no solution found for 1 of 2 inputs, the first at \(0,\): after 2 steps of at most 2, "
        r"its residual is \d\.\de[-+]\d+, expected at most 1\.0e-12; let it take more"
    )
    with pytest.raises(RuntimeError, match=message):
        xb.wires.solve_nonlinear(sinh_cells, ARRAY, INPUTS, **HARD)
    outputs = lambda v: xb.wires.solve_nonlinear(sinh_cells, ARRAY, v, **HARD)[0].output_current
    with pytest.raises(RuntimeError, match="no solution found for 1 of 2"):
        jax.jvp(outputs, (INPUTS,), (INPUTS,))


def test_under_tracing_the_result_says_so():
    solve = jax.jit(lambda v: xb.wires.solve_nonlinear(sinh_cells, ARRAY, v, **HARD)[1])
    convergence = solve(INPUTS)
    np.testing.assert_array_equal(convergence.converged, [False, True])
    np.testing.assert_array_equal(convergence.steps, [2, 0])
    assert convergence.residual[0] > 1e-3 and convergence.residual[1] == 0


def test_currents_that_are_not_finite_are_an_error():
    with pytest.raises(RuntimeError, match="residual is nan, .*derivative by voltage is not fin"):
        xb.wires.solve_nonlinear(sinh_cells, ARRAY, np.array([100.0, 0.0]), 1.0, 1.0)


def test_falling_currents_within_what_the_wires_allow():
    """Negative differential conductance, small against the wires': still one solution."""
    parameters, voltage = {"g": circuit.cells(14, 13, 9), "a": np.float64(-3.0)}, sources(14, 2, 13)
    solution, _ = xb.wires.solve_nonlinear(cubic_cells, parameters, voltage, 1.0, 1.0)
    across = solution.word_voltage - solution.bit_voltage
    slope = parameters["g"] * (1 - 9 * across**2)
    assert np.min(slope) < -1e-5
    np.testing.assert_allclose(
        solution.cell_current, cubic_cells(across, parameters), rtol=1e-9, atol=1e-16
    )


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_arrays_have_no_currents(shape):
    solution, convergence = xb.wires.solve_nonlinear(
        linear_cells, {"g": np.zeros(shape)}, np.zeros((2, shape[0])), 1.0, 1.0
    )
    assert solution.cell_current.shape == (2, *shape)
    np.testing.assert_array_equal(solution.output_current, np.zeros((2, shape[1])))
    np.testing.assert_array_equal(convergence.converged, [True, True])


GOOD = {"g": np.full((2, 3), 1e-4)}


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"current": 1.0}, TypeError, "current: expected a function .* given float"),
        (
            {"current": lambda u, p: jnp.sum(u)},
            ValueError,
            r"current: expected float64 \(2, 3\), .* given float64 \(\)",
        ),
        (
            {"current": lambda u, p: np.float32(1) * u.astype(np.float32)},
            ValueError,
            r"expected float64 \(2, 3\), .* given float32 \(2, 3\)",
        ),
        ({"current": lambda u, p: (u, u)}, ValueError, "current: .* given tuple"),
        ({"parameters": {"g": np.ones(3)}}, ValueError, r"broadcast to .* given \(3,\)"),
        (
            {"parameters": [np.ones((2, 3)), np.ones((2, 2))]},
            ValueError,
            r"parameters: shapes that do not broadcast: \(2, 3\), \(2, 2\)",
        ),
        ({"voltage": np.ones(3)}, ValueError, r"\(…, 2\), one for each .* given shape \(3,\)"),
        ({"voltage": np.ones(2, int)}, TypeError, "voltage: expected float32 or float64"),
        ({"voltage": np.array([1.0, np.inf])}, ValueError, "voltage: expected finite numbers"),
        ({"word_line": -1.0}, ValueError, "word_line: .* given -1.0"),
        ({"bit_line": np.float32(1)}, TypeError, "bit_line: .* float64.* given float32"),
        ({"selected": np.ones(2)}, TypeError, "selected: expected an array of bool, given float64"),
        ({"selected": [True, False]}, TypeError, "selected: .* given list"),
        ({"selected": np.ones(3, bool)}, ValueError, r"selected: expected \(…, 2\), .* \(3,\)"),
        (
            {"voltage": np.ones((4, 2)), "selected": np.ones((3, 2), bool)},
            ValueError,
            r"leading axes that do not broadcast: .* voltage \(4,\), selected \(3,\)",
        ),
        ({"tolerance": 0.0}, ValueError, "tolerance: expected a number between 0 and 1, given 0.0"),
        ({"max_steps": 0}, ValueError, "max_steps: expected an integer of at least 1, given 0"),
        ({"max_steps": True}, ValueError, "max_steps: .* given True"),
    ],
)
def test_bad_input_is_refused(as_users_call, changed, error, message):
    good = {
        "current": linear_cells,
        "parameters": GOOD,
        "voltage": np.ones(2),
        "word_line": 1.0,
        "bit_line": 1.0,
    }
    with pytest.raises(error, match="solve_nonlinear: .*" + message):
        xb.wires.solve_nonlinear(**(good | changed))
