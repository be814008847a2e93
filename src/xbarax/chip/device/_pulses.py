"""What pulses do to the states of cells: many at once where that is exact, else one by one."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from jax import Array, lax
from jax import numpy as jnp

from xbarax import _kernels


class Own(NamedTuple):
    """What each cell has of its own, in the state's units.

    Attributes:
      lower: its lower bound, negative.
      upper: its upper bound, positive.
      step_up: the mean size of its steps up where the device's factor is 1, positive.
      step_down: that of its steps down, positive.
    """

    lower: Array
    upper: Array
    step_up: Array
    step_down: Array


Slopes = tuple[float, float] | Literal["bounds"]
"""Of steps up and down, the same for all cells; or "bounds": 1/b of each cell's own bounds."""


def slopes(of: Slopes, own: Own) -> tuple[Array, Array]:
    """Those of each cell."""
    if of == "bounds":
        return 1 / own.upper, 1 / own.lower
    return jnp.full_like(own.upper, of[0]), jnp.full_like(own.lower, of[1])


class Steps(NamedTuple):
    """How cells move with each pulse.

    Attributes:
      own: what each cell has of its own.
      factors: how large steps up and down are at a state, relative to those of `own`.
      slopes: where the factors are `1 − slope · state`, those slopes; None where they are not.
      noise: the spread of a step from pulse to pulse, relative to `own`'s.
      additive: whether the noise of a step does not scale with its factor.
    """

    own: Own
    factors: Callable[[Array], tuple[Array, Array]]
    slopes: tuple[Array, Array] | None
    noise: float
    additive: bool


def respond(steps: Steps, state: Array, counts: Array, key: Array) -> tuple[Array, Array]:
    """States after `counts` pulses each (negative: down), and which of them a bound cut off.

    In turns: each takes as many pulses at once as is exact for the cell, and one where none is.
    """
    up = counts > 0
    own = steps.own

    def go_on(carry: tuple) -> Array:
        _, left, *_ = carry
        return jnp.any(left > 0)

    def turn(carry: tuple) -> tuple:
        number, left, state, cut = carry
        xi = jnp.zeros_like(state)
        if steps.noise > 0:
            xi = _kernels.normal(_kernels.fold_in(key, number), state.shape, state.dtype)
        n = jnp.clip(_reach(steps, state, up), 1, jnp.maximum(left, 1)).astype(jnp.int32)
        n = jnp.maximum(n, 1)  # also where the reach of an infinite step is no number
        stepped = _step(steps, state, up, xi)
        moved = stepped if steps.slopes is None else _leap(steps, state, up, n, xi, stepped)
        clipped = jnp.clip(moved, own.lower, own.upper)
        active = left > 0
        cut = cut | (active & (n == 1) & (clipped != moved))
        return number + 1, left - n, jnp.where(active, clipped, state), cut

    none = jnp.zeros(state.shape, bool)
    begin = (jnp.zeros((), jnp.int32), jnp.abs(counts), state, none)
    _, _, state, cut = lax.while_loop(go_on, turn, begin)
    return state, cut


def _reach(steps: Steps, state: Array, up: Array) -> Array:
    """How many pulses keep both bounds out of reach, float32; at least 0.

    A cell that moves by at most `m` a pulse, with a spread of `s`, stays below a bound at a
    distance `d` for `k` pulses with `k m + 4 s √k ≤ d`, and above the other with `4 s √k ≤ d`.
    """
    if steps.slopes is None or (steps.noise > 0 and not steps.additive):
        return jnp.ones_like(state)
    own = steps.own
    size = jnp.where(up, own.step_up, own.step_down)
    move = size * jnp.maximum(jnp.where(up, *steps.factors(state)), 0)
    far = _FAR * steps.noise * size
    ahead = jnp.maximum(jnp.where(up, own.upper - state, state - own.lower), 0)
    behind = jnp.where(up, state - own.lower, own.upper - state)
    root = 2 * ahead / jnp.maximum(far + jnp.sqrt(far**2 + 4 * move * ahead), _TINY)
    pulses = root**2
    if steps.noise > 0:
        pulses = jnp.minimum(pulses, (behind / far) ** 2)
    share = size * jnp.abs(jnp.where(up, *steps.slopes))
    return jnp.where(share < _LARGEST_SHARE, jnp.minimum(pulses, _MOST), 0)


def _leap(steps: Steps, state: Array, up: Array, counts: Array, xi: Array, stepped: Array) -> Array:
    """All pulses at once, with the noise `xi`; `stepped` where there is one.

    An affine step takes the share `a = slope · step` of the way that is left to where the steps
    end, so that n of them leave `(1 − a)^n` of it. Additive noise makes this a Gaussian with
    `(Δσ)² (1 − (1 − a)^{2n})/(1 − (1 − a)²)`, as long as no bound is in reach.
    """
    assert steps.slopes is not None
    n = counts.astype(state.dtype)
    step = jnp.where(up, steps.own.step_up, -steps.own.step_down)
    share = step * jnp.where(up, *steps.slopes)
    flat = share == 0
    a = jnp.where(flat, 0.5, jnp.clip(share, 0, _LARGEST_SHARE))
    log_left = n * jnp.log1p(-a)
    ones = jnp.where(flat, n, -jnp.expm1(log_left) / a)
    squares = jnp.where(flat, n, -jnp.expm1(2 * log_left) / (a * (2 - a)))
    mean = state + ones * (step - jnp.where(flat, 0, a) * state)
    deviation = steps.noise * jnp.abs(step) * jnp.sqrt(squares)
    return jnp.where(counts > 1, mean + deviation * xi, stepped)


def _step(steps: Steps, state: Array, up: Array, xi: Array) -> Array:
    """One pulse with the noise `xi`, before clipping."""
    factor = jnp.where(up, *steps.factors(state))
    noise = steps.noise * xi
    factor = factor + noise if steps.additive else factor * (1 + noise)
    return state + jnp.where(up, steps.own.step_up, -steps.own.step_down) * factor


def symmetry_point(steps: Steps) -> Array:
    """The state of each cell at which its mean steps up and down are equal.

    Where there is none, the bound at which the two come closest; 0 where they are equal at 0.
    """
    own = steps.own

    def excess(state: Array) -> Array:
        up, down = steps.factors(state)
        return own.step_up * up - own.step_down * down

    at_zero = excess(jnp.zeros_like(own.lower))
    if steps.slopes is not None:
        fall = own.step_up * steps.slopes[0] - own.step_down * steps.slopes[1]
        point = at_zero / jnp.where(fall > 0, fall, 1)
        point = jnp.where(fall > 0, point, jnp.where(at_zero > 0, jnp.inf, -jnp.inf))
        return jnp.where(at_zero == 0, 0, jnp.clip(point, own.lower, own.upper))

    def halve(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        rises = excess(middle) > 0
        return jnp.where(rises, middle, low), jnp.where(rises, high, middle)

    low, high = lax.fori_loop(0, _HALVINGS, halve, (own.lower, own.upper))
    return jnp.where(at_zero == 0, 0, (low + high) / 2)


_FAR = 4.0
"""How many standard deviations away a bound is out of reach."""

_LARGEST_SHARE = 0.999
"""Shares near 1 and above, for which the logarithm is no use, are walked."""

_MOST = 2.0**24

_TINY = 1e-30

_HALVINGS = 30
"""Bring a bracket of any preset's size below float32's resolution."""
