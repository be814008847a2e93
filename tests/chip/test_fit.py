"""Pulse models fitted to curves that NumPy made by the same formulas, in double precision."""

import dataclasses
from typing import final

import jax
import numpy as np
import pytest

import xbarax as xb
from tests.chip import pulses
from xbarax.chip.device import Fit, fit_response, read_response_csv

G_MIN, G_MAX = 4e-6, 28e-6
POINTS = 241


def constant(w, of):
    return 1.0, 1.0


def soft_bounds(w, of):
    return 1 - w, 1 + w


def linear(w, of):
    return 1 - of["gamma_up"] * w, 1 + of["gamma_down"] * w


def power(w, of):
    return ((1 - w) / 2) ** of["gamma_up"], ((1 + w) / 2) ** of["gamma_down"]


def exponential(w, of):
    z = of["a"] * w  # 2 a w / (b₊ − b₋), with bounds of ±1, and b = 0
    up = 1 - of["amplitude_up"] * np.exp(of["gamma_up"] * z)
    down = 1 - of["amplitude_down"] * np.exp(-of["gamma_down"] * z)
    return max(up, 0.0), max(down, 0.0)


@dataclasses.dataclass(frozen=True)
class Case:
    """A device to recover: its steps, its own parameters, and whether its noise is additive."""

    model: type
    factors: object
    steps: tuple[float, float]
    own: dict
    additive: bool = False

    def curve(self, sigma=0.0, seed=0, points=POINTS):
        """Conductances of one cell, from one bound to the other and back."""
        rng = np.random.default_rng(seed)
        states = [-1.0]
        for k in range(2 * (points - 1)):
            up = k < points - 1
            factor = self.factors(states[-1], self.own)[0 if up else 1]
            noise = sigma * rng.standard_normal()
            factor = factor + noise if self.additive else factor * (1 + noise)
            states.append(min(max(states[-1] + (1 if up else -1) * self.step(up) * factor, -1), 1))
        g = G_MIN + (np.array(states) + 1) / 2 * (G_MAX - G_MIN)
        return g[:points], g[points - 1 :]

    def step(self, up):
        return self.steps[0 if up else 1]


CONCAVE = {"gamma_up": 2.0, "gamma_down": 1.5, "amplitude_up": 0.12, "amplitude_down": 0.2}
CONVEX = {"gamma_up": 1.5, "gamma_down": 2.0, "amplitude_up": -1.1, "amplitude_down": -0.4}

CASES = {
    "constant": Case(xb.device.ConstantStep, constant, (0.012, 0.015), {}),
    "linear": Case(
        xb.device.LinearStep, linear, (0.012, 0.015), {"gamma_up": 0.6, "gamma_down": 0.2}
    ),
    "soft bounds": Case(xb.device.SoftBounds, soft_bounds, (0.015, 0.02), {}, additive=True),
    "power": Case(xb.device.PowerStep, power, (0.03, 0.04), {"gamma_up": 1.6, "gamma_down": 0.7}),
    "exponential, concave": Case(
        xb.device.ExponentialStep, exponential, (0.018, 0.02), {"a": 0.5, "b": 0.0, **CONCAVE}
    ),
    "exponential, convex": Case(
        xb.device.ExponentialStep, exponential, (0.009, 0.011), {"a": -0.5, "b": 0.0, **CONVEX}
    ),
}


def fitted(case, *branches):
    return fit_response(*branches, model=case.model)


# ---- Parameters come back ----------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_without_noise_every_parameter_comes_back(name):
    case = CASES[name]
    up, down = case.curve()
    fit = fitted(case, up, down)
    assert type(fit.device) is case.model
    # Of 24 µS: 5e-5 of it for conductances, 0.2 % for steps, 1 % for the shape of steps.
    assert fit.rmse < 5e-5 * (G_MAX - G_MIN)
    assert fit.device.g_min == pytest.approx(G_MIN, abs=1e-3 * (G_MAX - G_MIN))
    assert fit.device.g_max == pytest.approx(G_MAX, abs=1e-3 * (G_MAX - G_MIN))
    assert fit.device.steps == pytest.approx(case.steps, rel=5e-3)
    for field, value in case.own.items():
        assert getattr(fit.device, field) == pytest.approx(value, rel=1e-2, abs=1e-3), field
    assert fit.device.cycle_noise < 5e-3
    assert fit.remarks == ()


@pytest.mark.parametrize("name", CASES)
def test_with_noise_the_curve_and_the_noise_come_back(name):
    case, sigma = CASES[name], 0.3
    curve = case.curve(sigma, seed=1)
    fit = fitted(case, *curve)
    # The walk of the noise away from the mean: at most some σ √n steps.
    walk = sigma * max(case.steps) * np.sqrt(POINTS) / 2
    assert fit.rmse < walk * (G_MAX - G_MIN)
    for part, measured in zip(fit.curve, curve, strict=True):
        assert part.shape == measured.shape
    pooled = np.concatenate([f - m for f, m in zip(fit.curve, curve, strict=True)])
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(pooled**2)), rel=1e-6)
    assert (fit.device.g_min, fit.device.g_max) == pytest.approx((G_MIN, G_MAX), rel=0.15)
    # Half of the increments at least are away from the bounds.
    assert fit.device.cycle_noise == pytest.approx(sigma, rel=pulses.Z / np.sqrt(2 * POINTS / 2))
    assert fit.device.write_noise == 0
    # What a pulse does, in siemens, where the curve spends its pulses.
    for w in (-0.5, 0.0, 0.5):
        for i, (step, factor) in enumerate(zip(case.steps, case.factors(w, case.own), strict=True)):
            wanted = step * factor * (G_MAX - G_MIN) / 2
            given = step_at(fit.device, G_MIN + (w + 1) / 2 * (G_MAX - G_MIN))[i]
            assert given == pytest.approx(wanted, rel=0.2), (w, i)


def step_at(device, conductance):
    """Steps up and down of the mean cell at a conductance, in siemens."""
    half = (device.g_max - device.g_min) / 2
    own = xb.device.Own(*(np.float32(x) for x in (-1, 1, *device.steps)))
    state = jax.numpy.float32((conductance - device.g_min) / half - 1)
    return [
        half * step * float(factor)
        for step, factor in zip(device.steps, device.factors(state, own), strict=True)
    ]


def test_noise_of_the_measurement_is_told_from_noise_of_the_pulses():
    case = CASES["soft bounds"]
    up, down = case.curve(0.5, seed=2, points=1001)
    rng = np.random.default_rng(3)
    per_step = case.steps[0] * (G_MAX - G_MIN) / 2
    noisy = [branch + 3.0 * per_step * rng.standard_normal(branch.shape) for branch in (up, down)]
    fit = fitted(case, *noisy)
    # The lag-one covariance of n increments is known to about 2/√n of their variance.
    assert fit.device.write_noise == pytest.approx(3.0, rel=0.15)
    assert fit.device.cycle_noise < 1.5
    assert f"write_noise  {fit.device.write_noise:.3g} mean steps" in fit.report()


# ---- What a curve means ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["soft bounds", "power"])
def test_another_choice_of_states_is_the_same_device(name):
    """Bounds of −0.8 and 1.2 become −1 and 1: steps in siemens stay what they are."""
    device = pulses.MODELS[name].device()
    states = [np.float64(pulses.LOWER)]
    for k in range(2 * (POINTS - 1)):
        up = np.bool_(k < POINTS - 1)
        states.append(pulses.pulse_once(pulses.MODELS[name], states[-1], pulses.MEAN, up))
    per_state = (device.g_max - device.g_min) / (pulses.UPPER - pulses.LOWER)
    curve = device.g_min + (np.array(states) - pulses.LOWER) * per_state
    fit = fit_response(curve[:POINTS], curve[POINTS - 1 :], type(device))
    assert (fit.device.lower, fit.device.upper) == (-1, 1)
    for state in (-0.5, 0.1, 0.9):
        factors = pulses.MODELS[name].factors(np.float64(state), pulses.MEAN)
        wanted = [
            s * f * per_state
            for s, f in zip((pulses.STEP_UP, pulses.STEP_DOWN), factors, strict=True)
        ]
        given = step_at(fit.device, device.g_min + (state - pulses.LOWER) * per_state)
        assert given == pytest.approx(wanted, rel=5e-3)


def test_bounds_that_a_curve_leaves_open_are_its_ends():
    pulse = np.arange(50)
    fit = fit_response(10e-6 + 0.1e-6 * pulse, 14.9e-6 - 0.1e-6 * pulse, xb.device.ConstantStep)
    assert (fit.device.g_min, fit.device.g_max) == pytest.approx((10e-6, 14.9e-6), rel=1e-3)
    assert np.multiply(fit.device.steps, fit.device.siemens) == pytest.approx(0.1e-6, rel=1e-3)


def test_branches_of_different_lengths_begin_where_they_begin():
    case = CASES["soft bounds"]
    up, down = case.curve()
    fit = fitted(case, up[20:], down[10:60])
    assert fit.device.steps == pytest.approx(case.steps, rel=1e-2)
    assert [len(branch) for branch in fit.curve] == [POINTS - 20, 50]
    assert fit.curve[0][0] == pytest.approx(up[20], rel=1e-3)
    assert fit.curve[1][0] == pytest.approx(down[10], rel=1e-3)


def test_the_fitted_device_responds_as_the_fitted_curve():
    case = CASES["soft bounds"]
    fit = fitted(case, *case.curve())
    quiet = dataclasses.replace(fit.device, cycle_noise=0.0, write_noise=0.0)
    measure = xb.device.characterise.response_curve
    response = measure(quiet, POINTS - 1, POINTS - 1, 1, jax.random.key(0))[:, 0]
    np.testing.assert_allclose(response[:POINTS], fit.curve[0], rtol=1e-3)
    np.testing.assert_allclose(response[POINTS - 1 :], fit.curve[1], rtol=1e-3)


def test_the_report_is_for_reading_and_its_code_makes_the_device():
    case = CASES["linear"]
    fit = fitted(case, *case.curve())
    text, code = fit.report().split("\n\n")
    assert text.startswith("LinearStep, fitted to 241 conductances up and 241 down\n")
    assert "range           4 µS to 28 µS\n" in text
    assert "gamma_up        0.6\n" in text
    assert all(len(line) <= 100 for line in fit.report().splitlines())
    made = eval(code, {"xb": xb})
    for field in dataclasses.fields(made):
        assert getattr(made, field.name) == pytest.approx(getattr(fit.device, field.name), rel=1e-5)


def test_a_poor_fit_says_so():
    case = CASES["soft bounds"]
    assert fitted(case, *case.curve()).remarks == ()
    fit = fit_response(*case.curve(), model=xb.device.ConstantStep)
    assert fit.remarks == (
        f"the error is {fit.rmse / 24e-6:.0%} of the measured span: noise, or another model suits "
        "better",
    )
    assert f"  note: {fit.remarks[0]}\n" in fit.report()


def test_parameters_at_the_end_of_the_search_are_named_but_a_natural_zero_is_not():
    straight = 5e-6 + 1e-7 * np.arange(POINTS)
    assert fit_response(straight, straight[::-1], xb.device.LinearStep).remarks == ()
    far = 1e-3 + straight  # 0 S does not limit this one
    fit = fit_response(far, far[::-1], xb.device.SoftBounds)
    assert "g_max is far beyond the curve, which does not show where steps end" in fit.remarks
    rising = 5e-6 + 20e-6 * np.linspace(0, 1, POINTS) ** 2
    fit = fit_response(rising, straight[::-1], Cubic, own={"strength": (0.5, 1.0)})
    assert "strength is at an end of the search, 0.5 to 1" in fit.remarks


def test_conductances_of_several_siemens_raise_a_question():
    fit = fit_response(1e6 * UP, 1e6 * DOWN, xb.device.ConstantStep)
    assert fit.remarks == (
        "conductances up to 25 S are unusual for one cell; if they are microsiemens, multiply them "
        "by 1e-6 and fit again",
    )


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Cubic(xb.device.AbstractPulsed):
    """A model of a user's own: steps shrink with the cube of the state."""

    strength: float = 0.5

    @property
    def additive(self):
        return True

    def check_own(self):
        pass

    def factors(self, state, own):
        return 1 - self.strength * state**3, 1 + self.strength * state**3

    @property
    def slopes(self):
        return None


def test_a_model_of_ones_own_can_be_fitted():
    case = Case(Cubic, lambda w, of: (1 - 0.8 * w**3, 1 + 0.8 * w**3), (0.012, 0.015), {})
    fit = fit_response(*case.curve(), model=Cubic, own={"strength": (0.0, 1.0)})
    assert isinstance(fit, Fit) and isinstance(fit.device, Cubic)
    assert fit.device.strength == pytest.approx(0.8, rel=1e-2)
    assert fit.device.steps == pytest.approx((0.012, 0.015), rel=5e-3)


# ---- Bad curves --------------------------------------------------------------------------------

UP, DOWN = np.linspace(5e-6, 25e-6, 20), np.linspace(25e-6, 5e-6, 20)
BAD = UP.copy()
BAD[3] = -1e-6
GAP = UP.copy()
GAP[4] = np.nan


@pytest.mark.parametrize(
    ("up", "down", "options", "error", "message"),
    [
        (UP[:7], DOWN, {}, ValueError, "up: expected at least 8 conductances, given 7"),
        (UP, DOWN[:3], {}, ValueError, "down: expected at least 8 conductances, given 3"),
        (BAD, DOWN, {}, ValueError, r"up\[3\]: expected a conductance of at least 0 S, given -1e"),
        (GAP, DOWN, {}, ValueError, r"up\[4\]: expected a conductance of at least 0 S, given nan"),
        (UP, np.full(9, 2e-6), {}, ValueError, "down: expected conductances that change, given 9"),
        (DOWN, UP, {}, ValueError, "up: expected conductances that rise, given ones from about "),
        (UP, UP, {}, ValueError, "down: expected conductances that fall, given ones from about "),
        (UP[:, None], DOWN, {}, ValueError, r"up: expected a list .*, given shape \(20, 1\)"),
        (["a"] * 9, DOWN, {}, TypeError, "up: expected conductances in siemens, given .'a'"),
        (UP, DOWN, {"model": xb.device.PCM}, TypeError, "model: expected a class of pulse devices"),
        (UP, DOWN, {"model": "soft_bounds"}, TypeError, "model: .*, given 'soft_bounds'"),
        (
            UP,
            DOWN,
            {"model": Cubic},
            ValueError,
            "model: expected one of ConstantStep, LinearStep, SoftBounds, ExponentialStep, "
            "PowerStep, or any other with own={…}, given Cubic",
        ),
        (
            UP,
            DOWN,
            {"model": Cubic, "own": {"weakness": (0, 1)}},
            ValueError,
            "own: expected parameters of Cubic's own, given weakness",
        ),
        (
            UP,
            DOWN,
            {"model": Cubic, "own": {"strength": (1.0, 0.0)}},
            ValueError,
            r"own\['strength'\]: expected limits \(low, high\), given \(1.0, 0.0\)",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused(up, down, options, error, message, as_users_call):
    with pytest.raises(error, match=message):
        fit_response(up, down, **options)


# ---- Files -------------------------------------------------------------------------------------


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "curve.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_is_read_by_the_names_of_its_columns(tmp_path, encoding, newline):
    lines = ["pulse, down ,up", "0,3e-6,1e-6", "1,2e-6,2.5e-6", "", "2,,3e-6", "3, nan ,4e-6", "4"]
    up, down = read_response_csv(write(tmp_path, newline.join(lines), encoding))
    np.testing.assert_array_equal(up, [1e-6, 2.5e-6, 3e-6, 4e-6])
    np.testing.assert_array_equal(down, [3e-6, 2e-6])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("names", ["up,down", "Up,DOWN", " UP , down ", "pulse,up,down"])
def test_columns_are_found_between_any_separators(tmp_path, separator, names):
    rows = [["1e-6", "3e-6"], [" 2e-6 ", "1e-6"], ["3e-6", ""]]
    if "pulse" in names:
        rows = [["0,5" if separator != "," else "0.5", *row] for row in rows]  # is not read
    text = [names.replace(",", separator), *(separator.join(row) for row in rows)]
    up, down = read_response_csv(write(tmp_path, "\n".join(text)))
    np.testing.assert_array_equal(up, [1e-6, 2e-6, 3e-6])
    np.testing.assert_array_equal(down, [3e-6, 1e-6])


def test_separators_at_the_end_of_a_line_are_no_cells(tmp_path):
    up, down = read_response_csv(write(tmp_path, "up,down\n1e-6,2e-6,,\n3e-6,, \n"))
    np.testing.assert_array_equal(up, [1e-6, 3e-6])
    np.testing.assert_array_equal(down, [2e-6])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "up,dwon\n1,2\n",
            "expected one column named up and one named down .*, given 'up', 'dwon'",
        ),
        ("up;dwon\n1;2\n", "in the first line, given 'up', 'dwon'"),
        ("up,UP,down\n1,2,3\n", "in the first line, given 'up', 'UP', 'down'"),
        ("1e-6,2e-6\n", "in the first line, given '1e-6', '2e-6'"),
        ("", "in the first line, given an empty file"),
        ("up,down\n1e-6,2e-6\n2e-6,high\n", r"csv, line 3, column down: expected a number, .*high"),
        ("up;down\n1e-6;2\n2e-6;1,5\n", "line 3, column down: expected a .* point, given '1,5'"),
        (
            "up,down\n1,5,1,5\n",
            "csv, line 2: expected 2 cells, as in the first line, given 4; decimals need a point",
        ),
        ("up,down\n1,2\n,2\n3,3\n", "csv, line 3, column up: expected a number, given none; only"),
    ],
)
def test_files_that_are_no_curve_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_response_csv(write(tmp_path, text))


def test_files_of_another_encoding_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a CSV file in UTF-8"):
        read_response_csv(write(tmp_path, "up,down\n1 µS,2\n", "latin-1"))


def test_a_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_response_csv(tmp_path / "none.csv")
