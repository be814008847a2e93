"""The foreign call that gives cells their pulses."""

import dataclasses
from typing import Literal

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class PulsedCells:
    """What cells have in common whose steps are affine in their state.

    Attributes:
      step_up, step_down, step_spread, step_lognormal, asymmetry_spread, lower, upper,
        lower_spread, upper_spread, cycle_noise: those of `AbstractPulsed`.
      slopes: up and down: a step is `1 − slope · state` of the largest; "bounds": one over each
        cell's own bounds.
      additive: whether noise does not shrink with the step.
    """

    step_up: float
    step_down: float
    step_spread: float
    step_lognormal: bool
    asymmetry_spread: float
    lower: float
    upper: float
    lower_spread: float
    upper_spread: float
    cycle_noise: float
    slopes: tuple[float, float] | Literal["bounds"]
    additive: bool


def pulse(
    cells: PulsedCells, identity: Array, key: Array, state: Array, counts: Array
) -> tuple[Array, Array]:
    """States (any one shape) after int32 `counts` of pulses, and where a bound cut off a step.

    `identity` and `key` are the data (2,) of threefry keys: what cells have of their own are
    numbers of the one, noise is of the other.
    """
    n = (state.size,)
    results = (jax.ShapeDtypeStruct(n, jnp.float32), jax.ShapeDtypeStruct(n, jnp.bool_))
    call = jax.ffi.ffi_call("xbarax_pulse", results, vmap_method="broadcast_all")
    own_bounds = cells.slopes == "bounds"
    slopes = (0.0, 0.0) if own_bounds else cells.slopes
    numbers = (
        *(cells.step_up, cells.step_down, cells.step_spread, cells.asymmetry_spread),
        *(cells.lower, cells.upper, cells.lower_spread, cells.upper_spread),
        *(cells.cycle_noise, *slopes),
    )
    moved, cut = call(
        identity,
        key,
        state.reshape(n),
        counts.reshape(n),
        numbers=np.array(numbers, np.float32),
        own_bounds=own_bounds,
        lognormal=cells.step_lognormal,
        additive=cells.additive,
    )
    return moved.reshape(state.shape), cut.reshape(state.shape)
