"""Chips with resistive wires: their reads against tiles that SciPy solves node by node."""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip import circuit, tile_model
from tests.chip.tile_model import per_vector, through_wires
from tests.helpers import assert_close, assert_equal, normal
from xbarax.chip import _wired

WORD_LINE, BIT_LINE = 300.0, 700.0  # as much as in large tiles: a third of some currents is lost
WIRES = xb.wires.Resistive(WORD_LINE, BIT_LINE)
EXACT = xb.device.Ideal(g_min=2e-6, g_max=12e-6)
N_OUT, N_IN = 7, 10
W, DW = normal(0, N_OUT, N_IN), 0.3 * normal(1, N_OUT, N_IN)
XS, YS = np.tanh(normal(2, 4, N_IN)), np.tanh(normal(3, 4, N_OUT))
PAIR, REFERENCE = xb.mapping.DifferentialPair, xb.mapping.IdealReference
COLUMN, SLICES = xb.mapping.OffsetColumn, xb.mapping.BitSlices
UNITS = {PAIR: [1, -1], REFERENCE: [2], COLUMN: [2], SLICES: np.array([1, -1, 4, -4]) / 5}


def chip_of(mapping, wires=WIRES, device=EXACT, **stations):
    return xb.Chip(device=device, mapping=mapping, wires=wires, **stations)


def make(mapping, **stations):
    return xb.MemristiveCrossbarArray(W, chip_of(mapping, **stations), jax.random.key(0))


def model_of(w):
    """The array's read, from its devices' conductances and the chip, in double precision."""
    chip, state = w.chip, xb.array.get_state(w)
    scale = float(state["state/largest"]) * float(state.get("state/gain", 1.0))
    low, high = chip.device.conductance_range
    units = np.asarray(UNITS[type(chip.mapping)])
    model = tile_model.of(w, scale / (high - low) * units)
    through = lambda planes: through_wires(model, planes, WORD_LINE, BIT_LINE)
    planes = through(model.planes)
    if isinstance(chip.mapping, REFERENCE):
        reference = np.full_like(planes, chip.device.zero_conductance)
        planes -= through(reference)
    return model._replace(planes=planes, bits=chip.adc.bits or 24)


@jax.jit
def read_all_ways(w):
    """Forward, transposed, and backward: the last from the inputs' gradient."""
    forward, back = jax.vjp(lambda x: xb.read(w, x), XS)
    return forward, xb.read(w, YS, transpose=True), *back(jnp.asarray(YS))


def assert_reads_as(w, model, atol=2e-5, full_scale=per_vector):
    forward, transposed, backward = read_all_ways(w)
    expected, inside = model.forward(XS, full_scale)
    np.testing.assert_allclose(forward, expected, atol=atol)
    apart = np.repeat(YS[:, None], inside.shape[1], axis=1)
    np.testing.assert_allclose(transposed, model.back(apart, per_vector), atol=atol)
    scale = np.max(np.abs(apart), axis=-1, keepdims=True)
    backward_model = scale[:, 0] * model.back(apart / scale, per_vector)
    np.testing.assert_allclose(backward, backward_model, atol=atol)


# ---- What is read --------------------------------------------------------------------------------

STUCK_PCM = {
    "device": xb.device.PCM(read_noise=0.0),
    "faults": xb.Faults(stuck_low=0.1, stuck_high=0.1),
}
CASES = {
    "pair, tiles": (PAIR(), {"tile": (4, 3)}),
    "reference, tiles": (REFERENCE(), {"tile": (4, 3)}),
    "column, tiles": (COLUMN(), {"tile": (4, 4)}),
    "slices, tiles": (SLICES(bits=2, slices=2), {"tile": (16, 5)}),
    "PCM, faults": (REFERENCE(), STUCK_PCM | {"tile": (6, 7), "drift_compensation": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_reads_what_tiles_with_wires_show(case):
    mapping, stations = CASES[case]
    w = make(mapping, **stations)
    assert_reads_as(w, model_of(w))
    ideal = make(mapping, **stations, wires=xb.wires.Ideal())
    assert_equal(xb.readout(w), xb.readout(ideal))
    assert np.max(np.abs(xb.read(w, XS) - xb.read(ideal, XS))) > 0.02
    if case in ("column, tiles", "PCM, faults"):  # what has changed is solved again
        for changed in (w + DW, xb.age(w, 1e4)):
            assert_reads_as(changed, model_of(changed))


def test_the_implementations_agree():
    mapping, stations = CASES["column, tiles"]
    arrays = [make(mapping, **stations, implementation=name) for name in ("jax", "native")]
    one, other = (read_all_ways(w + DW) for w in arrays)
    assert_close(one, other)


def test_converters_see_the_currents_of_resistive_tiles():
    stations = {"tile": (4, 4), "dac": xb.DAC(bits=None), "adc": xb.ADC(bits=12)}
    w = make(COLUMN(), **stations)
    model = model_of(w)
    level = 2 * np.max(np.abs(model.coefficients)) * 12e-6 * 4 / 2**11
    assert_reads_as(w, model, atol=3 * level)


def test_calibration_takes_the_currents_of_resistive_tiles():
    w = make(PAIR(), tile=(4, 3), adc=xb.ADC(bits=8, range="calibrated"))
    model = model_of(w)
    tiles = [np.sum(np.abs(model.planes[:, rows][..., ins]), -1) for *_, rows, ins in model.tiles()]
    first = xb.array.get_state(w)["state/adc_range/forward"].reshape(2, -1)
    most = np.stack([np.max(tile, axis=1) for tile in tiles], axis=1)
    np.testing.assert_allclose(first, model.volts * most, rtol=1e-5)
    fitted = xb.array.get_state(xb.calibrate(w, XS))["state/adc_range/forward"].reshape(2, -1)
    currents = [np.max(np.abs(c), axis=(1, 2)) for c in model.currents(XS).values()]
    np.testing.assert_allclose(fitted, np.stack(currents, axis=1), rtol=1e-5)


def test_a_layer_smaller_than_a_tile_is_all_there_is():
    for mapping in (PAIR(), COLUMN()):
        large, own = (read_all_ways(make(mapping, tile=tile)) for tile in ((64, 32), None))
        assert_equal(large, own)


def test_the_first_output_is_next_to_the_sources_and_the_last_input_to_the_grounds():
    w = xb.MemristiveCrossbarArray(np.ones((3, 5), np.float32), chip_of(REFERENCE()))
    seen = xb.read(w, np.eye(5, dtype=np.float32)).T
    assert np.all(np.diff(seen, axis=0) < 0) and np.all(np.diff(seen, axis=1) > 0)


def test_ideal_backward_reads_take_the_weights_before_wires():
    w = make(PAIR(), backward="ideal")
    *_, backward = read_all_ways(w)
    assert_close(backward, jnp.asarray(YS @ xb.readout(w)))


def test_gradients_of_an_array_are_those_of_its_effective_weights():
    gradient = jax.grad(lambda w: jnp.sum(YS * xb.read(w, XS)))(make(COLUMN(), tile=(4, 4)))
    assert_close(gradient, jnp.asarray(YS.T @ XS))


def test_a_weight_of_zero_reads_as_zero_against_an_ideal_reference():
    w = xb.MemristiveCrossbarArray(0 * W, chip_of(REFERENCE(weight_range=1.0)))
    np.testing.assert_allclose(xb.read(w, XS), 0, atol=1e-6)


# ---- Without resistance --------------------------------------------------------------------------

_PULSES = xb.device.ConstantStep(step_up=0.05, lower_spread=2.0, read_noise=1e-7)
WITHOUT = {
    "noise of each": (
        COLUMN(),
        {"device": xb.device.PCM(), "faults": xb.Faults(stuck_low=0.1, stuck_high=0.1)},
    ),
    "one noise, below 0": (REFERENCE(headroom=1.5), {"device": _PULSES, "tile": (4, 3)}),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_wires_without_resistance_are_ideal(case):
    mapping, stations = WITHOUT[case]

    @jax.jit
    def life(w):
        w = xb.age(w + DW, 100.0) - 6 * np.abs(DW)
        key = jax.random.key(1)
        reads = xb.read(w, XS, key), xb.read(w, YS, key, transpose=True)
        return reads, xb.readout(w), xb.report(w), xb.conductances(w)

    kinds = xb.wires.Ideal(), xb.wires.Resistive(0.0, 0.0)
    ideal, resistive = (life(make(mapping, wires=wires, **stations)) for wires in kinds)
    assert_close(resistive, ideal)
    assert np.any(ideal[-1] < 0) == (case == "one noise, below 0")


def test_conductances_below_0_are_no_part_of_the_circuit():
    cells = jnp.asarray(1e-5 * normal(5, 4, 6))
    seen = WIRES.effective(cells)
    closed = circuit.effective(np.maximum(cells, 0).T.astype(float), WORD_LINE, BIT_LINE).T
    np.testing.assert_allclose(seen, closed + np.minimum(cells, 0), rtol=1e-4, atol=1e-11)
    at_zero = jax.grad(lambda g: WIRES.effective(g)[0, 0])(jnp.zeros((1, 1)))
    assert_equal(at_zero, jnp.ones((1, 1)))  # an open cell belongs to the circuit


# ---- Programs ------------------------------------------------------------------------------------


def test_the_wires_are_solved_once_an_update_and_never_in_a_read():
    """Two planes in one call, whatever else a chip does when it is changed."""
    solve = "xbarax_effective_conductance_f32"
    chip = chip_of(PAIR(), device=xb.device.PCM(), tile=(4, 3), implementation="native")
    w = xb.MemristiveCrossbarArray(W, chip, jax.random.key(0))
    count = lambda f, *given: jax.jit(f).lower(*given).compile().as_text().count(f'="{solve}"')
    assert count(lambda w, dw: w + dw, w, DW) == 1
    assert count(lambda w: xb.age(w, 1.0), w) == 1
    assert count(lambda W, key: xb.MemristiveCrossbarArray(W, chip, key), W, jax.random.key(0)) == 1
    step = lambda w, x: w - jax.grad(lambda w: jnp.sum(xb.read(w, x, jax.random.key(1))))(w)
    assert count(step, w, XS) == 1
    assert count(lambda w: xb.read(w, XS, jax.random.key(1)), w) == 0


# ---- Read noise ----------------------------------------------------------------------------------


def exact_deviations(cells, sigma, voltage, wires):
    """Standard deviations of the outputs' currents by all cells' noise, to first order."""
    n_words, n_bits = cells.shape
    word, bit = wires.word_line, wires.bit_line
    nodes = circuit.solve(cells, np.eye(n_words), word, bit)
    across = (nodes.word - nodes.bit) @ voltage
    # What a cell's current gives to each ground: by reciprocity, from voltages at the grounds.
    turned = circuit.solve(cells[::-1, ::-1].T, np.eye(n_bits), bit, word)
    gives = (turned.word - turned.bit)[::-1, ::-1, ::-1].transpose(1, 0, 2)
    return np.sqrt(np.einsum("ij,ij,ijk->k", sigma**2, across**2, gives**2))


@pytest.mark.parametrize(
    ("ohm", "most", "plain_reaches"),
    [(1.0, 1.01, 1.0), (5.0, 1.03, 1.08), (20.0, 1.1, 1.34), (50.0, 1.21, 1.9)],
)
def test_noise_through_wires_is_nearly_that_of_all_devices(ohm, most, plain_reaches):
    """Never less than physics has it, and not much more; with plain σ it would be."""
    n = 32
    wires = xb.wires.Resistive(ohm, ohm)
    chip = xb.Chip(device=xb.device.PCM(g_max=25e-6), mapping=REFERENCE(), wires=wires)
    w = xb.MemristiveCrossbarArray(normal(6, n, n), chip, jax.random.key(0))
    cells = np.asarray(xb.conductances(w)[0], np.float64).T
    voltage = np.random.default_rng(7).uniform(0, 1, n)
    sigma = np.asarray(chip.device.read_deviation(w._state["cells"])[0], np.float64).T
    exact = exact_deviations(cells, sigma, voltage, wires)
    largest = float(w._state["largest"])
    x = np.tile(np.float32(voltage), (4000, 1))
    drawn = np.std(xb.read(w, x, jax.random.key(1)), axis=0) / largest
    held = np.sqrt(voltage**2 @ np.asarray(w._state["seen"]["variance"], np.float64))
    np.testing.assert_allclose(drawn / held, 1, atol=4.5 / np.sqrt(2 * 4000))
    held *= 12.5e-6  # of weights, in units of the largest: siemens
    assert np.all(held >= 0.9999 * exact) and np.all(held <= most * exact)
    plain = np.sqrt(voltage**2 @ sigma**2)
    assert np.max(plain / exact) > plain_reaches


def test_noise_through_wires_is_nearly_that_of_explicit_draws():
    """Noise on each device, a circuit solved for each draw, against the chip's reads."""
    n = 4000
    chip = chip_of(PAIR(), device=xb.device.ConstantStep(read_noise=4e-7))
    w = xb.MemristiveCrossbarArray(W, chip, jax.random.key(0))
    cells = np.asarray(xb.conductances(w)).swapaxes(1, 2)
    noise = 4e-7 * normal(8, n, *cells.shape)
    seen = xb.wires.effective_conductance(cells + noise, WORD_LINE, BIT_LINE)
    weights = float(w._state["largest"]) / 20e-6 * (seen[:, 0] - seen[:, 1])
    explicit = np.std(np.einsum("i,nio->no", XS[0], weights), axis=0)
    drawn = np.std(xb.read(w, np.tile(XS[0], (n, 1)), jax.random.key(1)), axis=0)
    uncertain = 4.5 * np.sqrt(2 / (2 * n))
    assert np.all(drawn > (1 - uncertain) * explicit)
    assert np.all(drawn < (1.1 + uncertain) * explicit)


def test_noise_arrives_by_the_share_of_a_cell_that_is_seen_and_that_of_an_open_cell_whole():
    cells, seen = jnp.array([2.0, -3.0, 4.0, 0.0, 0.0]), jnp.array([1.0, -3.0, 8.0, 0.1, 0.0])
    assert_equal(
        _wired.variance(jnp.float32(0.5), cells, seen), 0.5 * jnp.array([0.25, 1, 1, 1, 1])
    )


# ---- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["word_line", "bit_line"])
@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (-1.0, ValueError, "-1.0"),
        (float("nan"), ValueError, "nan"),
        (float("inf"), ValueError, "inf"),
        (1e30, ValueError, "1e+30"),
        (True, TypeError, "True: a bool, not a float or an int"),
        ("1", TypeError, "'1': a str, not a float or an int"),
        (None, TypeError, "None: a NoneType, not a float or an int"),
    ],
)
def test_refuses_what_is_no_resistance(field, given, kind, message, as_users_call):
    expected = re.escape(f"Resistive({field}=…): expected a number of at least 0 ohm")
    with pytest.raises(kind, match=f"^{expected}.*given {re.escape(message)}$"):
        xb.wires.Resistive(**{"word_line": 1.0, "bit_line": 1.0, field: given})


def test_refuses_devices_that_are_no_linear_conductances():
    with pytest.raises(ValueError, match=r"from 0 on, given Ideal\(.*Ideal\(g_min=…, g_max=…\)"):
        xb.Chip(wires=WIRES)
    with pytest.raises(ValueError, match=r"given RRAMMilo\(.*xbarax.wires.ResistivePerRead$"):
        xb.Chip(device=xb.device.RRAMMilo(), wires=WIRES)


def test_is_static():
    twin = xb.wires.Resistive(WORD_LINE, BIT_LINE)
    assert twin == WIRES and hash(twin) == hash(WIRES)
    assert twin != xb.wires.Resistive(BIT_LINE, WORD_LINE)


# ---- States --------------------------------------------------------------------------------------


def test_a_state_keeps_to_its_wires():
    array = make(PAIR())
    state = xb.array.get_state(array)
    again = xb.array.set_state(make(PAIR()), state)
    assert_equal(xb.read(again, XS), xb.read(array, XS))
    elsewhere = make(PAIR(), wires=xb.wires.Resistive(3000.0, 7000.0))
    with pytest.raises(ValueError, match=r"other wires than Resistive\(word_line=3000.0"):
        xb.array.set_state(elsewhere, state)


def test_states_of_batches_keep_to_their_wires():
    program = lambda w: xb.MemristiveCrossbarArray(w, chip_of(PAIR()), jax.random.key(0))
    arrays = jax.vmap(program)(jnp.stack([W, -W]))
    again = xb.array.set_state(arrays, xb.array.get_state(arrays))
    read = jax.vmap(lambda w: xb.read(w, XS))
    assert_equal(read(again), read(arrays))
