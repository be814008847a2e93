"""Which magnitude of weights stands for the whole range of the conductances."""

import math
from typing import Any

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice
from xbarax.chip.device._check import check_real


def check_weight_range(name: str, weight_range: Any, headroom: Any) -> None:
    """Refuses a range or a headroom that cannot be."""
    check_real(f"{name}(headroom=…)", headroom, "at least 1", lambda x: x >= 1)
    if weight_range is None:
        return
    check_real(f"{name}(weight_range=…)", weight_range, "above 0, or None", lambda x: x > 0)
    if headroom != 1:
        raise ValueError(
            f"{name}: headroom={headroom} is for a range taken from the data; with "
            f"weight_range={weight_range} it must be 1"
        )


def largest(weights: Array, weight_range: float | None, headroom: float) -> Array:
    """The given range, or the largest magnitude of the weights times the headroom."""
    if weight_range is not None:
        return jnp.full((), weight_range, jnp.float32)
    most = jnp.max(jnp.abs(weights))
    return jnp.where(most > 0, headroom * most, 1.0)  # all-zero weights have no scale of their own


def check_finite_range(name: str, device: AbstractDevice) -> None:
    """Refuses devices without a conductance range."""
    low, high = device.conductance_range
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"{name} needs a device with a range of conductances, given {device!r}; "
            "Ideal(g_min=…, g_max=…) has one"
        )
