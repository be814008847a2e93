"""The ideal cell: it takes any value exactly and keeps it."""

import dataclasses
import math
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_range
from xbarax.chip.device._device import AbstractDevice


@final
@dataclasses.dataclass(frozen=True)
class Ideal(AbstractDevice):
    """A cell that takes any value of its range exactly, keeps it, and is read without noise.

    Without a range it is dimensionless: the weight itself, of either sign. With one it is a cell in
    siemens without faults, to look at mappings and converters alone.

    Args:
      g_min, g_max: the range in siemens; both or neither.

    Raises:
      TypeError, ValueError: a range that is negative, reversed or half given.
    """

    g_min: float = -math.inf
    g_max: float = math.inf

    def __post_init__(self):
        """Refuses a bad range."""
        if (self.g_min, self.g_max) == (-math.inf, math.inf):
            return
        if self.g_max == math.inf:
            raise ValueError(f"Ideal(g_min={self.g_min!r}): expected g_max too, or neither of them")
        if self.g_min == -math.inf:
            raise ValueError(f"Ideal(g_max={self.g_max!r}): expected g_min too, or neither of them")
        check_range("Ideal", self.g_min, self.g_max)

    @property
    def conductance_range(self) -> tuple[float, float]:
        """The range given."""
        return self.g_min, self.g_max

    @property
    def zero_conductance(self) -> float:
        """The middle of the range."""
        return 0.0 if math.isinf(self.g_max) else (self.g_min + self.g_max) / 2

    @property
    def noisy_read(self) -> bool:
        """No noise."""
        return False

    @property
    def noisy_program(self) -> bool:
        """No noise."""
        return False

    def program(self, target: Array, start: float, key: Array | None) -> Array:
        """The target itself."""
        # A copy: the array that was programmed and the caller's own must not share a buffer, or
        # donating one deletes the other.
        return jnp.copy(target)

    def update(self, cells: Array, delta: Array, key: Array | None) -> Array:
        """The exact sum."""
        return cells + delta

    def target(self, cells: Array) -> Array:
        """The value held."""
        return cells

    def conductance(self, cells: Array) -> Array:
        """The value held."""
        return cells

    def read_deviation(self, cells: Array) -> None:
        """None: a read is exact."""
        return None

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """A linear cell."""
        return (conductance,)

    def age(self, cells: Array, seconds: Array) -> Array:
        """It keeps its value."""
        return cells

    def counters(self, cells: Array) -> dict[str, Array]:
        """Nothing to count."""
        return {}
