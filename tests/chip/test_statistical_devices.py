"""The statistical devices against their published formulas, by moments.

The formulas are written down again here, in float64 NumPy and in microsiemens. A moment passes
within `Z` standard errors of its closed form: a right device fails one check in 380 000. There are
about 700 of them, so the chance that one fails with a new seed is 0.2 %. The seeds are fixed.
"""

import dataclasses
import math
import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import assert_equal
from xbarax.chip.device import (
    PCM,
    SONOS,
    AbstractStatistical,
    CMOHfOx,
    PCMHermes,
    RRAMMilo,
    RRAMWan,
)

Z = 4.7
N = 40_000
KEY = jax.random.key(0)
HOUR, DAY = 3600.0, 86_400.0

DEVICES = {
    "PCM": PCM(),
    "HERMES": PCMHermes(),
    "Wan": RRAMWan(),
    "Milo": RRAMMilo(),
    "SONOS": SONOS(),
    "CMO, 0.2%": CMOHfOx(),
    "CMO, 2%": CMOHfOx(accept="2%"),
}
# In microsiemens, those of the range's ends among them.
CONDUCTANCES = {
    "PCM": [0.0, 0.5, 2.5, 10.0, 25.0],
    "HERMES": [0.0, 0.3, 2.0, 5.0, 10.35],
    "Wan": [0.0, 1.0, 6.0, 20.0, 40.0],
    "Milo": [50.0, 75.0, 110.0, 160.0, 225.0],
    "SONOS": [0.0, 0.3, 2.0, 9.0, 32.0],
    "CMO, 0.2%": [9.0, 20.0, 40.0, 60.0, 88.2],
    "CMO, 2%": [9.0, 20.0, 40.0, 60.0, 88.2],
}


@pytest.fixture(params=DEVICES)
def name(request):
    return request.param


@pytest.fixture
def device(name):
    return DEVICES[name]


def microsiemens(array):
    return np.asarray(array, np.float64) * 1e6


def program(device, targets, key=KEY, n=N):
    """Fresh cells, (conductances, n), for targets in microsiemens."""
    siemens = jnp.asarray(np.array(targets) * 1e-6, jnp.float32)
    tiled = jnp.tile(siemens[:, None], (1, n))
    return device.program(tiled, device.conductance_range[0], key)


def after(device, cells, seconds):
    """Conductances at an age, in microsiemens."""
    return microsiemens(device.conductance(device.age(cells, jnp.float32(seconds))))


def positive_moments(mean, deviation):
    """The first four moments of max(x, 0) for a normal variable x."""
    at_zero = deviation * math.exp(-((mean / deviation) ** 2) / 2) / math.sqrt(2 * math.pi)
    moments = [(1 + math.erf(mean / deviation / math.sqrt(2))) / 2]
    moments.append(mean * moments[0] + at_zero)
    for k in (2, 3, 4):
        moments.append(mean * moments[-1] + (k - 1) * deviation**2 * moments[-2])
    return np.array(moments[1:])


def folded_moments(mean, deviation):
    """The first four moments of |x| for a normal variable x."""
    return positive_moments(mean, deviation) + positive_moments(-mean, deviation)


def check(samples, moments):
    """Checks the mean and the variance of independent samples, given their first four moments."""
    mean, second, third, fourth = moments
    variance = second - mean**2
    about_mean = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    assert abs(np.mean(samples) - mean) < Z * math.sqrt(variance / samples.size)
    error = math.sqrt((about_mean - variance**2) / samples.size)
    assert abs(np.mean((samples - mean) ** 2) - variance) < Z * error


def check_uncorrelated(one, other):
    one, other = (x.ravel() - np.mean(x) for x in (one, other))
    correlation = np.mean(one * other) / (np.std(one) * np.std(other))
    assert abs(correlation) < Z / math.sqrt(one.size)


# ---- The formulas ------------------------------------------------------------------------------


def pcm_programming(target):
    g = target / 25
    return max(-1.1731 * g**2 + 1.9650 * g + 0.26348, 0)


def hermes_programming(target):
    g = target / 10.35
    return 0.1578 + 2.3244 * g - 2.1631 * g**2 + 0.6884 * g**3


def wan(target, seconds):
    powers = (target / 40) ** np.arange(5)
    spreads = [
        powers @ [0.348, 16.030, -43.853, 45.393, -16.815],
        powers @ [0.701, 22.086, -50.773, 47.095, -16.458],
        powers @ [0.782, 20.274, -43.507, 37.062, -11.934],
    ]
    return np.interp(math.log(seconds + 1), np.log([1, DAY, 2 * DAY]), spreads)


def milo(target):
    return 4.782321 - 0.009107 * target


def sonos(target, seconds):
    # A current of 100 nA belongs to a conductance of 1 µS at 0.1 V.
    current = 100 * target
    a = np.array([19.887, 25.591, 28.728, 31.043, 33.762, 34.579])
    b = np.array([176.31, 186.86, 193.57, 198.90, 204.77, 207.34])
    spreads = a * (1 - np.exp(-current / b))
    return np.interp(seconds / DAY, np.arange(6), spreads) / 100


def cmo(target, seconds, constant, slope):
    """Mean and standard deviation."""
    log_t = math.log(seconds + 1)
    relaxation = 0.04201 * log_t + 0.41183
    programming = constant + slope * target
    return target - 0.0890 * log_t, math.sqrt(programming**2 + relaxation**2)


# Mean and standard deviation of a cell, before what is below 0 is put to 0, of target and age;
# for phase-change memory at age 0 alone.
SETTLED = {
    "PCM": lambda target, _: (target, pcm_programming(target)),
    "HERMES": lambda target, _: (target, hermes_programming(target)),
    "Wan": lambda target, seconds: (target, wan(target, seconds)),
    "Milo": lambda target, _: (target, milo(target)),
    "SONOS": lambda target, seconds: (target, sonos(target, seconds)),
    "CMO, 0.2%": lambda target, seconds: cmo(target, seconds, 8.1e-4, 1.07e-3),
    "CMO, 2%": lambda target, seconds: cmo(target, seconds, 0.01122, 0.01129),
}


def check_settled(name, conductances, seconds):
    for target, samples in zip(CONDUCTANCES[name], conductances, strict=True):
        mean, deviation = SETTLED[name](target, seconds)
        if deviation == 0:
            assert np.all(samples == target)
        else:
            check(samples, positive_moments(mean, deviation))


# ---- Programming, drift, relaxation ------------------------------------------------------------


def test_programming_misses_its_target_by_the_published_error(name, device):
    cells = program(device, CONDUCTANCES[name])
    check_settled(name, microsiemens(device.conductance(cells)), 0)


@pytest.mark.parametrize("name", ["Wan", "SONOS", "CMO, 0.2%", "CMO, 2%", "Milo"])
def test_errors_change_with_time_as_published(name, device):
    cells = program(device, CONDUCTANCES[name])
    days = [0.4, 1, 1.5, 2, 3.25, 5, 30]
    for seconds in (1, HOUR, *(day * DAY for day in days)):
        check_settled(name, after(device, cells, seconds), seconds)


# First measured times, and mean and spread of the exponents, of g = G/G_max.
EXPONENTS = {
    "PCM": (
        20,
        lambda g: np.clip(-0.0155 * math.log(g) + 0.0244, 0.049, 0.1),
        lambda g: np.clip(-0.0125 * math.log(g) - 0.0059, 0.008, 0.045),
    ),
    "HERMES": (
        200,
        lambda g: (
            np.clip(-0.0387 * math.log(g) - 0.0182, 0.072, 0.13)
            if g < 0.0945
            else -0.0436 * g**2 - 0.0126 * g + 0.0736
        ),
        lambda g: (
            np.clip(-0.0120 * math.log(g) - 0.0023, 0.0124, 0.04)
            if g < 0.3039
            else -0.0165 * g**2 + 0.0116 * g + 0.0104
        ),
    ),
}


@pytest.mark.parametrize("name", EXPONENTS)
def test_drift_follows_a_power_law_with_an_exponent_per_cell(name, device):
    # Each branch and each bound of the exponents' mean and spread.
    shares = [0.002, 0.05, 0.15, 0.3, 0.9]
    g_max = microsiemens(device.conductance_range[1])
    exact = dataclasses.replace(device, program_noise=0.0)
    cells = program(exact, np.array(shares) * g_max)
    start, mean, spread = EXPONENTS[name]
    exponents = {}
    for seconds in (1, HOUR, DAY, 365 * DAY):
        ratio = after(exact, cells, seconds) / after(exact, cells, 0)
        exponents[seconds] = -np.log(ratio) / math.log((seconds + start) / start)
        for g, samples in zip(shares, exponents[seconds], strict=True):
            check(samples, folded_moments(mean(g), spread(g)))
    np.testing.assert_allclose(exponents[HOUR], exponents[DAY], atol=1e-6)


@pytest.mark.parametrize("name", EXPONENTS)
def test_a_phase_change_cell_is_its_formula(name, device):
    start, mean, spread = EXPONENTS[name]
    g_max = CONDUCTANCES[name][-1]
    for target in (0.004 * g_max, 0.08 * g_max, 0.15 * g_max, 0.3 * g_max, g_max):
        mu, sigma = mean(target / g_max), spread(target / g_max)
        for xi, eta, seconds in [(-1, 0, 0), (2, 1, 1), (0.5, -2, HOUR), (0, 3, DAY), (1, -9, DAY)]:
            programmed = max(target + SETTLED[name](target, 0)[1] * xi, 0)
            expected = programmed * ((seconds + start) / start) ** -abs(mu + sigma * eta)
            arguments = (jnp.full(1, x, jnp.float32) for x in (target * 1e-6, xi, eta, seconds))
            conductance = microsiemens(device.settle(*arguments))
            np.testing.assert_allclose(conductance, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["Wan", "SONOS", "CMO, 0.2%", "CMO, 2%", "Milo"])
def test_any_other_cell_is_its_formula(name, device):
    targets = np.array(CONDUCTANCES[name])
    for days in (0, 1e-5, 0.01, 0.5, 0.99, 1, 1.1, 1.9, 2.5, 3.5, 4.2, 4.9, 5, 6, 1000):
        settled = [SETTLED[name](target, days * DAY) for target in targets]
        for xi in (-3, -0.5, 0, 1, 4):
            expected = [max(mean + deviation * xi, 0) for mean, deviation in settled]
            arguments = (jnp.full(5, x, jnp.float32) for x in (xi, 1, days * DAY))
            conductance = device.settle(jnp.asarray(targets * 1e-6, jnp.float32), *arguments)
            np.testing.assert_allclose(microsiemens(conductance), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", EXPONENTS)
def test_exponents_are_the_cells_own(name, device):
    g_max = microsiemens(device.conductance_range[1])
    cells = program(device, [0.7 * g_max])
    fresh = after(device, cells, 0)
    decay = np.log(after(device, cells, DAY) / fresh)
    check_uncorrelated(decay, fresh)
    again = device.update(cells, jnp.full((1, N), 1e-7), jax.random.key(1))
    assert np.corrcoef(decay, np.log(after(device, again, DAY) / after(device, again, 0)))[0, 1] > (
        1 - 1e-3
    )


def test_ages_add_up(name, device):
    cells = program(device, CONDUCTANCES[name], n=100)
    ages = [(1.0, HOUR), (HOUR, DAY), (DAY, 4 * DAY), (0.0, DAY)]
    for first, then in ages:
        twice = device.age(device.age(cells, jnp.float32(first)), jnp.float32(then))
        assert_equal(twice["age"], device.age(cells, jnp.float32(first + then))["age"])
        once = after(device, cells, first + then)
        assert_equal(microsiemens(device.conductance(twice)), once)
    assert_equal(after(device, cells, 0), microsiemens(device.conductance(cells)))


# ---- Read noise --------------------------------------------------------------------------------


def one_over_f(time, t_read):
    return math.sqrt(math.log((time + t_read) / (2 * t_read)))


def pcm_read(target, conductance, seconds):
    amplitude = min(0.0088 / (target / 25) ** 0.65, 0.2)
    return conductance * amplitude * one_over_f(seconds + 20, 250e-9)


def hermes_read(target, conductance, seconds):
    g = target / 10.35
    if g < 0.1591:
        amplitude = np.clip(-0.0078 * math.log(g) + 0.0038, 0.0179, 0.04)
    else:
        amplitude = 0.0664 * g**3 - 0.1352 * g**2 + 0.0768 * g + 0.0088
    return conductance * amplitude * one_over_f(seconds + 200, 512e-9)


def sonos_read(target, conductance, seconds):
    return 12.580 * (1 - np.exp(-100 * conductance / 215.37)) / 100


def cmo_read(target, conductance, seconds):
    return 0.02773 * np.log10(conductance) * one_over_f(seconds + 1, 1e-6)


READ = {"PCM": pcm_read, "HERMES": hermes_read, "SONOS": sonos_read, "CMO, 2%": cmo_read}
READ_AT = {**CONDUCTANCES, "PCM": [0.1, 0.5, 2.5, 10, 25], "HERMES": [0.02, 0.3, 1.6, 1.7, 10.35]}


@pytest.mark.parametrize("name", READ)
def test_read_noise_is_the_published_one(name, device):
    cells = program(device, READ_AT[name], n=50)
    for seconds in (0, 1, HOUR, DAY):
        aged = device.age(cells, jnp.float32(seconds))
        noise = microsiemens(device.read_deviation(aged))
        for target, sigma, conductance in zip(
            READ_AT[name], noise, microsiemens(device.conductance(aged)), strict=True
        ):
            expected = READ[name](target, conductance, seconds)
            np.testing.assert_allclose(sigma, expected, rtol=2e-5, atol=1e-9)


def test_read_noise_of_cmo_is_never_negative():
    device = CMOHfOx()
    ones = jnp.full(3, 9e-6)
    noise = device.deviate(ones, jnp.array([0.0, 0.5e-6, 1e-6]), jnp.zeros(3))
    assert_equal(noise, jnp.zeros(3))


@pytest.mark.parametrize("name", ["Wan", "Milo"])
def test_devices_without_published_read_noise_have_none(name, device):
    cells = program(device, CONDUCTANCES[name], n=3)
    assert device.read_noise == 0.0
    assert not device.noisy_read
    assert device.read_deviation(cells) is None
    assert_equal(device.deviate(cells["target"], cells["target"], cells["age"]), jnp.zeros((5, 3)))


# ---- Currents ----------------------------------------------------------------------------------


def test_milos_current_follows_its_polynomial():
    conductance = np.array([50, 62.5, 80, 110, 225]) * 1e-6
    level = np.log10(conductance)
    n_2 = 1.388e-4 * level**3 + 1.541e-3 * level**2 + 5.711e-3 * level + 7.063e-3
    n_3 = 8.871e-5 * level**2 + 6.7919e-4 * level + 1.2968e-3
    assert RRAMMilo().max_voltage == 0.5
    terms = RRAMMilo().current_terms(jnp.asarray(conductance, jnp.float32))
    for voltage in np.linspace(-0.5, 0.5, 11):
        current = sum(
            np.asarray(term, np.float64) * voltage**k for k, term in enumerate(terms, start=1)
        )
        expected = conductance * voltage + n_2 * voltage**2 + n_3 * voltage**3
        np.testing.assert_allclose(current, expected, rtol=1e-6, atol=1e-13)
    np.testing.assert_allclose(terms[1], n_2, rtol=1e-4)
    np.testing.assert_allclose(terms[2], n_3, rtol=1e-4)


def test_milos_current_rises_with_the_voltage_at_every_conductance():
    conductance = jnp.linspace(0, 400e-6, 801)[1:]
    first, second, third = (np.asarray(t) for t in RRAMMilo().current_terms(conductance))
    for voltage in np.linspace(-0.5, 0.5, 21):
        assert np.all(first + 2 * second * voltage + 3 * third * voltage**2 > 0)


@pytest.mark.parametrize(("outside", "edge"), [(1e-6, 40e-6), (30e-6, 40e-6), (400e-6, 240e-6)])
def test_milos_current_keeps_its_shape_out_of_the_measured_range(outside, edge):
    far, near = (RRAMMilo().current_terms(jnp.float32(g)) for g in (outside, edge))
    for one, other in zip(far, near, strict=True):
        np.testing.assert_allclose(one / outside, other / edge, rtol=1e-5)


def test_cells_are_linear_but_milos(name, device):
    conductance = jnp.linspace(0, device.conductance_range[1], 5)
    terms = device.current_terms(conductance)
    assert_equal(terms[0], conductance)
    assert len(terms) == (3 if name == "Milo" else 1)


# ---- Reprogramming -----------------------------------------------------------------------------


def test_no_change_touches_nothing(name, device):
    cells = device.age(program(device, CONDUCTANCES[name], n=20), jnp.float32(HOUR))
    after_update = device.update(cells, jnp.zeros_like(cells["target"]), jax.random.key(1))
    # NumPy compares no keys.
    assert_equal(jax.tree.map(raw, after_update), jax.tree.map(raw, cells))


def raw(leaf):
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def test_touched_cells_start_anew_and_others_stay(name, device):
    start = [g + 2 for g in CONDUCTANCES[name]]
    cells = device.age(program(device, start), jnp.float32(DAY))
    delta = jnp.full((5, N), -2e-6).at[:, ::2].set(0)
    updated = device.update(cells, delta, jax.random.key(1))
    untouched = lambda tree: {k: tree[k][:, ::2] for k in ("target", "xi", "age")}
    assert_equal(untouched(updated), untouched(cells))
    before, now = (microsiemens(device.conductance(c)) for c in (cells, updated))
    assert_equal(now[:, ::2], before[:, ::2])
    assert np.all(np.asarray(updated["age"])[:, 1::2] == 0)
    # Not the first: a target of 0 is a rounding error away from it, and some devices' error is 0.
    for target, samples in list(zip(CONDUCTANCES[name], now[:, 1::2], strict=True))[1:]:
        mean, deviation = SETTLED[name](target, 0)
        check(samples, positive_moments(mean, deviation))
    check_uncorrelated(np.asarray(updated["xi"])[:, 1::2], np.asarray(cells["xi"])[:, 1::2])


def test_small_changes_are_not_made_and_are_counted(name, device):
    careful = dataclasses.replace(device, min_change=1e-6)
    cells = careful.age(program(careful, CONDUCTANCES[name], n=4), jnp.float32(HOUR))
    delta = jnp.tile(jnp.array([0.0, 0.9e-6, -0.9e-6, 1e-6]), (5, 1))
    assert int(careful.counters(cells)["too_small"]) == 0
    once = careful.update(cells, delta, jax.random.key(1))
    assert int(careful.counters(once)["too_small"]) == 10
    twice = careful.update(once, delta, jax.random.key(2))
    assert int(careful.counters(twice)["too_small"]) == 20
    before, now = careful.conductance(cells), careful.conductance(once)
    assert_equal(now[:, :3], before[:, :3])
    assert_equal(careful.target(once)[:, :3], careful.target(cells)[:, :3])
    np.testing.assert_allclose(
        microsiemens(careful.target(once))[:, 3], np.array(CONDUCTANCES[name]) + 1, rtol=1e-6
    )
    assert_equal(once["age"], jnp.where(delta == 1e-6, 0, cells["age"]))


# ---- Factors -----------------------------------------------------------------------------------


FACTORS = ("program_noise", "drift", "relaxation", "read_noise")


def factors_of(device):
    return [f.name for f in dataclasses.fields(device) if f.name in FACTORS]


def switch_off(device, *names):
    return dataclasses.replace(device, **{n: 0.0 for n in names if n in factors_of(device)})


def test_which_factors_there_are(name, device):
    expected = {
        "PCM": ["program_noise", "drift", "read_noise"],
        "HERMES": ["program_noise", "drift", "read_noise"],
        "Wan": ["program_noise", "relaxation"],
        "Milo": ["program_noise"],
        "SONOS": ["program_noise", "relaxation", "read_noise"],
        "CMO": ["program_noise", "relaxation", "read_noise"],
    }
    assert factors_of(device) == expected[name.split(",")[0]]
    assert [getattr(device, factor) for factor in factors_of(device)] == [1.0] * len(
        factors_of(device)
    )


def test_all_factors_off_is_the_target_at_every_age(name, device):
    exact = switch_off(device, *FACTORS)
    cells = program(exact, CONDUCTANCES[name], n=20)
    for seconds in (0, HOUR, 30 * DAY):
        aged = exact.age(cells, jnp.float32(seconds))
        assert_equal(exact.conductance(aged), cells["target"])
        assert exact.read_deviation(aged) is None
    assert not exact.noisy_read


def test_without_programming_noise_a_fresh_cell_is_its_target(name, device):
    off = ("program_noise", "relaxation") if name.startswith("CMO") else ("program_noise",)
    exact = switch_off(device, *off)
    cells = program(exact, CONDUCTANCES[name], n=20)
    assert_equal(exact.conductance(cells), cells["target"])


def test_without_drift_and_relaxation_time_changes_nothing(name, device):
    steady = switch_off(device, "drift", "relaxation")
    cells = program(steady, CONDUCTANCES[name], n=20)
    assert_equal(after(steady, cells, 30 * DAY), after(steady, cells, 0))


@pytest.mark.parametrize("name", ["Wan", "SONOS"])
def test_without_programming_noise_spreads_are_what_they_grow_by(name, device):
    exact = switch_off(device, "program_noise")
    cells = program(exact, CONDUCTANCES[name][1:])
    grown = after(exact, cells, DAY)
    for target, samples in zip(CONDUCTANCES[name][1:], grown, strict=True):
        growth = SETTLED[name](target, DAY)[1] - SETTLED[name](target, 0)[1]
        check(samples, positive_moments(target, growth))


@pytest.mark.parametrize("accept", ["0.2%", "2%"])
def test_factors_of_cmo_belong_to_one_error_each(accept):
    constant, slope = {"0.2%": (8.1e-4, 1.07e-3), "2%": (0.01122, 0.01129)}[accept]
    programmed = CMOHfOx(accept=accept, relaxation=0.0)
    relaxed = CMOHfOx(accept=accept, program_noise=0.0)
    targets = CONDUCTANCES["CMO, 2%"]
    for seconds in (0, DAY):
        log_t = math.log(seconds + 1)
        for target, samples in zip(
            targets, after(programmed, program(programmed, targets), seconds), strict=True
        ):
            check(samples, positive_moments(target, constant + slope * target))
        for target, samples in zip(
            targets, after(relaxed, program(relaxed, targets), seconds), strict=True
        ):
            deviation = 0.04201 * log_t + 0.41183
            check(samples, positive_moments(target - 0.0890 * log_t, deviation))


def test_factors_are_factors(name, device):
    factors = factors_of(device)
    double = dataclasses.replace(device, **{factor: 2.0 for factor in factors})
    targets = np.array(CONDUCTANCES[name][-1:])
    cells = program(device, targets, n=100)
    change = lambda device: microsiemens(device.conductance(cells)) - targets[:, None]
    np.testing.assert_allclose(change(double), 2 * change(device), atol=2e-5)
    if device.noisy_read:
        still = dataclasses.replace(double, **{f: 1.0 for f in factors if f != "read_noise"})
        ratio = still.read_deviation(cells) / device.read_deviation(cells)
        np.testing.assert_allclose(ratio, 2, rtol=1e-6)
    if "drift" in factors:
        decay = lambda device: np.log(after(device, cells, DAY) / after(device, cells, 0))
        np.testing.assert_allclose(decay(double), 2 * decay(device), atol=2e-6)


@pytest.mark.parametrize("name", ["PCM", "HERMES", "Wan"])
def test_formulas_of_shares_scale_with_the_range(name, device):
    targets = np.array(CONDUCTANCES[name])
    twice = dataclasses.replace(device, g_max=2 * device.g_max)
    one, other = program(device, targets, n=50), program(twice, 2 * targets, n=50)
    for seconds in (0, DAY):
        np.testing.assert_allclose(
            after(twice, other, seconds), 2 * after(device, one, seconds), rtol=1e-5, atol=1e-5
        )


def test_sonos_is_known_by_its_currents():
    one, other = SONOS(), SONOS(g_max=8e-6, cell_voltage=0.4)
    targets = np.array(CONDUCTANCES["SONOS"])
    cells, scaled = program(one, targets, n=50), program(other, targets / 4, n=50)
    for seconds in (0, 1.5 * DAY):
        np.testing.assert_allclose(
            4 * after(other, scaled, seconds), after(one, cells, seconds), rtol=1e-5, atol=1e-5
        )
    np.testing.assert_allclose(
        4 * other.read_deviation(scaled), one.read_deviation(cells), rtol=1e-4
    )


# ---- JAX ---------------------------------------------------------------------------------------


def life(device, key):
    """All that a device does, in microsiemens."""
    first, then = jax.random.split(key)
    low, high = device.conductance_range
    cells = device.program(jnp.linspace(low, high, 12).reshape(3, 4), low, first)
    aged = device.age(cells, jnp.float32(HOUR))
    middle = (low + high) / 2
    delta = jnp.where(jnp.arange(4) > 1, 0, 0.1 * (middle - aged["target"]))
    updated = device.age(device.update(aged, delta, then), jnp.float32(DAY))
    noise = device.read_deviation(updated)
    conductance = device.conductance(updated)
    return {
        "target": 1e6 * device.target(updated),
        "aged": 1e6 * device.conductance(aged),
        "conductance": 1e6 * conductance,
        "current": [1e6 * term for term in device.current_terms(conductance)],
        "noise": None if noise is None else 1e6 * noise,
        "counters": device.counters(updated),
    }


def assert_same(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, other)


def test_eager_is_jit(device):
    assert_same(jax.jit(lambda key: life(device, key))(KEY), life(device, KEY))


def test_vmap_over_keys_is_the_loop(device):
    keys = jax.random.split(KEY, 3)
    run = jax.jit(lambda key: life(device, key))
    loop = jax.tree.map(lambda *each: jnp.stack(each), *[run(key) for key in keys])
    assert_same(jax.vmap(run)(keys), loop)
    assert np.std(np.asarray(loop["conductance"])[:, 2, 3]) > 0


def test_nothing_is_not_a_number(name, device):
    zero = jnp.zeros((3, 4))
    for target in (zero, zero + device.conductance_range[1]):
        cells = device.program(target, device.conductance_range[0], KEY)
        for seconds in (0, 1, 1e10):
            aged = device.age(cells, jnp.float32(seconds))
            conductance = device.conductance(aged)
            assert np.all(np.isfinite(conductance)) and np.all(conductance >= 0)
            noise = device.deviate(target, conductance, aged["age"])
            assert np.all(np.isfinite(noise)) and np.all(noise >= 0)
    for term in device.current_terms(zero):
        assert_equal(term, zero)


# ---- What they are -----------------------------------------------------------------------------


def test_is_a_statistical_device_with_the_published_range(name, device):
    ranges = {
        "PCM": (0, 25e-6),
        "HERMES": (0, 10.35e-6),
        "Wan": (0, 40e-6),
        "Milo": (50e-6, 225e-6),
        "SONOS": (0, 3200e-9 / 0.1),
        "CMO": (9e-6, 88.2e-6),
    }
    assert isinstance(device, AbstractStatistical)
    assert device.conductance_range == pytest.approx(ranges[name.split(",")[0]])
    assert device.noisy_program
    twin = dataclasses.replace(device)
    assert twin == device and hash(twin) == hash(device)
    with pytest.raises(dataclasses.FrozenInstanceError):
        device.min_change = 1.0


def test_factors_and_smallest_changes_are_checked(device, as_users_call):
    kind = type(device)
    for field in [*factors_of(device), "min_change"]:
        for value in (-0.5, math.nan, math.inf):
            message = f"{kind.__name__}({field}=…): expected a number at least 0, given {value!r}"
            with pytest.raises(ValueError, match=re.escape(message)):
                kind(**{field: value})
        for value in ("1", None, True):
            message = f"{kind.__name__}({field}=…): expected a number at least 0, given {value!r}"
            with pytest.raises(TypeError, match=re.escape(message)):
                kind(**{field: value})


@pytest.mark.parametrize("kind", [PCM, PCMHermes, RRAMWan, SONOS])
@pytest.mark.parametrize("value", [0.0, -1e-6, math.inf])
def test_highest_conductances_are_checked(kind, value, as_users_call):
    message = f"{kind.__name__}(g_max=…): expected a number above g_min=0.0 S, given {value!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(g_max=value)


RANGES = [
    (RRAMMilo, {"g_min": -1e-6}, "g_min=…): expected a number at least 0 S, given -1e-06"),
    (RRAMMilo, {"g_max": 50e-6}, "g_max=…): expected a number above g_min=5e-05 S, given 5e-05"),
    (RRAMMilo, {"g_min": 1e-5}, "g_min=…): expected a number within the published 50e-06 to"),
    (RRAMMilo, {"g_max": 3e-4}, "g_max=…): expected a number within the published 50e-06 to"),
    (CMOHfOx, {"g_min": -1e-6}, "g_min=…): expected a number at least 0 S, given -1e-06"),
    (CMOHfOx, {"g_min": 89e-6}, "g_max=…): expected a number above g_min=8.9e-05 S, given 8.8"),
    (CMOHfOx, {"g_min": 1e-6}, "g_min=…): expected a number within the published 9e-06 to"),
    (CMOHfOx, {"g_max": 1e-4}, "g_max=…): expected a number within the published 9e-06 to"),
    (CMOHfOx, {"accept": "5%"}, "accept=…): expected one of '0.2%', '2%', given '5%'"),
    (CMOHfOx, {"accept": 0.02}, "accept=…): expected one of '0.2%', '2%', given 0.02"),
    (SONOS, {"cell_voltage": 0.0}, "cell_voltage=…): expected a number above 0 V, given 0.0"),
    (SONOS, {"cell_voltage": 0.2}, "at most 1.6e-05 S, 3200 nA at cell_voltage=0.2 V, given"),
    (SONOS, {"g_max": 33e-6}, "at most 3.2e-05 S, 3200 nA at cell_voltage=0.1 V, given 3.3e-05"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), RANGES)
def test_ranges_are_checked(kind, fields, message, as_users_call):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        kind(**fields)
    assert str(error.value).startswith(f"{kind.__name__}(")


@pytest.mark.parametrize(
    ("kind", "field"),
    [(PCM, "g_max"), (RRAMMilo, "g_min"), (CMOHfOx, "g_max"), (SONOS, "cell_voltage")],
)
def test_conductances_and_voltages_are_numbers(kind, field, as_users_call):
    with pytest.raises(TypeError, match=re.escape(f"{kind.__name__}({field}=…): expected a num")):
        kind(**{field: "25 µS"})
