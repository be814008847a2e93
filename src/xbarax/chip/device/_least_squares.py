"""Least squares between limits: Adam, which finds the valley, and Levenberg–Marquardt."""

from collections.abc import Callable

import jax
import numpy as np
import optax
from jax import Array, lax
from jax import numpy as jnp

Residuals = Callable[[Array], Array]


def descend(residuals: Residuals, start: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Parameters and mean square after a number of steps of Adam, between limits.

    Args:
      residuals: (parameters,) → (residuals,).
      start: (parameters,), between `low` and `high`.
      low: (parameters,), their lower limits.
      high: (parameters,), their upper limits.
    """
    optimiser = optax.adam(optax.cosine_decay_schedule(_LARGEST_STEP, _STEPS))

    def mean_square(at: Array) -> Array:
        return jnp.mean(residuals(at) ** 2)

    def step(carry: tuple[Array, optax.OptState], _: None) -> tuple:
        at, state = carry
        updates, state = optimiser.update(jax.grad(mean_square)(at), state)
        return (jnp.clip(at + updates, low, high), state), None

    (end, _), _ = lax.scan(step, (start, optimiser.init(start)), None, _STEPS)
    return end, mean_square(end)


def polish(
    linearise: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Parameters of the nearest least mean square, between limits, by Levenberg and Marquardt.

    Where parameters trade off against one another, gradient descent crawls along a valley; steps
    that know its shape do not. They are solved for in double precision.

    Args:
      linearise: (parameters,) → residuals and their Jacobian (residuals, parameters).
      start: (parameters,), between `low` and `high`.
      low: (parameters,), their lower limits.
      high: (parameters,), their upper limits.

    Returns:
      Parameters and mean square.
    """
    at, damping = start, 1e-3
    residuals, slopes = linearise(at)
    least = float(np.mean(residuals**2))
    for _ in range(_MOST_POLISHING):
        moved = _damped_step(at, residuals, slopes, damping, low, high)
        new_residuals, new_slopes = linearise(moved)
        new = float(np.mean(new_residuals**2))
        if new < least:
            gain = (least - new) / least
            at, residuals, slopes, least = moved, new_residuals, new_slopes, new
            damping = max(damping / 4, 1e-9)
            if gain < _SMALLEST_GAIN or least == 0:
                break
        elif damping > _LARGEST_DAMPING:
            break
        else:
            damping *= 6
    return at, least


def _damped_step(
    at: np.ndarray,
    residuals: np.ndarray,
    slopes: np.ndarray,
    damping: float,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """One step; parameters at a limit that the gradient pushes against stay there."""
    gradient = slopes.T @ residuals
    blocked = ((at <= low) & (gradient > 0)) | ((at >= high) & (gradient < 0))
    free = np.flatnonzero(~blocked)
    scale = np.sqrt(damping * np.sum(slopes[:, free] ** 2, axis=0) + 1e-12 * len(residuals))
    system = np.concatenate([slopes[:, free], np.diag(scale)])
    wanted = np.concatenate([-residuals, np.zeros(len(free))])
    moved = at.copy()
    moved[free] += np.linalg.lstsq(system, wanted, rcond=None)[0]
    return np.clip(moved, low, high)


_STEPS = 400
_LARGEST_STEP = 0.05
_MOST_POLISHING = 100
_SMALLEST_GAIN = 1e-5
_LARGEST_DAMPING = 1e6
