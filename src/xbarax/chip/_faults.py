"""Devices that are stuck."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip.device._check import check_real

STUCK_LOW, STUCK_HIGH = 1, 2


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Faults:
    """Shares of devices that are stuck, drawn once for each chip, when an array is made.

    A stuck device stays at an end of its range, whatever it is programmed to: a fixed resistor that
    neither drifts nor has read noise. Which ones are, is data of the array: `xbarax.fault_map`
    shows it, `xbarax.set_faults` takes a known map.

    Args:
      stuck_low: share of the devices at g_min.
      stuck_high: share of the devices at g_max. (A 4 Mb RRAM test found 9.04 % at high resistance
        and 1.75 % at low: C.-Y. Chen et al., IEEE Trans. Comput. 64, 2015, as later papers cite
        it.)

    Raises:
      TypeError, ValueError: a share that is not in [0, 1], or both together above 1.
    """

    stuck_low: float = 0.0
    stuck_high: float = 0.0

    def __post_init__(self):
        """Refuses what is no share."""
        for name in ("stuck_low", "stuck_high"):
            value = getattr(self, name)
            check_real(f"Faults({name}=…)", value, "in [0, 1]", lambda x: 0 <= x <= 1)
        if self.stuck_low + self.stuck_high > 1:
            raise ValueError(
                "Faults: expected shares that add up to at most 1, given "
                f"{self.stuck_low} + {self.stuck_high}"
            )

    @property
    def random(self) -> bool:
        """Whether there is something to draw."""
        return self.stuck_low + self.stuck_high > 0


def draw(faults: Faults, shape: tuple[int, ...], key: Array | None) -> Array:
    """Which devices are stuck: int8, 0 for none, `STUCK_LOW` or `STUCK_HIGH`."""
    if not faults.random:
        return jnp.zeros(shape, jnp.int8)
    assert key is not None
    at = _kernels.uniform(key, shape)
    high = at < faults.stuck_low + faults.stuck_high
    return jnp.where(at < faults.stuck_low, STUCK_LOW, jnp.where(high, STUCK_HIGH, 0)).astype(
        jnp.int8
    )


def apply(stuck: Array, conductance: Array, conductance_range: tuple[float, float]) -> Array:
    """The conductances with those of stuck devices at the ends of the range."""
    low, high = conductance_range
    working = jnp.where(stuck == STUCK_LOW, low, conductance)
    return jnp.where(stuck == STUCK_HIGH, high, working)
