"""Chips whose wires find the currents of each read: against SciPy, cached and ideal wires."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip import circuit
from tests.helpers import assert_close, assert_equal, normal
from xbarax.chip import _wired

PER_READ, CACHED = xb.wires.ResistivePerRead, xb.wires.Resistive
LINEAR = xb.device.Ideal(g_min=2e-6, g_max=12e-6)
CURVED = xb.device.RRAMMilo(program_noise=0.0)
PAIR, REFERENCE = xb.mapping.DifferentialPair(), xb.mapping.IdealReference()
COLUMN, SUBTRACTED = xb.mapping.OffsetColumn(), xb.mapping.DifferentialPair(subtract="analog")
N_OUT, N_IN = 5, 7
W = normal(0, N_OUT, N_IN)
XS, YS = np.tanh(normal(1, 3, N_IN)), np.tanh(normal(2, 3, N_OUT))
XS[0, [1, 2]] = XS[1, 5] = 0


def make(wires, device=LINEAR, mapping=PAIR, **stations):
    chip = xb.Chip(device=device, mapping=mapping, wires=wires, **stations)
    return xb.MemristiveCrossbarArray(W, chip, jax.random.key(0))


@jax.jit
def read_all_ways(w):
    """Forward, transposed, and backward: the last from the inputs' gradient."""
    forward, back = jax.vjp(lambda x: xb.read(w, x), XS)
    return forward, xb.read(w, YS, transpose=True), *back(jnp.asarray(YS))


@pytest.mark.parametrize(
    ("mapping", "tile"),
    [(COLUMN, (3, 4)), (REFERENCE, None), (SUBTRACTED, (3, 4))],
    ids=["column, tiles", "reference", "subtracted pair, tiles"],
)
def test_linear_cells_read_as_through_cached_wires(mapping, tile):
    one, other = (
        read_all_ways(make(wires, mapping=mapping, tile=tile))
        for wires in (PER_READ(300.0, 700.0), CACHED(300.0, 700.0))
    )
    for actual, expected in zip(one, other, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_without_resistance_nonlinear_cells_read_as_through_ideal_wires():
    stations = {"device": CURVED, "tile": (3, 4), "adc": xb.ADC(bits=12)}
    per_read, ideal = (make(w, **stations) for w in (PER_READ(0.0, 0.0), xb.wires.Ideal()))
    for actual, expected in zip(read_all_ways(per_read), read_all_ways(ideal), strict=True):
        level = np.max(np.abs(expected)) / 2**9
        np.testing.assert_allclose(actual, expected, atol=level)
    assert_equal(xb.readout(per_read), xb.readout(ideal))


def currents_of(cells, voltage, word_line, bit_line):
    """By SciPy, of cells (words, lines) with the curves of the device."""
    terms = [np.asarray(t, np.float64) for t in CURVED.current_terms(jnp.asarray(cells))]
    current = lambda u: sum(t * u**k for k, t in enumerate(terms, start=1))
    slope = lambda u: sum(k * t * u ** (k - 1) for k, t in enumerate(terms, start=1))
    nodes = circuit.solve_nonlinear(current, slope, cells.shape, voltage, word_line, bit_line)
    return np.sum(current(nodes.word - nodes.bit), axis=0)


def test_nonlinear_cells_are_solved_in_each_read():
    w = make(PER_READ(40.0, 60.0), CURVED)
    forward, transposed, _ = read_all_ways(w)
    planes = np.asarray(xb.conductances(w)).swapaxes(1, 2)
    volts, (low, high) = w.chip.dac.v_read, CURVED.conductance_range
    unit = float(w._state["largest"]) / (high - low) / volts
    for i in range(3):
        first, second = (currents_of(g, volts * XS[i], 40.0, 60.0) for g in planes)
        np.testing.assert_allclose(forward[i], unit * (first - second), atol=1e-4)
        # From the grounds' ends: the same array, turned.
        first, second = (
            currents_of(g[::-1, ::-1].T, volts * YS[i, ::-1], 60.0, 40.0)[::-1] for g in planes
        )
        np.testing.assert_allclose(transposed[i], unit * (first - second), atol=1e-4)
    straight = read_all_ways(make(xb.wires.Ideal(), CURVED))
    assert np.max(np.abs(forward - straight[0])) > 0.02


def test_selectors_cut_off_the_word_lines_without_input():
    w = make(PER_READ(300.0, 700.0, selectors=True))
    forward, transposed, _ = read_all_ways(w)
    closed, others, _ = read_all_ways(make(CACHED(300.0, 700.0)))
    planes = np.asarray(xb.conductances(w), np.float64).swapaxes(1, 2)
    unit = float(w._state["largest"]) / 10e-6
    for x, actual in zip(XS, forward, strict=True):
        first, second = (x @ circuit.effective(g * (x != 0)[:, None], 300.0, 700.0) for g in planes)
        np.testing.assert_allclose(actual, unit * (first - second), atol=1e-4)
    assert np.max(np.abs(forward - closed)[:2]) > 1e-2
    np.testing.assert_allclose(forward[2], closed[2], atol=1e-4)
    np.testing.assert_allclose(transposed, others, atol=1e-4)


def test_many_rows_are_read_a_few_at_a_time(monkeypatch):
    w = make(PER_READ(300.0, 700.0))
    read = lambda: jax.jit(lambda v: _wired.currents(w.chip, w._state, v, False))(XS[:, None])
    at_once = read()
    monkeypatch.setattr(_wired, "_CELLS_AT_ONCE", 2 * 2 * N_OUT * N_IN)
    np.testing.assert_allclose(read(), at_once, rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize("mapping", [REFERENCE, SUBTRACTED], ids=["reference", "subtracted pair"])
def test_ranges_of_converters_are_those_of_the_weights(mapping):
    converter = xb.ADC(bits=8, range="calibrated")
    per_read, ideal = (
        make(wires, mapping=mapping, adc=converter)
        for wires in (PER_READ(0.0, 0.0), xb.wires.Ideal())
    )
    for fitted in (lambda w: w, lambda w: xb.calibrate(w, XS)):
        ranges = (fitted(w)._state["adc_range"] for w in (per_read, ideal))
        assert_close(*ranges)


def test_derivatives_of_programming_are_those_of_linear_cells():
    one, other = (
        xb.wires.pull_back(make(wires), W) for wires in (PER_READ(30.0, 70.0), CACHED(30.0, 70.0))
    )
    assert_equal(one, other)


def test_no_kernel_reads_such_an_array():
    w = make(PER_READ(300.0, 700.0), implementation="native", dac=xb.DAC(bits=8))
    assert not w.chip.can_be_read_in_kernels(w._state)
    text = jax.jit(lambda x: xb.read(w, x)).lower(XS).as_text()
    assert "xbarax_analog" not in text and "while" in text


def test_currents_that_are_not_found_are_nan():
    terms = jnp.full((3, 2), 1e-3), jnp.full((3, 2), -1.0)
    volts = jnp.array([[0.5, 5.0], [1e-4, 1e-4]])
    found = functools.partial(PER_READ(500.0, 500.0).currents, transpose=False)
    currents = jax.jit(found)(terms, volts)
    assert np.all(np.isnan(currents[0])) and np.all(currents[1] > 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1.0, 1.0), ValueError, r"ResistivePerRead\(word_line=…\): .*at least 0 ohm.*given -1.0"),
        ((1.0, "1"), TypeError, r"ResistivePerRead\(bit_line=…\): .*given '1'"),
        ((1.0, 1.0, 1), TypeError, r"selectors=…\): expected True or False, given 1"),
    ],
)
def test_bad_input_is_refused(as_users_call, arguments, error, message):
    with pytest.raises(error, match=message):
        PER_READ(*arguments)


def test_devices_without_siemens_are_refused():
    with pytest.raises(ValueError, match=r"from 0 on, given Ideal\(.*Ideal\(g_min=…, g_max=…\)"):
        xb.Chip(wires=PER_READ(1.0, 1.0))
