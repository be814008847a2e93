"""The ideal cell: it takes any value exactly and keeps it."""

import dataclasses

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._device import AbstractDevice


@dataclasses.dataclass(frozen=True)
class Ideal(AbstractDevice):
    """A cell that takes any value, negative ones included, exactly and without noise.

    Its conductance is dimensionless: the weight itself.
    """

    @property
    def noisy_read(self) -> bool:
        """No noise."""
        return False

    @property
    def noisy_program(self) -> bool:
        """No noise."""
        return False

    def program(self, target: Array, key: Array | None) -> Array:
        """The target itself."""
        # A copy: the array that was programmed and the caller's own must not share a buffer, or
        # donating one deletes the other.
        return jnp.copy(target)

    def update(self, cells: Array, delta: Array, key: Array | None) -> Array:
        """The exact sum."""
        return cells + delta

    def conductance(self, cells: Array) -> Array:
        """The value held."""
        return cells

    def read_deviation(self, cells: Array) -> None:
        """None: a read is exact."""
        return None

    def counters(self, cells: Array) -> dict[str, Array]:
        """Nothing to count."""
        return {}
