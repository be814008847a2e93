"""Pulse models fitted to measured response curves, by gradient."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax import numpy as jnp
from numpy.typing import ArrayLike

from xbarax.chip.device._fit_search import SEARCHES, Found, Limits, Search, find, own_search
from xbarax.chip.device._pulsed import AbstractPulsed
from xbarax.chip.device._pulses import Own
from xbarax.chip.device._soft_bounds import SoftBounds
from xbarax.chip.device._units import format_siemens

Branches = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A pulse model fitted to a measured response curve.

    Args:
      device: the fitted device, without spread from cell to cell.
      rmse: root mean square of fitted minus measured conductances, in siemens.
      curve: the fitted branches up and down, in siemens, float64, as long as the measured ones.
      measured: the measured branches, in siemens.
      remarks: what to know before using the device, such as parameters that the curve leaves open.
    """

    device: AbstractPulsed
    rmse: float
    curve: Branches
    measured: Branches
    remarks: tuple[str, ...]

    def report(self) -> str:
        """The fit in words: parameters, error, remarks, and the device as code."""
        device = self.device
        name = type(device).__name__
        up, down = self.measured
        rows = [
            ("range", f"{format_siemens(device.g_min)} to {format_siemens(device.g_max)}"),
            ("step_up", self._step(device.steps[0])),
            ("step_down", self._step(device.steps[1])),
            *((field, _written(getattr(device, field), 4)) for field in _own_fields(device)),
            *((field, f"{getattr(device, field):.3g} mean steps") for field in _NOISES),
            ("error (rms)", f"{format_siemens(self.rmse)}, {self.rmse / _span(up, down):.2%} of "
             "the measured span"),
        ]  # fmt: skip
        width = max(len(heading) for heading, _ in rows)
        lines = [
            f"{name}, fitted to {len(up)} conductances up and {len(down)} down",
            *(f"  {heading:<{width}}  {value}" for heading, value in rows),
            *(f"  note: {remark}" for remark in self.remarks),
            "",
            f"{'xb.device.' if type(device) in SEARCHES else ''}{name}(",
            *(f"    {field}={_written(value)}," for field, value in _changed(device).items()),
            ")",
        ]
        return "\n".join(lines)

    def _step(self, step: float) -> str:
        return f"{step:.4g} ({format_siemens(step * self.device.siemens)}) where its factor is 1"


def fit_response(
    up: ArrayLike,
    down: ArrayLike,
    model: type[AbstractPulsed] = SoftBounds,
    own: Mapping[str, Limits] | None = None,
) -> Fit:
    r"""Fits a pulse model's mean response to a measured response curve, by gradient.

    Minimises `Σ (G_fit − G)²` over both branches, through the model's `factors` and the bounds, by
    Adam from several starts and then by Levenberg–Marquardt steps from the best.

    A curve fixes conductances alone, so that the scale of the state is free to choose: the fitted
    bounds are the states −1 and 1, `g_min` and `g_max` are their conductances, and state 0, a
    weight of zero, is the middle between. Where steps do not end at the bounds (constant, linear
    and exponential step) and the curve has no plateau, it leaves the bounds open, and they are put
    where it ends. The exponential step gets `|a| = 0.5` and `b = 0`, for which its other parameters
    make up.

    One curve says nothing of spread from cell to cell: the fitted device has none. Its noise is
    estimated from how measured increments differ from the mean steps, `r_k`, away from the bounds.
    What a pulse does to the state stays; what is in one measurement alone goes back with the next
    increment. With `c = mean(r_k r_{k+1})`, `write_noise` is `√−c`, or 0 where `c` is not negative
    by 4 standard errors; `cycle_noise` is the rest, `√(mean(r_k²) − 2 write_noise²)`, in steps.

    Args:
      up: conductances of the branch up, in siemens: where it begins, and after each pulse.
      down: those of the branch down. Each branch has a beginning of its own, which is fitted too.
      model: the pulse model's class.
      own: for a model of your own, which of its own parameters to fit, and the limits of each; the
        search begins at their defaults.

    Returns:
      The fitted device, its error and its curve.

    Raises:
      TypeError: a model that is no class of pulse devices; conductances that are no numbers.
      ValueError: a branch of less than 8 conductances, or with negative, constant or not finite
        ones, or that leads the wrong way; a model of your own without `own`.
    """
    measured = _check_branch("up", up), _check_branch("down", down)
    _check_directions(*measured)
    search = _find_search(model, own)
    base, span = float(min(map(np.min, measured))), _span(*measured)
    points = max(map(len, measured))
    data, present = np.zeros((points, 2)), np.zeros((points, 2))
    for i, branch in enumerate(measured):
        data[: len(branch), i] = (branch - base) / span
        present[: len(branch), i] = 1
    found = find(search, data, present, floor=-base / span)
    curve = tuple(base + span * found.curve[: len(b), i] for i, b in enumerate(measured))
    missed = np.concatenate(curve) - np.concatenate(measured)
    rmse = float(np.sqrt(np.mean(missed**2)))
    device = _with_noise(_device(model, found, base, span), measured, (curve[0], curve[1]))
    remarks = tuple(_remarks(search, found, rmse / span, measured))
    return Fit(device, rmse, (curve[0], curve[1]), measured, remarks)


def _device(model: type[AbstractPulsed], found: Found, base: float, span: float) -> AbstractPulsed:
    shared = found.shared
    to_state = 2 / (shared["high"] - shared["low"])
    own: dict[str, Any] = {**dict.fromkeys(_UNKNOWN, 0.0), **found.own}
    return model(
        step_up=to_state * math.exp(shared["step_up"]),
        step_down=to_state * math.exp(shared["step_down"]),
        g_min=max(base + span * shared["low"], 0.0),
        g_max=base + span * shared["high"],
        lower=-1.0,
        upper=1.0,
        **own,
    )


def _with_noise(device: AbstractPulsed, measured: Branches, fitted: Branches) -> AbstractPulsed:
    """The device with the noise that is left between measured increments and its mean steps."""
    squares, products, scales = [], [], []
    for i, sign in enumerate((1, -1)):
        state, mean = (
            (b[i] - device.g_min) / device.siemens + device.lower for b in (measured, fitted)
        )
        rest, scale = _increments(device, state, sign)
        # Bounds cut noise off, and not all curves reach what lies between.
        inside = np.abs(mean[:-1]) < (_FAR_FROM_BOUNDS if np.ptp(mean) > 0.2 else 1.0)
        squares.append(rest[inside] ** 2)
        scales.append(scale[inside] ** 2)
        products.append((rest[1:] * rest[:-1])[inside[1:] & inside[:-1]])
    square, product, scale = map(np.concatenate, (squares, products, scales))
    if len(product) < _LEAST_INCREMENTS or not scale.any():
        return device
    covariance, error = np.mean(product), np.sqrt(np.mean(product**2) / len(product))
    write = max(-float(covariance), 0.0) if -covariance > _SIGNIFICANT * error else 0.0
    cycle = max(float(np.mean(square)) - 2 * write, 0.0) / float(np.mean(scale))
    return dataclasses.replace(
        device, cycle_noise=math.sqrt(cycle), write_noise=math.sqrt(write) / device.steps[0]
    )


def _increments(
    device: AbstractPulsed, state: np.ndarray, sign: int
) -> tuple[np.ndarray, np.ndarray]:
    """Measured increments less the mean ones, and the steps that their noise is relative to."""
    own = Own(*(jnp.float32(x) for x in (device.lower, device.upper, *device.steps)))
    before = jnp.asarray(np.clip(state[:-1], device.lower, device.upper), jnp.float32)
    direction = 0 if sign > 0 else 1
    factor = np.asarray(device.factors(before, own)[direction], float)
    step = device.steps[direction]
    scale = np.full_like(factor, step) if device.additive else step * factor
    return np.diff(state) - sign * step * factor, scale


def _remarks(search: Search, found: Found, share: float, measured: Branches) -> list[str]:
    remarks = []
    limits = dict(search.limits)
    for name in found.at_limits:
        low_is_natural = limits.get(name, (1.0, 1.0))[0] == 0
        if name in limits and not (low_is_natural and found.own[name] < _NEAR_ZERO):
            remarks.append(
                f"{name} is at an end of the search, {limits[name][0]:g} to {limits[name][1]:g}"
            )
        if name == "high" and found.shared["high"] > 1:
            remarks.append("g_max is far beyond the curve, which does not show where steps end")
        if name == "low" and found.shared["low"] < -1:
            remarks.append("g_min is far below the curve, which does not show where steps end")
    if share > _POOR:
        remarks.append(
            f"the error is {share:.0%} of the measured span: noise, or another model suits better"
        )
    largest = float(max(map(np.max, measured)))
    if largest > _LARGEST_USUAL:
        remarks.append(
            f"conductances up to {format_siemens(largest)} are unusual for one cell; if they are "
            "microsiemens, multiply them by 1e-6 and fit again"
        )
    return remarks


def _find_search(model: type[AbstractPulsed], own: Mapping[str, Limits] | None) -> Search:
    if not (isinstance(model, type) and issubclass(model, AbstractPulsed)):
        raise TypeError(f"model: expected a class of pulse devices, given {model!r}")
    if own is None:
        if model in SEARCHES:
            return SEARCHES[model]
        known = ", ".join(known.__name__ for known in SEARCHES)
        raise ValueError(
            f"model: expected one of {known}, or any other with own={{…}}, given {model.__name__}"
        )
    fields = {field.name for field in dataclasses.fields(model)}
    shared = {field.name for field in dataclasses.fields(AbstractPulsed)}
    if unknown := own.keys() - (fields - shared):
        raise ValueError(
            f"own: expected parameters of {model.__name__}'s own, given {', '.join(unknown)}"
        )
    for name, (low, high) in own.items():
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"own[{name!r}]: expected limits (low, high), given ({low}, {high})")
    return own_search(model, own)


def _check_branch(name: str, values: ArrayLike) -> np.ndarray:
    try:
        branch = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected conductances in siemens, given {values!r}") from error
    if branch.ndim != 1:
        raise ValueError(f"{name}: expected a list of conductances, given shape {branch.shape}")
    if len(branch) < _LEAST_POINTS:
        raise ValueError(
            f"{name}: expected at least {_LEAST_POINTS} conductances, given {len(branch)}"
        )
    bad = np.flatnonzero(~(np.isfinite(branch) & (branch >= 0)))
    if bad.size:
        raise ValueError(
            f"{name}[{bad[0]}]: expected a conductance of at least 0 S, given {branch[bad[0]]:g}"
        )
    if np.ptp(branch) <= _CONSTANT * np.max(branch):
        raise ValueError(
            f"{name}: expected conductances that change, given {len(branch)} times {branch[0]:g} S"
        )
    return branch


def _check_directions(up: np.ndarray, down: np.ndarray) -> None:
    """Compares the means of the first and the last quarter, which noise cannot turn around."""
    for name, branch, sign, wanted in (("up", up, 1, "rise"), ("down", down, -1, "fall")):
        quarter = len(branch) // 4
        first, last = float(np.mean(branch[:quarter])), float(np.mean(branch[-quarter:]))
        if sign * (last - first) <= 0:
            raise ValueError(
                f"{name}: expected conductances that {wanted}, given ones from about "
                f"{format_siemens(first)} to {format_siemens(last)}"
            )


def _span(up: np.ndarray, down: np.ndarray) -> float:
    return float(max(up.max(), down.max()) - min(up.min(), down.min()))


def _own_fields(device: AbstractPulsed) -> list[str]:
    shared = {field.name for field in dataclasses.fields(AbstractPulsed)}
    return [field.name for field in dataclasses.fields(device) if field.name not in shared]


def _changed(device: AbstractPulsed) -> dict[str, object]:
    """The fields that differ from their defaults."""
    values = {field.name: getattr(device, field.name) for field in dataclasses.fields(device)}
    defaults = {field.name: field.default for field in dataclasses.fields(device)}
    return {name: value for name, value in values.items() if value != defaults[name]}


def _written(value: object, digits: int = 6) -> str:
    """A value as code; six digits are more than a fit knows."""
    return repr(float(f"{value:.{digits}g}") if isinstance(value, float) else value)


_UNKNOWN = ("step_spread", "asymmetry_spread", "lower_spread", "upper_spread", "cycle_noise")
"""What a fit begins without; the last comes from its residuals."""

_NOISES = ("cycle_noise", "write_noise")

_LEAST_POINTS = 8
_LEAST_INCREMENTS = 6
_FAR_FROM_BOUNDS = 0.95
_CONSTANT = 1e-6
_POOR = 0.03
_SIGNIFICANT = 4
_NEAR_ZERO = 0.01
_LARGEST_USUAL = 0.1
