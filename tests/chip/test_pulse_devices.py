"""What pulses do, model by model, against the formulas in NumPy and against closed forms."""

import math

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.pulses import (
    ADDITIVE,
    LOWER,
    MODELS,
    MULTIPLICATIVE,
    SPREAD,
    STEP_DOWN,
    STEP_UP,
    UPPER,
    Own,
    Z,
    assert_mean,
    assert_normal,
    cells_at,
    double,
    pulse,
    pulse_often,
    pulse_once,
)

N = 2**17
KEY = jax.random.key(11)


def pulsed(device, states, counts, seed=0):
    """Pulses cells at given states; returns new states, old ones, and what each has of its own."""
    cells, own = cells_at(device, states, seed)
    after = pulse(device, cells, counts, KEY)
    return double(after["state"]), double(cells["state"]), own


# ---- One pulse and many, without noise ---------------------------------------------------------

STATES = np.tile(np.linspace(LOWER, UPPER, 7), (30, 1))


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", MODELS)
def test_one_pulse_is_the_formula(name, direction, spread):
    device = MODELS[name].device(**(SPREAD if spread else {}))
    after, before, own = pulsed(device, STATES, direction)
    expected = pulse_once(MODELS[name], before, own, direction > 0)
    np.testing.assert_allclose(after, expected, rtol=1e-6, atol=3e-7)
    assert np.ptp(own.step_up) > 0 if spread else np.all(own.step_up == np.float32(STEP_UP))


@pytest.mark.parametrize("n", [1, 2, 7, 50])
@pytest.mark.parametrize("name", MODELS)
def test_many_pulses_are_as_many_single_ones(name, n):
    device = MODELS[name].device(**SPREAD)
    counts = np.random.default_rng(n).integers(-n, n + 1, STATES.shape)
    counts[0], counts[1] = n, -n
    after, before, own = pulsed(device, STATES, counts)
    expected = pulse_often(MODELS[name], before, own, counts)
    np.testing.assert_allclose(after, expected, rtol=1e-6, atol=1e-6 + 1e-7 * n)


@pytest.mark.parametrize("gamma", [0.0, 1e-30, 1e-8, 1e-5, 1e-2, 1.0])
def test_small_and_large_slopes_lose_no_digits(gamma):
    step, counts = 5e-4, np.array([1, 30, 1000])
    fields = {"gamma_up": gamma, "gamma_down": gamma, "lower": -1.0, "upper": 1.0, "step_up": step}
    device = xb.device.LinearStep(**{**MODELS["linear"].device().__dict__, **fields})
    after, _, _ = pulsed(device, np.full(3, 0.25), counts)
    a = gamma * step
    left = counts * np.log1p(-a)
    expected = 0.25 * np.exp(left) + step * (-np.expm1(left) / a if a else counts)
    np.testing.assert_allclose(after, expected, rtol=5e-7)


def test_steps_larger_than_the_range_jump_to_and_fro():
    fields = {"step_up": UPPER, "step_down": 0.1, "step_spread": 1.0}
    device = MODELS["soft bounds"].device(**fields)
    after, before, own = pulsed(device, np.full(400, 0.3), 4)
    share = own.step_up / UPPER
    assert np.mean(share < 0.5) > 0.1 and np.mean(share > 1) > 0.1
    expected = pulse_often(MODELS["soft bounds"], before, own, np.full(400, 4))
    np.testing.assert_allclose(after, expected, rtol=1e-6, atol=2e-6)


# ---- Noise from pulse to pulse -----------------------------------------------------------------

SIGMA = 1.0


def noisy(name):
    return MODELS[name].device(cycle_noise=SIGMA)


@pytest.mark.parametrize("n", [1, 20, -20])
@pytest.mark.parametrize("name", ADDITIVE)
def test_additive_noise_adds_up_to_a_gaussian(name, n):
    begin = 0.1
    after, _, _ = pulsed(noisy(name), np.full(N, begin), n)
    up = n > 0
    step, bound = (STEP_UP, UPPER) if up else (-STEP_DOWN, LOWER)
    slope = {"constant": 0.0, "linear, additive": 0.6 if up else 0.3, "soft bounds": 1.0}[name]
    a, n = slope * step / bound, abs(n)
    mean = (1 - a) ** n * begin + step * ((1 - (1 - a) ** n) / a if a else n)
    squares = (1 - (1 - a) ** (2 * n)) / (1 - (1 - a) ** 2) if a else n
    deviation = abs(step) * SIGMA * np.sqrt(squares)
    assert_normal(after, mean, deviation)
    # The fourth moment of a Gaussian is 3, that of n bounded steps is not.
    assert_mean(((after - mean) / deviation) ** 4, 3, np.sqrt(96))


def test_large_steps_wear_away_the_noise_of_earlier_ones():
    sigma, step, a = 0.3, 0.2, 0.2 / UPPER
    device = MODELS["soft bounds"].device(step_up=step, cycle_noise=sigma)
    after, _, _ = pulsed(device, np.full(N, -0.3), 2)
    mean = (1 - a) * ((1 - a) * -0.3 + step) + step
    assert_normal(after, mean, step * sigma * np.sqrt(1 + (1 - a) ** 2))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", MULTIPLICATIVE)
def test_multiplicative_noise_scales_with_the_step(name, direction):
    begin = np.full(N, 0.4)
    after, _, own = pulsed(noisy(name), begin, direction)
    expected = pulse_once(MODELS[name], begin, own, direction > 0)[0]
    assert_normal(after, expected, SIGMA * abs(expected - 0.4))


def test_multiplicative_noise_of_many_pulses_keeps_the_mean():
    after, before, own = pulsed(noisy("linear"), np.zeros(N), 10)
    expected = pulse_often(MODELS["linear"], before, own, np.full(N, 10))[0]
    assert_mean(after, expected, np.std(after))


@pytest.mark.parametrize("begin", ["at the bound", "2 deviations off", "in the middle"])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", MODELS)
def test_the_distribution_is_that_of_single_pulses(name, direction, begin):
    n = 12
    bound, step = (UPPER, STEP_UP) if direction > 0 else (LOWER, -STEP_DOWN)
    off = {"at the bound": 0.0, "2 deviations off": 2 * SIGMA * np.sqrt(n), "in the middle": 50}
    counts = np.full(N, n * direction)
    after, before, own = pulsed(noisy(name), np.full(N, bound - off[begin] * step), counts)
    other = pulse_often(MODELS[name], before, own, counts, SIGMA, np.random.default_rng(5))
    # The largest distance of the distributions of two samples of N exceeds this with a probability
    # of 1e-6 (Kolmogorov and Smirnov), or less where many are at a bound.
    limit = np.sqrt(np.log(2 / 1e-6) / N)
    grid = np.linspace(*np.quantile(other, (0.001, 0.999)), 2000) + 1e-6
    below = [np.searchsorted(np.sort(x), grid) / N for x in (after, other)]
    assert np.max(np.abs(below[0] - below[1])) < limit


@pytest.mark.parametrize("name", MODELS)
def test_bounds_are_never_crossed(name):
    wild = {"cycle_noise": 4.0, "step_spread": 2.0, "lower_spread": 0.6, "upper_spread": 0.6}
    device = MODELS[name].device(step_up=0.3, step_down=0.3, **wild)
    counts = np.random.default_rng(0).integers(-9, 10, (40, 50))
    after, _, own = pulsed(device, np.random.default_rng(1).uniform(-1, 1, counts.shape), counts)
    # The cells' own numbers are drawn again in every program, to the last bit but one.
    assert np.all((own.lower - 1e-6 <= after) & (after <= own.upper + 1e-6))
    at_bound = (np.abs(after - own.lower) < 1e-6) | (np.abs(after - own.upper) < 1e-6)
    assert np.mean(at_bound) > 0.05


# ---- Spread from cell to cell ------------------------------------------------------------------


def own_of(**fields):
    device = MODELS["constant"].device(**fields)
    return tuple(np.asarray(x, np.float64) for x in device.own(KEY, (N,)))


def assert_folded(samples, mean, spread):
    """The first two moments of |x| for a normal x."""
    square = mean**2 + spread**2
    fourth = mean**4 + 6 * mean**2 * spread**2 + 3 * spread**4
    assert_mean(samples**2, square, np.sqrt(fourth - square**2))
    negative = math.erfc(mean / spread / math.sqrt(2)) / 2
    density = math.exp(-((mean / spread) ** 2) / 2) / math.sqrt(2 * math.pi)
    first = mean * (1 - 2 * negative) + 2 * spread * density
    assert_mean(samples, first, np.sqrt(square - first**2))


def test_both_directions_share_one_gain():
    _, _, up, down = own_of(step_spread=0.5)
    np.testing.assert_allclose(up / STEP_UP, down / STEP_DOWN, rtol=1e-6)
    assert np.all(up > 0)
    assert_folded(up / STEP_UP, 1.0, 0.5)


def test_a_lognormal_gain():
    _, _, up, down = own_of(step_spread=0.8, step_lognormal=True)
    np.testing.assert_allclose(up / STEP_UP, down / STEP_DOWN, rtol=1e-6)
    assert_normal(np.log(up / STEP_UP), 0.0, 0.8)


def test_asymmetry_moves_the_directions_oppositely():
    _, _, up, down = own_of(asymmetry_spread=0.4)
    assert_folded(up / STEP_UP, 1.0, 0.4)
    # The sum of |1 + β| and |1 − β| is 2 or, where one has turned over, their difference is.
    up, down = up / STEP_UP, down / STEP_DOWN
    assert np.any(up + down > 2.01)
    two = np.where(up + down > 2.0001, np.abs(up - down), up + down)
    np.testing.assert_allclose(two, 2, rtol=1e-4)


def test_bounds_keep_their_side():
    lower, upper, _, _ = own_of(lower_spread=0.6, upper_spread=0.4)
    assert np.all(lower < 0) and np.all(upper > 0)
    assert_folded(lower / LOWER, 1.0, 0.6)
    assert_folded(upper / UPPER, 1.0, 0.4)


def test_what_cells_have_of_their_own_is_independent():
    lower, upper, up, _ = own_of(lower_spread=0.2, upper_spread=0.2, step_spread=0.2)
    for one, other in ((lower, upper), (lower, up), (upper, up), (up[1:], up[:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < Z / np.sqrt(N - 1)


def test_cells_keep_what_is_their_own():
    device = MODELS["soft bounds"].device(**SPREAD)
    cells, own = cells_at(device, STATES)
    after = pulse(device, cells, 3, KEY)
    for one, other in zip(own, device.own(after["identity"], STATES.shape), strict=True):
        np.testing.assert_array_equal(one, double(other))
    assert np.std(device.own(jax.random.key(1), STATES.shape).upper - own.upper) > 0.1


# ---- The symmetry point ------------------------------------------------------------------------

SYMMETRIC = [name for name in MODELS if name != "constant"]


@pytest.mark.parametrize("name", SYMMETRIC)
def test_steps_are_equal_at_the_symmetry_point(name):
    model = MODELS[name]
    device = model.device(**SPREAD)
    drawn = device.own(KEY, (200,))
    own = Own(*map(double, drawn))
    point = double(device.symmetry_point(drawn))
    up, down = model.factors(point, own)
    up, down = up * own.step_up, down * own.step_down
    inside = (point > own.lower + 1e-6) & (point < own.upper - 1e-6)
    assert np.mean(inside) > 0.5
    np.testing.assert_allclose(up[inside], down[inside], rtol=2e-5, atol=1e-8)
    # Where they are never equal, they come closest at the bound.
    away = np.abs(point - own.lower) < np.abs(point - own.upper)
    assert np.all(np.where(away, up < down, up > down)[~inside])


@pytest.mark.parametrize("name", SYMMETRIC)
def test_alternate_pulses_end_at_the_symmetry_point(name):
    device = MODELS[name].device(**SPREAD)
    cells, own = cells_at(device, STATES)
    for k in range(1500):
        cells = pulse(device, cells, 1 if k % 2 == 0 else -1, KEY)
    point = double(device.symmetry_point(device.own(cells["identity"], STATES.shape)))
    off = np.abs(double(cells["state"]) - point)
    quick = (own.step_up > 0.5 * STEP_UP) & (own.step_down > 0.5 * STEP_DOWN)
    assert np.mean(quick) > 0.7
    assert np.all((off < np.maximum(own.step_up, own.step_down))[quick])


@pytest.mark.parametrize(("step_down", "point"), [(0.02, 0.0), (0.01, UPPER), (0.03, LOWER)])
def test_constant_steps_have_no_symmetry_point_unless_they_are_equal(step_down, point):
    device = MODELS["constant"].device(step_down=step_down)
    own = device.own(KEY, (3,))
    np.testing.assert_allclose(device.symmetry_point(own), np.full(3, point), rtol=1e-6)


def test_exponential_steps_that_are_equal_at_zero():
    device = xb.device.ExponentialStep(b=0.0, amplitude_up=-0.5, amplitude_down=-0.5)
    own = device.own(KEY, (3,))._replace(step_up=jnp.ones(3), step_down=jnp.ones(3))
    np.testing.assert_array_equal(device.symmetry_point(own), np.zeros(3))


# ---- Bad input ---------------------------------------------------------------------------------

BAD = {
    "step_up=0.0": r"SoftBounds\(step_up=…\): expected a number above 0, given 0.0",
    "step_down=-1.0": r"SoftBounds\(step_down=…\): expected a number above 0, given -1.0",
    "step_spread=-0.1": r"SoftBounds\(step_spread=…\): expected a number at least 0, given -0.1",
    "lower=0.0": r"SoftBounds\(lower=…\): expected a number below 0, given 0.0",
    "upper=-1.0": r"SoftBounds\(upper=…\): expected a number above 0, given -1.0",
    "leak=1.5": r"SoftBounds\(leak=…\): expected a number in \[0, 1\], given 1.5",
    "failed=-0.5": r"SoftBounds\(failed=…\): expected a number in \[0, 1\], given -0.5",
    "cycle_noise=float('nan')": r"SoftBounds\(cycle_noise=…\): expected a number at least 0, given",
    "write_noise=float('inf')": r"SoftBounds\(write_noise=…\): expected a number at least 0, given",
    "g_min=-1e-6": r"SoftBounds\(g_min=…\): expected a number at least 0 S, given -1e-06",
    "g_max=5e-6": r"SoftBounds\(g_max=…\): expected a number above g_min=5e-06 S, given 5e-06",
    "max_pulses=0": r"SoftBounds\(max_pulses=…\): expected an integer from 1 to 16777216, given 0",
    "max_pulses=2**24 + 1": r"expected an integer from 1 to 16777216, given 16777217",
}
WRONG_TYPE = {
    "step_up='1'": r"SoftBounds\(step_up=…\): expected a number above 0, given '1'",
    "max_pulses=2.0": r"SoftBounds\(max_pulses=…\): expected an integer from 1 to .*, given 2.0",
    "step_lognormal=1": r"SoftBounds\(step_lognormal=…\): expected True or False, given 1",
    "zero_at_symmetry=None": r"zero_at_symmetry=…\): expected True or False, given None",
}
BAD_OWN = {
    "LinearStep(gamma_up=-0.1)": r"LinearStep\(gamma_up=…\): expected a number at least 0",
    "LinearStep(gamma_down=-0.1)": r"LinearStep\(gamma_down=…\): expected a number at least 0",
    "ExponentialStep(gamma_up=-1.0)": r"ExponentialStep\(gamma_up=…\): expected a number at least",
    "ExponentialStep(gamma_down=99.0)": r"gamma_down=…\)·\(2 \|a\| \+ \|b\|\): .* at most 80",
    "ExponentialStep(a=float('nan'))": r"ExponentialStep\(a=…\): expected a number that is finite",
    "PowerStep(gamma_up=-1.0)": r"PowerStep\(gamma_up=…\): expected a number at least 0",
    "PowerStep(gamma_down=float('inf'))": r"PowerStep\(gamma_down=…\): expected a number at least",
}


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize("given", [*BAD, *WRONG_TYPE])
def test_bad_numbers_are_refused(given):
    error, message = (ValueError, BAD[given]) if given in BAD else (TypeError, WRONG_TYPE[given])
    with pytest.raises(error, match=message):
        eval(f"SoftBounds({given})", vars(xb.device))


@pytest.mark.parametrize("given", BAD_OWN)
def test_bad_numbers_of_one_model_are_refused(given):
    with pytest.raises(ValueError, match=BAD_OWN[given]):
        eval(given, dict(vars(xb.device)))


@pytest.mark.usefixtures("as_users_call")
def test_a_flag_that_is_none():
    with pytest.raises(TypeError, match=r"LinearStep\(additive_noise=…\): expected True or False"):
        xb.device.LinearStep(additive_noise=1)
