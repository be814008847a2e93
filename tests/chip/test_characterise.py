"""Device models measured as a lab would, against their formulas in NumPy."""

import jax
import numpy as np
import pytest

import xbarax as xb
from tests.chip.pulses import (
    LOWER,
    MEAN,
    MODELS,
    QUIET,
    SPREAD,
    STEP_UP,
    UPPER,
    Z,
    assert_mean,
    assert_normal,
    pulse_often,
    pulse_once,
)
from xbarax.chip.device import characterise

KEY = jax.random.key(5)


def siemens(device, state):
    """The conductance of a state, by the mean bounds."""
    share = (state - device.lower) / (device.upper - device.lower)
    return device.g_min + share * (device.g_max - device.g_min)


# ---- Response curves ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_response_curve_is_pulse_after_pulse_from_the_lower_bound(name):
    device = MODELS[name].device()
    curve = characterise.response_curve(device, 40, 30, 2, KEY)
    states = [np.float64(LOWER)]
    for k in range(70):
        states.append(pulse_once(MODELS[name], states[-1], MEAN, np.bool_(k < 40)))
    assert curve.shape == (71, 2)
    expected = siemens(device, np.array(states))
    np.testing.assert_allclose(curve, np.stack([expected] * 2, axis=1), rtol=3e-6)


def test_each_cell_begins_at_its_own_lower_bound():
    device = xb.device.ConstantStep(**{**QUIET, **SPREAD, "lower_spread": 0.3})
    curve = np.asarray(characterise.response_curve(device, 1, 0, 20_000, KEY), np.float64)
    per_state = (device.g_max - device.g_min) / (UPPER - LOWER)
    # ±|b| keeps all but 4e-4 of the cells on their side of 0, so that bounds are normal.
    bound = (curve[0] - device.g_min) / per_state + LOWER
    assert_mean(bound, LOWER, 0.3 * abs(LOWER))
    assert np.std(bound) == pytest.approx(0.3 * abs(LOWER), rel=Z / np.sqrt(2 * 20_000) + 1e-3)
    assert np.all(curve[1] > curve[0])


def test_every_point_has_write_noise_the_first_included():
    device = xb.device.ConstantStep(**QUIET, write_noise=2.0)
    curve = np.asarray(characterise.response_curve(device, 2, 1, 20_000, KEY), np.float64)
    states = LOWER + STEP_UP * np.array([0, 1, 2]), UPPER
    per_state = (device.g_max - device.g_min) / (UPPER - LOWER)
    for point, state in zip(curve, states[0], strict=False):
        assert_normal(point, siemens(device, state), 2.0 * STEP_UP * per_state)
    first, second = curve[0] - curve[0].mean(), curve[1] - curve[1].mean()
    correlation = np.mean(first * second) / (first.std() * second.std())
    assert abs(correlation) < Z / np.sqrt(20_000)


def test_noise_differs_from_pulse_to_pulse_and_from_key_to_key():
    device = xb.device.SoftBounds()
    measure = lambda key: np.asarray(characterise.response_curve(device, 5, 5, 3, key))
    curve = measure(KEY)
    assert np.unique(np.diff(curve[:, 0])).size == 10
    np.testing.assert_array_equal(measure(KEY), curve)
    assert np.all(measure(jax.random.key(6))[1:] != curve[1:])


def test_failed_cells_stay_where_they_are():
    device = xb.device.ConstantStep(**QUIET, failed=1.0)
    curve = np.asarray(characterise.response_curve(device, 3, 3, 50, KEY))
    assert np.all(np.ptp(curve, axis=0) == 0)
    assert curve.min() >= device.g_min and curve.max() <= device.g_max


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_pulses_across_the_range_are_counted_from_the_mean_steps(share):
    device = MODELS["soft bounds"].device()
    up, down = characterise.pulses_across(device, share)
    model = MODELS["soft bounds"]
    # Steps only shrink, so that the mean cell is within half a first step of its aim.
    way = share * (UPPER - LOWER)
    for count, begin, aim in ((up, LOWER, LOWER + way), (-down, UPPER, UPPER - way)):
        after = [
            pulse_often(model, np.float64(begin), MEAN, np.int64(n))
            for n in (count, count - np.sign(count), count + np.sign(count))
        ]
        distance = np.abs(np.array(after) - aim)
        assert np.argmin(distance) == 0


# ---- Programming and drift ---------------------------------------------------------------------

TARGETS = np.array([3, 5, 10, 18, 25]) * 1e-6


def test_programming_error_of_pcm_is_the_published_one():
    errors = np.asarray(characterise.programming_error(xb.device.PCM(), TARGETS, 20_000, KEY))
    g = TARGETS / 25e-6
    sigma = (-1.1731 * g**2 + 1.9650 * g + 0.26348) * 1e-6
    assert errors.shape == (5, 20_000)
    for of_target, deviation in zip(errors, sigma, strict=True):
        assert_normal(of_target.astype(np.float64), 0.0, deviation)


def test_programming_error_of_a_quiet_pulse_device_is_within_half_a_step():
    device = MODELS["constant"].device()
    targets = np.linspace(device.g_min, device.g_max, 11)
    errors = characterise.programming_error(device, targets, 3, KEY)
    half = 0.5 * STEP_UP * (device.g_max - device.g_min) / (UPPER - LOWER)
    assert np.all(np.abs(errors) <= half * (1 + 1e-4))


def test_an_ideal_cell_has_no_error():
    for device in (xb.device.Ideal(), xb.device.Ideal(g_min=1e-6, g_max=30e-6)):
        np.testing.assert_array_equal(
            characterise.programming_error(device, TARGETS, 2, KEY), np.zeros((5, 2))
        )


def test_drift_of_pcm_is_a_power_of_time_with_an_exponent_per_cell():
    seconds = np.array([0.0, 1.0, 3600.0, 86_400.0])
    aged = characterise.drift(xb.device.PCM(), TARGETS, seconds, 20_000, KEY)
    aged = np.asarray(aged, np.float64)
    assert aged.shape == (4, 5, 20_000)
    g = TARGETS / 25e-6
    mean = np.clip(-0.0155 * np.log(g) + 0.0244, 0.049, 0.1)
    spread = np.clip(-0.0125 * np.log(g) - 0.0059, 0.008, 0.045)
    for t in (2, 3):
        exponents = np.log(aged[0] / aged[t]) / np.log(1 + seconds[t] / 20)
        for of_target, mu, sigma in zip(exponents, mean, spread, strict=True):
            # The mean of |μ + σ ξ| is μ where μ is several σ.
            if mu > 5 * sigma:
                assert_normal(of_target, mu, sigma)
    exponents = [np.log(aged[0] / aged[t]) / np.log(1 + seconds[t] / 20) for t in (2, 3)]
    np.testing.assert_allclose(exponents[0], exponents[1], atol=1e-5)
    assert sum(mean > 5 * spread) >= 3


def test_cells_at_age_0_are_as_programmed():
    aged = characterise.drift(xb.device.PCM(), TARGETS, [0.0], 7, KEY)
    errors = characterise.programming_error(xb.device.PCM(), TARGETS, 7, KEY)
    np.testing.assert_allclose(aged[0] - TARGETS[:, None].astype(np.float32), errors, atol=1e-11)


def test_a_device_of_ones_own_can_be_measured():
    device = xb.device.Ideal(g_min=1e-6, g_max=30e-6)
    aged = characterise.drift(device, TARGETS, [1.0, 1e6], 2, KEY)
    np.testing.assert_array_equal(aged, np.broadcast_to(TARGETS[:, None], (2, 5, 2)).astype("f4"))


# ---- Refusals ----------------------------------------------------------------------------------

SOFT, PCM = xb.device.SoftBounds(), xb.device.PCM()


@pytest.mark.parametrize(
    ("measure", "error", "message"),
    [
        (
            lambda: characterise.response_curve(PCM, 1, 1, 1, KEY),
            TypeError,
            "response_curve: expected a device that responds to pulses, given PCM, which is known",
        ),
        (
            lambda: characterise.pulses_across(xb.device.Ideal()),
            TypeError,
            "pulses_across: expected a device that responds to pulses, given Ideal",
        ),
        (
            lambda: characterise.pulses_across(SOFT, 1.5),
            ValueError,
            r"pulses_across\(share=…\): expected above 0, at most 1, given 1.5",
        ),
        (
            lambda: characterise.response_curve(SOFT, -1, 1, 1, KEY),
            ValueError,
            r"response_curve\(up=…\): expected an integer of at least 0, given -1",
        ),
        (
            lambda: characterise.response_curve(SOFT, 0, 0, 1, KEY),
            ValueError,
            "response_curve: expected at least one pulse, given up=0 and down=0",
        ),
        (
            lambda: characterise.response_curve(SOFT, 1, 1, 0, KEY),
            ValueError,
            r"response_curve\(cells=…\): expected an integer of at least 1, given 0",
        ),
        (
            lambda: characterise.drift(SOFT, TARGETS, [1.0], 1, KEY),
            TypeError,
            "drift: expected a device whose model says something of time, given the pulse device "
            "SoftBounds",
        ),
        (
            lambda: characterise.drift(PCM, TARGETS, [1.0, -2.0], 1, KEY),
            ValueError,
            r"drift\(seconds=…\): expected times of at least 0 s, given \[ 1. -2.\]",
        ),
        (
            lambda: characterise.drift(PCM, TARGETS, 1.0, 1, KEY),
            ValueError,
            r"drift\(seconds=…\): expected a list of at least one number, given shape \(\)",
        ),
        (
            lambda: characterise.programming_error(PCM, [1e-6, 26e-6], 1, KEY),
            ValueError,
            r"programming_error\(targets=…\): expected conductances from 0 to 2.5e-05 S, the range "
            "of PCM, given 2.6e-05",
        ),
        (
            lambda: characterise.programming_error(PCM, [np.nan], 1, KEY),
            ValueError,
            "the range of PCM, given nan",
        ),
        (
            lambda: characterise.programming_error(PCM, [], 1, KEY),
            ValueError,
            r"expected a list of at least one number, given shape \(0,\)",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, error, message, as_users_call):
    with pytest.raises(error, match=message):
        measure()
