"""Programming against the wires: what is seen is what was wanted, as far as that can be."""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip import circuit
from tests.helpers import assert_close, assert_equal, normal

OHM = 20.0
TARGET = np.random.default_rng(0).uniform(1e-6, 25e-6, (2, 24, 16)).astype(np.float32)
WIDE = (0.0, 1e-4)
W = normal(1, 9, 13)
EXACT = xb.device.Ideal(g_min=1e-6, g_max=25e-6)
WIRES = xb.wires.Resistive(300.0, 200.0)
TILE = (8, 6)
MAPPINGS = {
    "pair": xb.mapping.DifferentialPair(),
    "pair, range": xb.mapping.DifferentialPair(weight_range=5.0),
    "reference": xb.mapping.IdealReference(),
    "column": xb.mapping.OffsetColumn(),
}


def test_circuits_show_what_was_wanted():
    found = xb.wires.compensate(TARGET, OHM, jnp.float32([OHM, 2 * OHM]), WIDE, tolerance=1e-5)
    assert np.all(found.reached) and np.all(found.iterations > 3)
    for cells, wanted, ohm in zip(found.programmed, TARGET, (OHM, 2 * OHM), strict=True):
        seen = circuit.effective(np.asarray(cells, np.float64), OHM, ohm)
        assert np.max(np.abs(seen - wanted)) < 1.1e-5 * np.max(TARGET)
    assert np.max(np.abs(found.programmed / TARGET)) > 1.2
    one = xb.wires.compensate(TARGET[1], OHM, 2 * OHM, WIDE, tolerance=1e-5)
    assert_close(one.programmed / 1e-6, found.programmed[1] / 1e-6)


def test_what_is_out_of_reach_is_said():
    most = 26e-6
    found = xb.wires.compensate(TARGET[0], 2 * OHM, 2 * OHM, (2e-6, most))
    cells, reached = np.asarray(found.programmed), np.asarray(found.reached)
    off = np.abs(found.effective - TARGET[0]) > 1e-4 * np.max(TARGET[0])
    assert_equal(found.reached, jnp.asarray(~off))
    at_end = (cells == np.float32(most)) | (cells == np.float32(2e-6))
    assert 0.02 < np.mean(~reached) < 0.5 and np.all(at_end[~reached])
    assert np.all((cells >= np.float32(2e-6)) & (cells <= np.float32(most)))


def test_wires_that_carry_no_more_are_said_too():
    found = xb.wires.compensate(TARGET[0], 2e3, 2e3, (0.0, 1.0), max_iterations=7)
    assert found.iterations <= 7 and not np.any(np.isnan(found.programmed))
    assert np.mean(found.reached) < 0.2
    plain = xb.wires.effective_conductance(TARGET[0], 2e3, 2e3)
    wrong = lambda seen: np.sum(np.abs(seen - TARGET[0]))
    assert wrong(found.effective) <= wrong(plain)


def test_nothing_is_done_where_nothing_need_be():
    for target, ohm in ((TARGET[0], 0.0), (0 * TARGET[0], OHM)):
        found = xb.wires.compensate(target, ohm, ohm, WIDE)
        assert_equal(found.programmed, jnp.asarray(target))
        assert np.all(found.reached) and found.iterations == 1


@pytest.mark.parametrize("name", MAPPINGS)
def test_an_array_reads_the_weights_that_were_wanted(name):
    chip = xb.Chip(device=EXACT, mapping=MAPPINGS[name], tile=TILE, wires=WIRES)
    found = jax.jit(lambda W: xb.wires.compensated(W, chip))(W)
    assert np.all(found.reached)
    error = lambda programmed: np.max(
        np.abs(xb.read(xb.MemristiveCrossbarArray(programmed, chip), np.eye(13, dtype="f")).T - W)
    )
    assert error(found.programmed) < 1.5e-4 * np.max(np.abs(W)) < 0.1 * error(W)


def test_weights_at_the_end_of_the_range_are_said():
    most = float(np.max(np.abs(W)))
    mapping = xb.mapping.DifferentialPair(weight_range=most)
    chip = xb.Chip(device=EXACT, mapping=mapping, wires=WIRES)
    found = xb.wires.compensated(W, chip)
    beyond = np.abs(found.programmed) >= most
    assert np.any(beyond) and not np.any(found.reached & beyond) and np.mean(found.reached) > 0.8


def test_digits_are_as_near_as_they_get():
    mapping = xb.mapping.BitSlices(bits=3, slices=2)
    chip = xb.Chip(device=EXACT, mapping=mapping, tile=TILE, wires=WIRES)
    found = xb.wires.compensated(W, chip)
    w = xb.MemristiveCrossbarArray(W, chip)
    before = xb.read(w, np.eye(13, dtype=np.float32)).T
    assert np.sum(np.abs(found.effective - W)) < 0.5 * np.sum(np.abs(before - W))


@pytest.mark.parametrize(
    ("named", "kind", "message"),
    [
        ({"conductance_range": (1e-5, 1e-6)}, ValueError, "expected (least, most) in siemens"),
        ({"conductance_range": (-1e-5, 1e-6)}, ValueError, "given (-1e-05, 1e-06)"),
        ({"conductance_range": (0.0, float("inf"))}, ValueError, "given (0.0, inf)"),
        ({"conductance_range": 1e-6}, ValueError, "given 1e-06"),
        ({"tolerance": 0.0}, ValueError, "compensate(tolerance=…): expected a number in (0, 1)"),
        ({"max_iterations": 0}, ValueError, "compensate(max_iterations=…): expected an integer"),
        ({"word_line": -1.0}, ValueError, "compensate: word_line: expected a finite resistance"),
        ({"target": -TARGET}, ValueError, "compensate: target: expected finite numbers"),
    ],
)
def test_refuses_what_cannot_be(named, kind, message, as_users_call):
    given = {"target": TARGET, "word_line": 1.0, "bit_line": 1.0, "conductance_range": WIDE}
    with pytest.raises(kind, match=re.escape(message)):
        xb.wires.compensate(**{**given, **named})


def test_refuses_what_is_no_chip_and_no_weights(as_users_call):
    chip = xb.Chip(device=EXACT, mapping=MAPPINGS["pair, range"], wires=WIRES)
    for bad, kind, message in [
        ((W, None), TypeError, "chip: expected an xbarax.Chip, given None"),
        ((W.astype(np.float64), chip), TypeError, "expected a float32 array, given float64"),
        ((W[0], chip), ValueError, "expected (out, in), given shape (13,)"),
        ((np.inf * W, chip), ValueError, "expected finite numbers"),
        ((9 * W, chip), ValueError, "weights: expected magnitudes within weight_range=5.0"),
    ]:
        with pytest.raises(kind, match=re.escape(message)):
            xb.wires.compensated(*bad)


def test_weights_of_zero_are_reached():
    wires = xb.wires.Resistive(300.0, 700.0)
    chip = xb.Chip(device=xb.device.Ideal(g_min=1e-6, g_max=2e-5), tile=(4, 3), wires=wires)
    assert xb.wires.compensated(jnp.zeros((7, 10), jnp.float32), chip).reached.all()
