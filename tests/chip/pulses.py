"""The pulse models written down once more, in NumPy and double precision, for tests alone."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

import xbarax as xb

Z = 4.5  # a normal number lies farther than this many standard deviations off once in 150 000

LOWER, UPPER, STEP_UP, STEP_DOWN = -0.8, 1.2, 0.02, 0.015
RANGE = {"lower": LOWER, "upper": UPPER, "step_up": STEP_UP, "step_down": STEP_DOWN}
UNIFORM = {
    "step_spread": 0.0,
    "asymmetry_spread": 0.0,
    "lower_spread": 0.0,
    "upper_spread": 0.0,
}
SPREAD = {
    "step_spread": 0.3,
    "asymmetry_spread": 0.2,
    "lower_spread": 0.1,
    "upper_spread": 0.1,
}
SIEMENS = 20e-6 / 2  # from 5 to 25 µS over a range of 2
ZERO = 5e-6 + 0.8 * SIEMENS
QUIET = {**RANGE, **UNIFORM, "cycle_noise": 0.0}


class Own(NamedTuple):
    """As the device draws it, in double precision."""

    lower: np.ndarray
    upper: np.ndarray
    step_up: np.ndarray
    step_down: np.ndarray


MEAN = Own(*map(np.float64, (LOWER, UPPER, STEP_UP, STEP_DOWN)))


def constant(w, own):
    return np.ones_like(w), np.ones_like(w)


def linear(w, own):
    return 1 - 0.6 * w / UPPER, 1 - 0.3 * w / LOWER


def soft_bounds(w, own):
    return 1 - w / own.upper, 1 - w / own.lower


def exponential(w, own):
    z = 2 * 0.5 * w / (own.upper - own.lower) + 0.1
    up = 1 - 0.3 * np.exp(2.0 * z)
    down = 1 - 0.2 * np.exp(-3.0 * z)
    return np.maximum(up, 0), np.maximum(down, 0)


def power(w, own):
    width = own.upper - own.lower
    return ((own.upper - w) / width) ** 1.5, ((w - own.lower) / width) ** 0.7


EXPONENTIAL = {
    "a": 0.5,
    "b": 0.1,
    "gamma_up": 2.0,
    "gamma_down": 3.0,
    "amplitude_up": 0.3,
    "amplitude_down": 0.2,
}


class Model(NamedTuple):
    """A device's class with fields of its own, its step, and whether noise is added to it."""

    make: Any
    fields: dict[str, Any]
    factors: Any
    additive: bool

    def device(self, **changes):
        return self.make(**self.fields, **{**QUIET, **changes})


LINEAR = {"gamma_up": 0.6, "gamma_down": 0.3}

MODELS = {
    "constant": Model(xb.device.ConstantStep, {}, constant, True),
    "linear": Model(xb.device.LinearStep, LINEAR, linear, False),
    "linear, additive": Model(
        xb.device.LinearStep, {**LINEAR, "additive_noise": True}, linear, True
    ),
    "soft bounds": Model(xb.device.SoftBounds, {}, soft_bounds, True),
    "exponential": Model(xb.device.ExponentialStep, EXPONENTIAL, exponential, False),
    "power": Model(xb.device.PowerStep, {"gamma_up": 1.5, "gamma_down": 0.7}, power, False),
}
ADDITIVE = [name for name, model in MODELS.items() if model.additive]
MULTIPLICATIVE = [name for name, model in MODELS.items() if not model.additive]


@functools.cache
def compiled(device, method):
    """A device's method, compiled once for each device and shape."""
    return jax.jit(getattr(device, method))


def cells_at(device, states, seed=0):
    """Cells at given states or else at their bounds, and what each has of its own."""
    states, identity = np.asarray(states, np.float32), jax.random.key(seed)
    own = device.own(identity, states.shape)
    zero = jnp.zeros((), jnp.int32)
    cells = {
        "state": jnp.clip(states, own.lower, own.upper),
        "identity": identity,
        "pulses": zero,
        "saturated": zero,
        "capped": zero,
    }
    if device.write_noise > 0:
        cells["written"] = jnp.zeros(states.shape)
    return cells, Own(*(np.asarray(x, np.float64) for x in own))


def pulse(device, cells, counts, key):
    """Cells after as many pulses."""
    counts = jnp.broadcast_to(jnp.asarray(counts, jnp.int32), cells["state"].shape)
    return compiled(device, "pulse")(cells, counts, key)


def pulse_once(model, w, own, up, noise=0.0):
    """One pulse; `noise` is σ ξ."""
    factor_up, factor_down = model.factors(w, own)
    factor = np.where(up, factor_up, factor_down)
    factor = factor + noise if model.additive else factor * (1 + noise)
    moved = w + np.where(up, own.step_up, -own.step_down) * factor
    return np.clip(moved, own.lower, own.upper)


def pulse_often(model, w, own, counts, sigma=0.0, rng=None):
    """Pulse by pulse, up where `counts` is positive."""
    for k in range(np.abs(counts).max()):
        noise = sigma * rng.standard_normal(w.shape) if sigma else 0.0
        w = np.where(k < np.abs(counts), pulse_once(model, w, own, counts > 0, noise), w)
    return w


def double(numbers):
    return np.asarray(numbers, np.float64)


def program(device, states, start=ZERO, seed=3):
    """Programs towards states, and returns the states that come of it."""
    targets = jnp.asarray(ZERO + SIEMENS * np.asarray(states), jnp.float32)
    cells = jax.jit(lambda targets: device.program(targets, start, jax.random.key(seed)))(targets)
    return (double(device.conductance(cells)) - ZERO) / SIEMENS


def assert_mean(samples, expected, deviation):
    """The mean of independent numbers of a known standard deviation, at confidence Z."""
    error = deviation / np.sqrt(np.size(samples))
    np.testing.assert_allclose(np.mean(samples, dtype=np.float64), expected, 0, Z * error)


def assert_normal(samples, mean, deviation):
    """The first two moments of normal numbers, at confidence Z."""
    assert_mean(samples, mean, deviation)
    squares = (np.asarray(samples, np.float64) - mean) ** 2
    assert_mean(squares, deviation**2, np.sqrt(2) * deviation**2)
