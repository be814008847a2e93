"""The search for a pulse model's parameters: its mean response, and where to look for them."""

import copy
import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp

from xbarax.chip.device import _least_squares
from xbarax.chip.device._constant_step import ConstantStep
from xbarax.chip.device._exponential_step import ExponentialStep
from xbarax.chip.device._linear_step import LinearStep
from xbarax.chip.device._power_step import PowerStep
from xbarax.chip.device._pulsed import AbstractPulsed
from xbarax.chip.device._pulses import Own
from xbarax.chip.device._soft_bounds import SoftBounds

Limits = tuple[float, float]

SHARED = ("step_up", "step_down", "low", "high", "begin_up", "begin_down")
"""What is fitted for every model: logarithms of the steps where their factor is 1, the bounds, all
in units of the measured span and from its lower end; and where the branches begin, as shares of
the way between the bounds."""


@dataclasses.dataclass(frozen=True)
class Search:
    """Where to look for a model's own parameters.

    Args:
      model: the model's class.
      limits: of each parameter that is fitted.
      starts: values of the model's own parameters to begin at, those that stay included.
      margins: how far beyond the measured curve the bounds begin, in units of its span.
    """

    model: type[AbstractPulsed]
    limits: tuple[tuple[str, Limits], ...]
    starts: tuple[tuple[tuple[str, float], ...], ...]
    margins: tuple[float, ...]

    @property
    def free(self) -> tuple[str, ...]:
        """The model's own parameters that are fitted."""
        return tuple(name for name, _ in self.limits)

    @property
    def kept(self) -> tuple[str, ...]:
        """The model's own parameters that stay as they begin."""
        return tuple(name for name, _ in self.starts[0] if name not in self.free)


def _search(
    model: type[AbstractPulsed],
    limits: Mapping[str, Limits],
    starts: list[dict[str, float]],
    margins: tuple[float, ...],
) -> Search:
    return Search(model, tuple(limits.items()), tuple(tuple(s.items()) for s in starts), margins)


# Steps that end at the bounds show them from afar; others show them only by getting there.
_REACHED = (0.0,)
_OPEN = (0.02, 0.4)

_GAMMAS = ("gamma_up", "gamma_down")

SEARCHES = {
    search.model: search
    for search in (
        _search(ConstantStep, {}, [{}], _REACHED),
        _search(
            LinearStep,
            dict.fromkeys(_GAMMAS, (0.0, 2.0)),
            [dict.fromkeys(_GAMMAS, gamma) for gamma in (0.2, 0.9)],
            _REACHED,
        ),
        _search(SoftBounds, {}, [{}], _OPEN),
        _search(
            ExponentialStep,
            {
                **dict.fromkeys(_GAMMAS, (0.0, 20.0)),
                **dict.fromkeys(("amplitude_up", "amplitude_down"), (-20.0, 20.0)),
            },
            [
                {"a": a, "b": 0.0, "gamma_up": 2.0, "gamma_down": 2.0}
                | {"amplitude_up": up, "amplitude_down": down}
                for a, up, down in itertools.product((-0.5, 0.5), (-0.5, 0.2), (-0.5, 0.2))
            ],
            _REACHED,
        ),
        _search(
            PowerStep,
            dict.fromkeys(_GAMMAS, (0.0, 6.0)),
            [dict.fromkeys(_GAMMAS, gamma) for gamma in (0.5, 1.0, 2.0)],
            _OPEN,
        ),
    )
}
"""Where to look for the parameters of xbarax's own models (illustrative)."""


def own_search(model: type[AbstractPulsed], limits: Mapping[str, Limits]) -> Search:
    """The search for the parameters of any model, from their defaults."""
    template: Any = model()
    start = {name: float(getattr(template, name)) for name in limits}
    return _search(model, limits, [start], (0.0, *_OPEN))


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search ended with.

    Args:
      shared: the values of `SHARED`.
      own: the model's own parameters.
      curve: the mean response (points, 2), in units of the measured span from its lower end.
      at_limits: the parameters at an end of where was looked for them.
    """

    shared: dict[str, float]
    own: dict[str, float]
    curve: np.ndarray
    at_limits: tuple[str, ...]


def find(search: Search, data: np.ndarray, present: np.ndarray, floor: float) -> Found:
    """The parameters whose mean response is nearest the data.

    Args:
      search: where to look.
      data: (points, 2), the branches up and down, from 0 to 1.
      present: (points, 2), 1 where there are data, 0 elsewhere.
      floor: what stands for 0 S, at most 0.

    Raises:
      ValueError: the model's response is not finite wherever it was looked at.
    """
    as_float32 = lambda x: jnp.asarray(x, jnp.float32)
    measured = as_float32(data), as_float32(present)
    shared_limits = [_STEP_LIMITS, _STEP_LIMITS, (max(floor, -4.0), 0.5), (0.5, 5.0)]
    every = [*shared_limits, (0.0, 1.0), (0.0, 1.0), *(limits for _, limits in search.limits)]
    low, high = np.array(every, float).T
    starts, kept = _starts(search, data, present)
    starts = np.clip(starts, low, high)
    ends, errors = _descend(search, *map(as_float32, (starts, kept, low, high)), *measured)
    finite = [i for i in np.argsort(errors).tolist() if np.isfinite(errors[i])]
    if not finite:
        raise ValueError(
            f"{search.model.__name__}: its mean response is not finite with any parameters tried"
        )

    def polish(i: int) -> tuple[np.ndarray, float, np.ndarray]:
        def linearise(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            residuals, slopes = _linearise(search, as_float32(at), as_float32(kept[i]), *measured)
            return np.asarray(residuals, float), np.asarray(slopes, float)

        end = np.clip(np.asarray(ends[i], float), low, high)
        return (*_least_squares.polish(linearise, end, low, high), kept[i])

    values, _, stayed = min(map(polish, finite[:_POLISHED]), key=lambda end: end[1])
    near = _AT_LIMIT * (high - low)
    at_limits = (values <= low + near) | (values >= high - near)
    return Found(
        shared=dict(zip(SHARED, values[: len(SHARED)].tolist(), strict=True)),
        own=dict(zip(search.free, values[len(SHARED) :].tolist(), strict=True))
        | dict(zip(search.kept, stayed.tolist(), strict=True)),
        curve=np.asarray(_curve(search, as_float32(values), as_float32(stayed), len(data)), float),
        at_limits=tuple(itertools.compress(SHARED + search.free, at_limits)),
    )


def _starts(search: Search, data: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All points to begin at, and the values of the parameters that stay."""
    rates = [_rate(data[present[:, i] > 0, i]) for i in range(2)]
    points, kept = [], []
    for start, margin in itertools.product(search.starts, search.margins):
        own = dict(start)
        device = traced(search.model(), {"lower": -1.0, "upper": 1.0, **own})
        # How large steps are in the middle of the way that the rates were measured over.
        middle = Own(*(jnp.float32(x) for x in (-1, 1, 1, 1)))
        factors = [
            float(device.factors(jnp.float32(at), middle)[i]) for i, at in enumerate((-0.5, 0.5))
        ]
        steps = [np.log(rate / max(f, 0.1)) for rate, f in zip(rates, factors, strict=True)]
        begin = [(data[0, i] + margin) / (1 + 2 * margin) for i in range(2)]
        points.append([*steps, -margin, 1 + margin, *begin, *(own[name] for name in search.free)])
        kept.append([own[name] for name in search.kept])
    return np.array(points), np.array(kept).reshape(len(points), -1)


def _rate(branch: np.ndarray) -> float:
    """The mean change with a pulse over the first half of the way."""
    way = np.abs(branch - branch[0])
    half = int(np.argmax(way >= way[-1] / 2)) if way[-1] > 0 else len(branch) - 1
    return max(float(way[max(half, 1)]) / max(half, 1), 1e-6)


def traced(template: AbstractPulsed, fields: Mapping[str, Any]) -> Any:
    """A device with some fields replaced by anything, traced numbers too, without its checks."""
    device = copy.copy(template)
    for name, value in fields.items():
        object.__setattr__(device, name, value)
    return device


def _mean_curve(search: Search, values: Array, kept: Array, points: int) -> Array:
    """The mean response (points, 2), in units of the measured span from its lower end."""
    log_up, log_down, low, high, *begin = values[: len(SHARED)]
    width = high - low
    step_up, step_down = (2 * jnp.exp(log) / width for log in (log_up, log_down))
    own = Own(jnp.float32(-1), jnp.float32(1), step_up, step_down)
    fields = dict(zip(search.free, values[len(SHARED) :], strict=True))
    fields |= dict(zip(search.kept, kept, strict=True))
    device = traced(search.model(), {"lower": -1.0, "upper": 1.0, **fields})

    def pulse(state: Array, _: None) -> tuple[Array, Array]:
        # At the bounds themselves, powers below 1 have no derivative.
        up, down = device.factors(jnp.clip(state, -_INSIDE, _INSIDE), own)
        step = jnp.stack([step_up * up[0], -step_down * down[1]])
        return jnp.clip(state + step, -1, 1), state

    _, states = lax.scan(pulse, 2 * jnp.stack(begin) - 1, None, points)
    return low + width * (states + 1) / 2


def _residuals(search: Search, values: Array, kept: Array, data: Array, present: Array) -> Array:
    missed = (_mean_curve(search, values, kept, len(data)) - data) * present
    count = jnp.sum(present)
    # Where the curve leaves the bounds open, this decides.
    pull = _PULL_TO_ENDS if search.margins == _REACHED else _PULL
    open_bounds = pull * jnp.stack([values[2], values[3] - 1])
    return jnp.concatenate([(missed / jnp.sqrt(count)).ravel(), open_bounds])


@functools.partial(jax.jit, static_argnums=0)
def _descend(
    search: Search,
    starts: Array,
    kept: Array,
    low: Array,
    high: Array,
    data: Array,
    present: Array,
) -> tuple[Array, Array]:
    def from_one(start: Array, kept: Array) -> tuple[Array, Array]:
        residuals = lambda values: _residuals(search, values, kept, data, present)
        return _least_squares.descend(residuals, start, low, high)

    return jax.vmap(from_one)(starts, kept)


@functools.partial(jax.jit, static_argnums=0)
def _linearise(
    search: Search, values: Array, kept: Array, data: Array, present: Array
) -> tuple[Array, Array]:
    residuals = lambda at: _residuals(search, at, kept, data, present)
    return residuals(values), jax.jacfwd(residuals)(values)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _curve(search: Search, values: Array, kept: Array, points: int) -> Array:
    return _mean_curve(search, values, kept, points)


_STEP_LIMITS = (float(np.log(1e-7)), float(np.log(10.0)))
_INSIDE = 1 - 1e-6
_PULL, _PULL_TO_ENDS = 1e-4, 1e-2
_POLISHED = 2
_AT_LIMIT = 1e-4
