"""Time, drift compensation, stuck devices, and what can be looked at in an array."""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.pulses import MODELS, SIEMENS, STEP_DOWN, STEP_UP
from tests.helpers import assert_close, assert_equal, normal

Z = 4.5  # a normal number lies farther than this many standard deviations off once in 150 000
N_OUT, N_IN = 4, 6
W, DW = normal(0, N_OUT, N_IN), normal(1, N_OUT, N_IN)
XS, YS = normal(2, 3, N_IN), normal(3, 3, N_OUT)
HOUR, DAY = 3600.0, 86_400.0
T_0 = 20.0  # PCM's first measured time

SILENT = xb.device.PCM(read_noise=0.0)
STILL = xb.device.PCM(read_noise=0.0, program_noise=0.0)
CONSTANT = MODELS["constant"].device()
FAULTY = xb.Faults(stuck_low=0.12, stuck_high=0.05)


def make(chip, weights=W, seed=0):
    chip = chip if isinstance(chip, xb.Chip) else xb.Chip(device=chip)
    return xb.MemristiveCrossbarArray(weights, chip, jax.random.key(seed))


def siemens(w):
    return np.asarray(xb.conductances(w), np.float64)


# ---- Time --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "device", [xb.device.PCM(), xb.device.SONOS(), xb.device.CMOHfOx()], ids=["PCM", "SONOS", "CMO"]
)
def test_ages_add_up(device):
    w = make(device)
    for a, b in [(0.0, HOUR), (HOUR, 0.0), (1.5, 10.0), (DAY, 3 * DAY), (HOUR, DAY)]:
        twice, once = xb.age(xb.age(w, a), b), xb.age(w, a + b)
        np.testing.assert_allclose(siemens(twice), siemens(once), rtol=1e-5)
        key = jax.random.key(5)
        assert_close(xb.read(twice, XS, key), xb.read(once, XS, key), rtol=1e-4, atol=1e-4)
    assert np.any(np.abs(siemens(xb.age(w, DAY)) - siemens(w)) > 1e-8)
    assert_equal(siemens(xb.age(w, 0.0)), siemens(w))


def test_pcm_drifts_by_a_power_of_time():
    w = make(STILL)
    fresh, hour, day = (siemens(xb.age(w, a)) for a in (0.0, HOUR, DAY))
    on = fresh > 1e-7
    exponents = [
        -np.log(later[on] / fresh[on]) / np.log((a + T_0) / T_0)
        for later, a in ((hour, HOUR), (day, DAY))
    ]
    np.testing.assert_allclose(*exponents, atol=1e-5)
    assert np.all(exponents[0] >= 0) and 0.02 < np.mean(exponents[0]) < 0.1
    assert len(np.unique(exponents[0])) == np.sum(on)


def test_vmap_over_seconds_makes_a_batch():
    w = make(SILENT)
    times = jnp.array([0.0, HOUR, DAY])
    batch = jax.vmap(lambda seconds: xb.age(w, seconds))(times)
    each = [xb.age(w, seconds) for seconds in times]
    assert batch.shape == (3, N_OUT, N_IN)
    assert_close(xb.readout(batch), jnp.stack([xb.readout(one) for one in each]))
    reads = jax.vmap(lambda aged: xb.read(aged, XS))(batch)
    assert_close(reads, jnp.stack([xb.read(one, XS) for one in each]))
    older = jax.vmap(lambda one: xb.age(one, HOUR))(batch)
    assert_close(xb.readout(older)[0], xb.readout(each[1]))
    gradient = jax.grad(lambda w: jnp.sum(jax.vmap(lambda s: xb.readout(xb.age(w, s)))(times)))(w)
    assert_equal(gradient, jnp.full((N_OUT, N_IN), 3.0))


@pytest.mark.parametrize("device", [xb.device.Ideal(), xb.device.RRAMMilo(), CONSTANT])
def test_devices_without_ageing_stay(device):
    w = make(device)
    assert_equal(siemens(xb.age(w, DAY)), siemens(w))


def test_whole_seconds_are_taken():
    w = make(SILENT)
    for seconds in (3600, np.int32(3600), np.float64(3600), jnp.int32(3600)):
        assert_equal(siemens(xb.age(w, seconds)), siemens(xb.age(w, HOUR)))


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (-1.0, "xb.age: expected seconds of at least 0, given -1.0"),
        (np.nan, "xb.age: expected seconds of at least 0, given nan"),
        (np.inf, "xb.age: expected seconds of at least 0, given inf"),
        (np.ones(2), "xb.age: expected seconds as one number, given float64 of shape (2,)"),
        (True, "xb.age: expected seconds as one number, given bool of shape ()"),
    ],
)
def test_bad_times_are_refused(seconds, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        xb.age(make(SILENT), seconds)


@pytest.mark.parametrize("seconds", [-1.0, np.nan, np.inf])
def test_traced_bad_times_pass_none_and_are_counted(seconds):
    w = xb.age(make(SILENT), HOUR)
    aged = jax.jit(xb.age)(w, seconds)
    assert_close(siemens(aged), siemens(w), atol=0)
    assert xb.report(w)["not_finite"] == 0 and xb.report(aged)["not_finite"] == 1


def test_an_update_restarts_the_clocks_of_what_it_touches():
    change = np.zeros((N_OUT, N_IN), np.float32)
    change[:, ::2] = -0.3 * W[:, ::2]  # keeps its sign, and the other cell of its pair
    w = xb.age(make(STILL), DAY)
    updated = w + change
    touched = np.stack([W > 0, W < 0]) & (change != 0)
    assert np.sum(touched) == 12
    g = siemens(updated)
    targets = 25e-6 * np.abs(0.7 * W) / np.max(np.abs(W))
    np.testing.assert_allclose(g[touched], np.stack([targets] * 2)[touched], rtol=1e-5)
    assert_equal(g[~touched], siemens(w)[~touched])
    # From now on the touched ones are younger than the others.
    hour, day = (siemens(xb.age(updated, a)) for a in (HOUR, DAY))
    np.testing.assert_allclose(hour[~touched], siemens(xb.age(w, HOUR))[~touched], rtol=1e-6)
    exponents = [
        np.log(later[touched] / g[touched]) / np.log((a + T_0) / T_0)
        for later, a in ((hour, HOUR), (day, DAY))
    ]
    np.testing.assert_allclose(*exponents, atol=1e-5)
    assert np.all(exponents[0] < 0)


# ---- Drift compensation ------------------------------------------------------------------------


def test_compensation_scales_by_how_much_the_sum_has_shrunk():
    plain = make(SILENT)
    w = make(xb.Chip(device=SILENT, drift_compensation=True))
    assert_equal(siemens(w), siemens(plain))
    assert_close(xb.readout(w), xb.readout(plain))
    for seconds in (HOUR, DAY):
        aged, bare = xb.age(w, seconds), xb.age(plain, seconds)
        gain = np.sum(siemens(plain)) / np.sum(siemens(bare))
        assert gain > 1.2
        np.testing.assert_allclose(xb.readout(aged), gain * xb.readout(bare), rtol=1e-5, atol=1e-6)
        expected = gain * np.asarray(xb.read(bare, XS))
        np.testing.assert_allclose(xb.read(aged, XS), expected, rtol=1e-4, atol=1e-5)
        expected = gain * np.asarray(xb.read(bare, YS, transpose=True))
        back = xb.read(aged, YS, transpose=True)
        np.testing.assert_allclose(back, expected, rtol=1e-4, atol=1e-5)
        assert_close(xb.readout(xb.age(xb.age(w, 7.0), seconds - 7)), xb.readout(aged))


def test_compensation_ends_where_everything_is_programmed_anew():
    w = xb.age(make(xb.Chip(device=STILL, drift_compensation=True)), DAY)
    # Every device that conducts is touched; those that rest are at 0 S, which does not drift.
    expected = xb.readout(make(STILL) + 0.1 * DW)
    np.testing.assert_allclose(xb.readout(w + 0.1 * DW), expected, rtol=1e-4, atol=1e-5)


def test_compensation_counts_each_device_as_it_was_programmed():
    w = xb.age(make(xb.Chip(device=STILL, drift_compensation=True)), DAY)
    old, gain = siemens(w), np.sum(siemens(make(STILL))) / np.sum(siemens(w))
    w = w + 0.1 * DW * (np.arange(N_OUT) == 0)[:, None]
    held = siemens(w)
    gain = np.sum(np.where(held == old, gain * held, held)) / np.sum(held)
    largest = np.max(np.abs(W)) / 25e-6
    expected = gain * largest * (held[0] - held[1])
    np.testing.assert_allclose(xb.readout(w), expected, rtol=1e-4, atol=1e-5)
    later = xb.age(w, DAY)
    aged = siemens(later)
    gain *= np.sum(held) / np.sum(aged)
    expected = gain * largest * (aged[0] - aged[1])
    np.testing.assert_allclose(xb.readout(later), expected, rtol=1e-4, atol=1e-5)


def test_there_is_nothing_to_compensate_where_nothing_conducts():
    chip = xb.Chip(device=STILL, drift_compensation=True)
    w = xb.age(make(chip, np.zeros((2, 3), np.float32)), DAY)
    assert_equal(xb.readout(w), jnp.zeros((2, 3)))
    assert_equal(xb.read(w, XS[:, :3]), jnp.zeros((3, 2)))


# ---- Stuck devices -----------------------------------------------------------------------------


def test_rates_are_shares_of_the_devices():
    w = make(xb.Chip(device=SILENT, faults=FAULTY), normal(4, 200, 200))
    stuck, g = np.asarray(xb.fault_map(w)), siemens(w)
    assert stuck.dtype == np.int8 and stuck.shape == (2, 200, 200)
    for kind, rate, value in ((1, 0.12, 0.0), (2, 0.05, 25e-6)):
        error = np.sqrt(rate * (1 - rate) / stuck.size)
        assert abs(np.mean(stuck == kind) - rate) < Z * error
        np.testing.assert_allclose(g[stuck == kind], value, rtol=1e-6)
    # Neighbours are stuck independently of each other, and planes too.
    share = np.mean(stuck != 0)
    for one, other in ((stuck[:, 1:], stuck[:, :-1]), (stuck[:1], stuck[1:])):
        both = np.mean((one != 0) & (other != 0))
        assert abs(both - share**2) < Z * np.sqrt(2 * share**2 / one.size)
    other = xb.fault_map(make(xb.Chip(device=SILENT, faults=FAULTY), normal(4, 200, 200), seed=1))
    assert np.mean((stuck != 0) & (np.asarray(other) != 0)) < 2 * share**2


@pytest.mark.parametrize("device", [xb.device.PCM(), CONSTANT], ids=["statistical", "pulses"])
def test_stuck_devices_never_move(device):
    mapping = xb.mapping.DifferentialPair(headroom=2.0)
    w = make(xb.Chip(device=device, mapping=mapping, faults=FAULTY), normal(4, 20, 20))
    stuck, first = np.asarray(xb.fault_map(w)), siemens(w)
    assert np.sum(stuck == 1) > 40 and np.sum(stuck == 2) > 15
    change = 0.3 * normal(5, 20, 20)
    for later in (w + change, (w + change) - 2 * change, xb.age(w, DAY)):
        assert_equal(xb.fault_map(later), jnp.asarray(stuck))
        assert_equal(siemens(later)[stuck != 0], first[stuck != 0])
    assert np.mean(siemens(w + change)[stuck == 0] != first[stuck == 0]) > 0.3


def test_a_given_map_replaces_the_drawn_one():
    device = xb.device.Ideal(g_min=2e-6, g_max=10e-6)
    w = make(xb.Chip(device=device, faults=FAULTY))
    low, high = np.zeros((2, N_OUT, N_IN), bool), np.zeros((2, N_OUT, N_IN), bool)
    low[0, 1, 2] = high[1, 3, 0] = True
    faulty = xb.set_faults(w, low, high)
    assert_equal(xb.fault_map(faulty), jnp.asarray(low + 2 * high, jnp.int8))
    clean = siemens(make(xb.Chip(device=device)))
    expected = np.where(low, 2e-6, np.where(high, 10e-6, clean))
    np.testing.assert_allclose(siemens(faulty), expected, rtol=1e-6)
    weights = np.max(np.abs(W)) / 8e-6 * (expected[0] - expected[1])
    np.testing.assert_allclose(xb.readout(faulty), weights, atol=1e-5)
    np.testing.assert_allclose(xb.read(faulty, XS), XS @ weights.T, atol=1e-4)
    # The devices kept what was written to them.
    np.testing.assert_allclose(siemens(xb.set_faults(faulty, low & False, high[0] & False)), clean)
    rows = np.zeros((N_OUT, 1), bool)
    rows[2] = True
    assert_equal(
        xb.fault_map(xb.set_faults(w, rows, False & rows))[:, 2], jnp.ones((2, 6), np.int8)
    )


def test_a_given_map_keeps_what_was_compensated():
    w = xb.age(make(xb.Chip(device=STILL, drift_compensation=True, faults=xb.Faults())), DAY)
    high = np.zeros((2, N_OUT, N_IN), bool)
    high[0, 0] = True
    before = np.asarray(xb.readout(w))
    after = np.asarray(xb.readout(xb.set_faults(w, ~high & False, high)))
    assert_close(after[1:], before[1:])
    assert np.all(after[0] > before[0])


def test_write_verify_counts_stuck_devices_that_are_off():
    chip = xb.Chip(
        device=CONSTANT,
        mapping=xb.mapping.IdealReference(weight_range=1.0),
        faults=xb.Faults(stuck_low=0.2, stuck_high=0.1),
        programming=xb.WriteVerify(tolerance=0.02, max_pulses=100),
    )
    weights = np.random.default_rng(0).uniform(-1, 1, (30, 30)).astype(np.float32)
    weights[:5] = -1.0  # where being stuck low does no harm
    w = make(chip, weights)
    stuck = np.asarray(xb.fault_map(w))[0]
    state = 0.8 * weights.astype(np.float64)
    off = np.abs(np.select([stuck == 1, stuck == 2], [-0.8, 1.2], state) - state) > 0.02 * 2.0
    assert np.sum(stuck[:5] == 1) > 10
    assert xb.report(w)["not_converged"] == np.sum(off) > 100
    np.testing.assert_allclose(xb.readout(w)[stuck == 0], weights[stuck == 0], atol=0.04 / 0.8)


def test_chips_without_faults_have_an_empty_map():
    for w in (make(xb.Chip()), make(SILENT), make(xb.Chip(device=SILENT, faults=xb.Faults()))):
        assert_equal(xb.fault_map(w), jnp.zeros(siemens(w).shape, jnp.int8))


# ---- Looking at devices ------------------------------------------------------------------------


def test_conductances_of_an_ideal_chip_are_its_weights():
    assert_equal(xb.conductances(make(xb.Chip())), jnp.asarray(W)[None])


def test_batches_of_arrays_can_be_looked_at():
    chip = xb.Chip(device=CONSTANT, faults=FAULTY)
    keys = jax.random.split(jax.random.key(1), 3)
    batch = jax.vmap(lambda key: xb.MemristiveCrossbarArray(W, chip, key))(keys)
    for look in (xb.conductances, xb.fault_map, xb.pulse_step):
        each = [look(xb.MemristiveCrossbarArray(W, chip, key)) for key in keys]
        assert_close(look(batch), jnp.stack(each))
        assert_close(jax.vmap(look)(batch), jnp.stack(each))


@pytest.mark.parametrize(
    ("mapping", "largest", "width"),
    [
        (xb.mapping.IdealReference(weight_range=2.0), 2.0, 0.8 * SIEMENS),
        (xb.mapping.DifferentialPair(weight_range=3.0), 3.0, 2.0 * SIEMENS),
        (xb.mapping.OffsetColumn(headroom=1.5), 1.5 * np.max(np.abs(W)), 0.8 * SIEMENS),
    ],
)
def test_a_pulse_step_is_the_change_of_a_weight(mapping, largest, width):
    w = make(xb.Chip(device=CONSTANT, mapping=mapping), np.clip(W, -2, 2))
    largest = largest if mapping.headroom == 1 else 1.5 * np.max(np.abs(np.clip(W, -2, 2)))
    steps = np.asarray(xb.pulse_step(w))
    expected = largest * SIEMENS / width * np.array([STEP_UP, STEP_DOWN])
    np.testing.assert_allclose(steps, expected, rtol=1e-5)
    moved = xb.readout(w + np.full((N_OUT, N_IN), steps[0], np.float32)) - xb.readout(w)
    inside = np.abs(xb.readout(w)) < 0.7 * largest
    np.testing.assert_allclose(moved[inside], steps[0], atol=1e-5)


# ---- Bad input ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: xb.Faults(stuck_low=-0.1),
            ValueError,
            "Faults(stuck_low=…): expected a number in",
        ),
        (
            lambda: xb.device.Ideal(g_min=1e-6),
            ValueError,
            "Ideal(g_min=1e-06): expected g_max too, or neither of them",
        ),
        (
            lambda: xb.device.Ideal(g_max=2e-6),
            ValueError,
            "Ideal(g_max=2e-06): expected g_min too, or neither of them",
        ),
        (lambda: xb.device.Ideal(g_min=2e-6, g_max=1e-6), ValueError, "above g_min=2e-06 S"),
        (lambda: xb.Faults(stuck_high=1.1), ValueError, "number in [0, 1], given 1.1"),
        (lambda: xb.Faults(stuck_low=np.nan), ValueError, "number in [0, 1], given nan"),
        (
            lambda: xb.Faults(stuck_low="1"),
            TypeError,
            "number in [0, 1], given '1'",
        ),
        (lambda: xb.Faults(stuck_low=0.6, stuck_high=0.5), ValueError, "given 0.6 + 0.5"),
        (
            lambda: xb.Chip(faults=xb.Faults()),
            ValueError,
            "a stuck device is at an end of its range",
        ),
        (lambda: xb.Chip(faults=0.1), TypeError, "Chip(faults=…) expects xbarax.Faults(…) or None"),
        (
            lambda: xb.Chip(device=SILENT, programming=xb.WriteVerify()),
            ValueError,
            "the published error of PCM already is what write-verify left: use OpenLoop()",
        ),
        (lambda: xb.WriteVerify(tolerance=0.0), ValueError, "expected a number in (0, 1), given 0"),
        (lambda: xb.WriteVerify(max_pulses=0), ValueError, "expected a positive integer, given 0"),
        (
            lambda: xb.Chip(device=SILENT, drift_compensation=1),
            TypeError,
            "drift_compensation=1: expected True or False",
        ),
    ],
)
def test_bad_stations(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build()


@pytest.mark.usefixtures("as_users_call")
def test_bad_maps():
    w, none = make(xb.Chip(device=SILENT, faults=xb.Faults())), np.zeros((2, N_OUT, N_IN), bool)
    some = none.copy()
    some[0, 0, :3] = True
    wide = np.zeros((2, N_OUT, N_IN + 1), bool)
    for args, error, message in [
        ((w, 0 * W, none), TypeError, "xb.set_faults: stuck_low: expected bool, given float32"),
        ((w, none, wide), ValueError, "stuck_high: expected shape (2, 4, 6), given (2, 4, 7)"),
        ((w, some, some), ValueError, "3 devices are both in stuck_low and stuck_high"),
        ((make(SILENT), none, none), ValueError, "this chip has no faults; make it with faults="),
        ((W, none, none), TypeError, "xb.set_faults: expected a MemristiveCrossbarArray, given nd"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            xb.set_faults(*args)


@pytest.mark.usefixtures("as_users_call")
def test_what_has_no_devices_cannot_be_looked_at():
    for use, name in (
        (lambda w: xb.age(w, 1.0), "age"),
        (xb.conductances, "conductances"),
        (xb.fault_map, "fault_map"),
        (xb.pulse_step, "pulse_step"),
    ):
        with pytest.raises(
            TypeError, match=f"xb.{name}: expected a MemristiveCrossbarArray, given"
        ):
            use(W)
    with pytest.raises(ValueError, match="xb.pulse_step: PCM does not respond to pulses"):
        xb.pulse_step(make(SILENT))
