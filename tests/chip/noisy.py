"""A device with noise, for tests alone: the smallest one that uses all of the extension point."""

import dataclasses
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice


@dataclasses.dataclass(frozen=True)
class Noisy(AbstractDevice):
    """A cell that misses its target by Gaussian errors, and is read with Gaussian noise.

    Its conductance is dimensionless, and any value can be programmed. It counts its pulses: one
    for each programming.

    Args:
      write: standard deviation of the error of each programming.
      read: standard deviation of a read, as a share of the conductance.
    """

    write: float = 0.0
    read: float = 0.0

    @property
    def conductance_range(self) -> tuple[float, float]:
        return -float("inf"), float("inf")

    @property
    def zero_conductance(self) -> float:
        return 0.0

    @property
    def noisy_read(self) -> bool:
        return self.read > 0

    @property
    def noisy_program(self) -> bool:
        return self.write > 0

    def program(self, target: Array, start: float, key: Array | None) -> dict[str, Array]:
        fresh = {
            "conductance": jnp.full_like(target, start),
            "pulses": jnp.zeros(target.shape, jnp.int32),
        }
        return self.update(fresh, target - start, key)

    def update(self, cells: dict[str, Array], delta: Array, key: Array | None) -> dict[str, Array]:
        conductance = cells["conductance"] + delta
        if self.noisy_program:
            conductance += self.write * jax.random.normal(key, delta.shape, delta.dtype)
        return {"conductance": conductance, "pulses": cells["pulses"] + 1}

    def target(self, cells: dict[str, Array]) -> Array:
        return cells["conductance"]

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        return (conductance,)

    def age(self, cells: dict[str, Array], seconds: Array) -> dict[str, Array]:
        return cells

    def conductance(self, cells: dict[str, Array]) -> Array:
        return cells["conductance"]

    def read_deviation(self, cells: dict[str, Array]) -> Array | None:
        return self.read * jnp.abs(cells["conductance"]) if self.noisy_read else None

    def counters(self, cells: dict[str, Array]) -> dict[str, Any]:
        return {"pulses": jnp.sum(cells["pulses"])}
