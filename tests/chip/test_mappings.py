"""Mappings: weights to conductances and back, against closed forms, on an exact device.

What updates do and what saturates is here too; pairs of pulse devices are in test_pulsed_pairs.py.
"""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.pulses import MODELS, SIEMENS, STEP_DOWN, STEP_UP, ZERO
from tests.helpers import assert_close, assert_equal, normal

G_MIN, G_MAX = 2e-6, 12e-6
WIDTH, MIDDLE = 10e-6, 7e-6
EXACT = xb.device.Ideal(g_min=G_MIN, g_max=G_MAX)
N_OUT, N_IN = 5, 4
W = normal(0, N_OUT, N_IN)
U = W.astype(np.float64) / np.max(np.abs(W))
XS, YS = normal(1, 3, N_IN), normal(2, 3, N_OUT)
ADCS = {"exact": xb.ADC(), "24 bits": xb.ADC(bits=24)}  # all tiles at once, and each alone
PAIR, REFERENCE, COLUMN = (
    xb.mapping.DifferentialPair,
    xb.mapping.IdealReference,
    xb.mapping.OffsetColumn,
)


def make(mapping, weights=W, device=EXACT, **stations):
    chip = xb.Chip(device=device, mapping=mapping, **stations)
    return xb.MemristiveCrossbarArray(np.asarray(weights, np.float32), chip, jax.random.key(0))


def siemens(w):
    return np.asarray(xb.conductances(w), np.float64)


# The closed forms, from weights in units of the largest to conductances.


def pair(u):
    return np.stack([G_MIN + WIDTH * np.maximum(u, 0), G_MIN + WIDTH * np.maximum(-u, 0)])


def reference(u):
    return (MIDDLE + WIDTH / 2 * u)[None]


def column(u):
    return np.concatenate([reference(u), np.full((1, 1, u.shape[1]), MIDDLE)], axis=1)


def slices(u, bits=3, n=2):
    """Digits, the least significant first, by repeated division."""
    planes = []
    rest = np.rint((2 ** (bits * n) - 1) * np.stack([np.maximum(u, 0), np.maximum(-u, 0)]))
    for _ in range(n):
        rest, digit = np.divmod(rest, 2**bits)
        planes.extend(G_MIN + WIDTH * digit / (2**bits - 1))
    return np.stack(planes)


SLICES = {"bits": 3, "slices": 2}
KINDS = {
    "pair": (PAIR, {}, pair),
    "reference": (REFERENCE, {}, reference),
    "column": (COLUMN, {}, column),
    "slices": (xb.mapping.BitSlices, SLICES, slices),
}
EVERY = pytest.mark.parametrize("kind", KINDS)


def of(kind, **fields):
    cls, own, planes = KINDS[kind]
    return cls(**own, **fields), planes


def levels(u, kind):
    """What of `u` a mapping can hold."""
    return np.rint(63 * u) / 63 if kind == "slices" else u


class Subtracted(REFERENCE):
    """A single plane has nothing to be subtracted from."""

    subtracts_currents = True


# ---- Weights to conductances and back ----------------------------------------------------------


@EVERY
def test_conductances_are_the_closed_form(kind):
    mapping, planes = of(kind)
    np.testing.assert_allclose(siemens(make(mapping)), planes(U), rtol=2e-6)


@EVERY
@pytest.mark.parametrize("adc", ADCS)
def test_weights_are_recovered(kind, adc):
    w = make(of(kind)[0], tile=(3, 3), adc=ADCS[adc])
    held = levels(U, kind) * np.max(np.abs(W))
    np.testing.assert_allclose(xb.readout(w), held, atol=3e-6)
    np.testing.assert_allclose(xb.read(w, XS), XS @ held.T, atol=2e-5)
    np.testing.assert_allclose(xb.read(w, YS, transpose=True), YS @ held, atol=2e-5)


@pytest.mark.parametrize("kind", ["pair", "slices"])
def test_where_currents_are_subtracted_changes_nothing_but_what_is_converted(kind):
    cls, fields, planes = KINDS[kind]
    w = make(cls(**fields, subtract="analog"), tile=(3, 3), adc=xb.ADC(bits=24))
    np.testing.assert_allclose(siemens(w), planes(U), rtol=2e-6)
    held = levels(U, kind) * np.max(np.abs(W))
    np.testing.assert_allclose(xb.readout(w), held, atol=3e-6)
    np.testing.assert_allclose(xb.read(w, XS), XS @ held.T, atol=2e-5)
    np.testing.assert_allclose(xb.read(w, YS, transpose=True), YS @ held, atol=2e-5)
    # Of each slice one current for a pair of lines, up to the sum of its differences.
    ranged = make(cls(**fields, subtract="analog"), adc=xb.ADC(bits=8, range="calibrated"))
    differences = np.abs(np.diff(planes(U).reshape(-1, 2, N_OUT, N_IN), axis=1)[:, 0])
    largest = ranged.chip.dac.v_read * np.max(np.sum(differences, axis=2), axis=1)
    ranges = xb.array.get_state(ranged)["state/adc_range/forward"][:, 0, 0]
    np.testing.assert_allclose(ranges, largest, rtol=1e-5)


@EVERY
@pytest.mark.parametrize(
    ("fields", "largest"),
    [({"weight_range": 4.0}, 4.0), ({"headroom": 2.5}, 2.5 * np.max(np.abs(W)))],
    ids=["fixed", "headroom"],
)
def test_the_range_of_weights(kind, fields, largest):
    mapping, planes = of(kind, **fields)
    w = make(mapping)
    u = W / np.float64(largest)
    np.testing.assert_allclose(siemens(w), planes(u), rtol=2e-6)
    np.testing.assert_allclose(xb.readout(w), levels(u, kind) * largest, atol=1e-5)


@EVERY
def test_the_largest_weight_takes_the_whole_range_unless_told_otherwise(kind):
    held = siemens(make(of(kind)[0], weights=[[0.3, -0.7], [1e-3, 0.7]]))
    np.testing.assert_allclose([held.min(), held.max()], [G_MIN, G_MAX], rtol=1e-6)


@EVERY
def test_all_zero_weights_are_ordinary(kind):
    mapping, planes = of(kind)
    w = make(mapping, weights=np.zeros((N_OUT, N_IN)), adc=xb.ADC(bits=24))
    np.testing.assert_allclose(siemens(w), planes(np.zeros((N_OUT, N_IN))), rtol=1e-6)
    assert_equal(xb.readout(w), jnp.zeros((N_OUT, N_IN)))
    assert_equal(xb.read(w, XS), jnp.zeros((3, N_OUT)))
    # They have no scale of their own: 1 is the range.
    changed = w + np.full((N_OUT, N_IN), 0.4, np.float32)
    np.testing.assert_allclose(xb.readout(changed), levels(np.array(0.4), kind), atol=1e-6)


@pytest.mark.parametrize("bits, n", [(1, 5), (2, 3), (6, 1)])
def test_every_level_of_bit_slices_has_its_digits(bits, n):
    most = 2 ** (bits * n) - 1
    weights = np.arange(-most, most + 1)[:, None]
    w = make(xb.mapping.BitSlices(bits=bits, slices=n), weights)
    np.testing.assert_allclose(siemens(w), slices(weights / most, bits, n), rtol=1e-6)
    np.testing.assert_allclose(xb.readout(w), weights, atol=1e-5)
    between = make(
        xb.mapping.BitSlices(bits=bits, slices=n, weight_range=float(most)), weights * 0.99
    )
    np.testing.assert_allclose(xb.readout(between), np.rint(weights * 0.99), atol=1e-5)


def test_bit_slices_weigh_their_planes_by_powers():
    w = make(xb.mapping.BitSlices(bits=2, slices=3), weights=[[63.0, -63.0]], faults=xb.Faults())
    for plane in range(6):
        low = np.zeros((6, 1, 2), bool)
        low[plane] = True
        lost = np.asarray(xb.readout(xb.set_faults(w, low, np.zeros_like(low))))
        digit = 3 * 4 ** (plane // 2)
        expected = [[63 - digit, -63]] if plane % 2 == 0 else [[63, digit - 63]]
        np.testing.assert_allclose(lost, expected, atol=1e-5)


def test_signed_cells_have_the_smaller_side_of_their_zero():
    """From −0.8 to 1.2 around 0: a weight of the largest magnitude is 0.8, either way."""
    device = MODELS["constant"].device()
    w = make(REFERENCE(), weights=[[1.0, -1.0, 0.5, 0.0]], device=device)
    np.testing.assert_allclose(
        siemens(w), [[ZERO + SIEMENS * np.array([0.8, -0.8, 0.4, 0.0])]], atol=0.51 * 1.1e-6 * 0.2
    )
    np.testing.assert_allclose(xb.readout(w), [[1.0, -1.0, 0.5, 0.0]], atol=0.51 * STEP_UP / 0.8)


DEFAULTS = {
    "dimensionless": (xb.device.Ideal(), xb.mapping.Direct()),
    "exact": (EXACT, PAIR()),
    "statistical": (xb.device.PCM(), PAIR()),
    "pulses": (xb.device.SoftBounds(), REFERENCE(headroom=2.0)),
}


@pytest.mark.parametrize("what", DEFAULTS)
def test_each_family_of_devices_has_a_mapping_of_its_own(what):
    device, mapping = DEFAULTS[what]
    assert xb.Chip(device=device).mapping == mapping


# ---- The offset column in tiles ----------------------------------------------------------------


def test_each_tile_has_a_column_which_takes_one_of_its_outputs():
    for tile, columns in [(None, 1), ((2, 6), 1), ((2, 5), 2), ((2, 3), 3), ((9, 2), 5)]:
        held = siemens(make(COLUMN(), tile=tile))
        assert held.shape == (1, N_OUT + columns, N_IN)
        np.testing.assert_allclose(held[0, :N_OUT], reference(U)[0], rtol=2e-6)
        np.testing.assert_allclose(held[0, N_OUT:], MIDDLE, rtol=1e-6)


@pytest.mark.parametrize("adc", ADCS)
def test_a_column_is_the_reference_of_its_own_tile(adc):
    w = make(COLUMN(), tile=(2, 3), faults=xb.Faults(), adc=ADCS[adc])
    high = np.zeros((1, N_OUT + 3, N_IN), bool)
    high[0, N_OUT + 1, 2] = True  # the second row of tiles has outputs 2 and 3
    faulty = xb.set_faults(w, np.zeros_like(high), high)
    expected = W.copy()
    expected[2:4, 2] -= np.max(np.abs(W))  # from the middle to g_max is one span
    np.testing.assert_allclose(xb.readout(faulty), expected, atol=3e-6)
    np.testing.assert_allclose(xb.read(faulty, XS), XS @ expected.T, atol=2e-5)
    np.testing.assert_allclose(xb.read(faulty, YS, transpose=True), YS @ expected, atol=2e-5)


# ---- Updates -----------------------------------------------------------------------------------

CONSTANT = MODELS["constant"].device()
QUIET_PCM = xb.device.PCM(program_noise=0.0, drift=0.0, read_noise=0.0)
DW = normal(3, N_OUT, N_IN) * np.float32(0.4)
ON_BOTH = pytest.mark.parametrize(
    ("kind", "device"),
    [*((kind, EXACT) for kind in KINDS), ("pair", QUIET_PCM), ("slices", QUIET_PCM)],
    ids=[*KINDS, "pair, statistical", "slices, statistical"],
)


@ON_BOTH
def test_an_update_leads_to_the_conductances_of_the_new_weights(kind, device):
    mapping, _ = of(kind, weight_range=4.0)
    start = levels(W / 4.0, kind)
    new = levels(start + DW / 4.0, kind)
    w = make(mapping, device=device) + DW
    np.testing.assert_allclose(xb.readout(w), 4 * new, atol=1e-5)
    fresh = make(mapping, weights=4 * new, device=device)
    np.testing.assert_allclose(siemens(w), siemens(fresh), atol=1e-5 * G_MAX)
    assert xb.report(w)["saturated"] == 0


@ON_BOTH
def test_updates_saturate_at_the_range_and_are_counted(kind, device):
    w = make(of(kind, weight_range=1.0)[0], weights=[[0.5, -0.5, 1.0, 0.2]], device=device)
    w = w + np.array([[0.6, -0.2, 0.0, -1.3]], np.float32)
    held = levels(np.array([[0.5, -0.5, 1.0, 0.2]]), kind) + [[0.6, -0.2, 0.0, -1.3]]
    np.testing.assert_allclose(xb.readout(w), levels(np.clip(held, -1, 1), kind), atol=1e-6)
    assert xb.report(w)["saturated"] == 2
    w = w + np.array([[-0.5, 0.0, 0.1, 0.5]], np.float32)
    assert xb.report(w)["saturated"] == 3
    assert np.all(np.abs(xb.readout(w)) <= 1 + 1e-6)


def test_a_weight_at_the_end_of_the_range_is_not_beyond_it():
    """By rounding, neither when it is programmed nor when it is moved there."""
    for largest in np.random.default_rng(4).uniform(0.1, 4, 20).astype(np.float32):
        w = make(PAIR(), weights=[[largest, -largest, largest / 3]])
        w = w + np.array([[0, 0, largest - largest / 3]], np.float32)
        assert xb.report(w)["saturated"] == 0
        np.testing.assert_allclose(xb.readout(w), [[largest, -largest, largest]], rtol=1e-6)


def test_no_change_touches_nothing():
    w = make(PAIR(), device=xb.device.PCM())
    change = np.zeros((N_OUT, N_IN), np.float32)
    change[1, 2] = 0.1
    before, after = siemens(w), siemens(w + change)
    moved = np.argwhere(np.any(before != after, axis=0))
    assert_equal(moved, np.array([[1, 2]]))


def test_a_change_of_sign_swaps_the_cells_of_a_pair():
    w = make(PAIR(weight_range=1.0), weights=[[0.5, -0.5, 0.5, 0.0]], device=QUIET_PCM)
    w = w + np.array([[-0.75, 0.75, -0.25, -0.1]], np.float32)
    expected = [[[0.0, 0.25, 0.25, 0.0]], [[0.25, 0.0, 0.0, 0.1]]]
    np.testing.assert_allclose(siemens(w) / 25e-6, expected, atol=1e-6)


@pytest.mark.parametrize("device", [xb.device.PCM(), xb.device.CMOHfOx()], ids=["PCM", "CMO"])
def test_only_cells_whose_target_moves_are_programmed_again(device):
    """A pair whose sign stays has one of its cells reprogrammed."""
    w = make(PAIR(weight_range=1.0), weights=[[0.5, -0.5]], device=device)
    for _ in range(2):
        before = siemens(w)
        w = w + np.array([[0.1, -0.1]], np.float32)
        moved = siemens(w) != before
        assert_equal(moved[:, 0], np.array([[True, False], [False, True]]))


def test_pulse_devices_saturate_at_their_bounds_and_are_counted():
    w = make(REFERENCE(weight_range=1.0), weights=[[0.5, -0.5, 0.0]], device=CONSTANT)
    steps = np.array([[90 * STEP_UP, -90 * STEP_DOWN, 5 * STEP_UP]], np.float32) / 0.8
    w = w + steps
    held = np.array([[1.2, -0.8, 5 * STEP_UP]]) / 0.8
    np.testing.assert_allclose(xb.readout(w), held, atol=1e-5)
    assert xb.report(w)["saturated"] == 2


# ---- Bad input ---------------------------------------------------------------------------------


@EVERY
def test_weights_beyond_a_fixed_range_are_refused(kind):
    mapping, _ = of(kind, weight_range=1.5)
    message = "expected magnitudes within weight_range=1.5, given 2 beyond it, the first at (0, 1)"
    with pytest.raises(ValueError, match=re.escape(f"{message}: -1.75")):
        make(mapping, weights=[[1.5, -1.75], [2.0, 0.0]])


@EVERY
def test_traced_weights_beyond_a_fixed_range_saturate_and_are_counted(kind):
    mapping, _ = of(kind, weight_range=1.5)
    chip = xb.Chip(device=EXACT, mapping=mapping)
    program = jax.jit(lambda weights: xb.MemristiveCrossbarArray(weights, chip))
    w = program(jnp.array([[1.5, -1.75], [2.0, 0.0]]))
    assert_close(xb.readout(w), jnp.array([[1.5, -1.5], [1.5, 0.0]]))
    assert xb.report(w)["saturated"] == 2


def test_bit_slices_take_no_pulses():
    w = make(xb.mapping.BitSlices(bits=2, slices=2), [[0.5, -1.0]], device=CONSTANT)
    np.testing.assert_allclose(xb.readout(w), np.rint([[7.5001, -15]]) / 15, atol=0.05)
    with pytest.raises(TypeError, match="bit slices cannot be changed by pulses, .* no carry"):
        w + np.ones((1, 2), np.float32)


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize("device", [EXACT, xb.device.PCM(), CONSTANT], ids=["exact", "PCM", "p"])
def test_direct_takes_dimensionless_devices_alone(device):
    with pytest.raises(ValueError, match="Direct takes weights for conductances.*DifferentialPair"):
        xb.Chip(device=device, mapping=xb.mapping.Direct())


@EVERY
def test_others_need_a_range(kind):
    mapping, _ = of(kind)
    message = rf"{type(mapping).__name__} needs a device with a range.*Ideal\(g_min=…, g_max=…\)"
    with pytest.raises(ValueError, match=message):
        xb.Chip(mapping=mapping)


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"headroom": 0.9}, ValueError, "(headroom=…): expected a number at least 1, given 0.9"),
        ({"headroom": np.nan}, ValueError, "(headroom=…): expected a number at least 1, given nan"),
        (
            {"headroom": "2"},
            TypeError,
            "(headroom=…): expected a number at least 1, given '2'",
        ),
        ({"weight_range": 0.0}, ValueError, "(weight_range=…): expected a number above 0, or None"),
        ({"weight_range": -1}, ValueError, "above 0, or None, given -1"),
        (
            {"weight_range": 2.0, "headroom": 1.5},
            ValueError,
            ": headroom=1.5 is for a range taken from the data; with weight_range=2.0 it must be 1",
        ),
    ],
)
@EVERY
def test_bad_ranges(kind, fields, error, message):
    with pytest.raises(error, match=re.escape(message)) as raised:
        of(kind, **fields)
    assert str(raised.value).startswith(KINDS[kind][0].__name__)


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PAIR(refresh_at=0.5), "(refresh_at=…): expected a number in (0.5, 1], given 0.5"),
        (lambda: PAIR(refresh_at=1.1), "(refresh_at=…): expected a number in (0.5, 1], given 1.1"),
        (
            lambda: PAIR(subtract=np.array("analog")),
            "DifferentialPair(subtract=…): expected 'digital' or 'analog'",
        ),
        (
            lambda: xb.mapping.BitSlices(bits=2, slices=2, subtract="both"),
            "BitSlices(subtract=…): expected 'digital' or 'analog', given 'both'",
        ),
        (
            lambda: xb.Chip(device=EXACT, mapping=Subtracted()),
            "needs pairs of coefficients of opposite sign, given (",
        ),
        (lambda: xb.mapping.BitSlices(bits=0, slices=2), "BitSlices(bits=…): expected a positive"),
        (lambda: xb.mapping.BitSlices(bits=2, slices=1.0), "integer, given 1.0"),
        (lambda: xb.mapping.BitSlices(bits=True, slices=2), "integer, given True"),
        (lambda: xb.mapping.BitSlices(bits=6, slices=4), "of at most 23, the digits of a float32"),
        (
            lambda: xb.Chip(device=EXACT, mapping=COLUMN(), tile=(4, 1)),
            "tile=(4, 1): expected at least 2 outputs, one of which is the offset column",
        ),
    ],
)
def test_bad_mappings(build, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build()
