"""One device per weight, against a shared column of devices."""

import dataclasses
from typing import final

from jax import Array

from xbarax.chip.device import AbstractDevice
from xbarax.chip.mapping import _range
from xbarax.chip.mapping._ideal_reference import span
from xbarax.chip.mapping._mapping import AbstractMapping, Reference


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class OffsetColumn(AbstractMapping):
    """One device per weight; one more column in each tile is the reference of all the others.

    `u = (G − G_ref) / span`, where the reference devices, one for each word line, are programmed
    to the device's `zero_conductance`, with all their errors, and `span` is the smaller one of its
    distances to the ends of the range. The column's current is converted like the others and
    subtracted from each, so that its noise is common to all outputs of the tile. It takes one of
    the tile's outputs. In a transposed read it carries minus the sum of the other lines' inputs.

    Args:
      weight_range: the magnitude of weights at `span`; None: that of the largest weight
        programmed, times `headroom`.
      headroom: at least 1: how much larger than those first programmed weights may become.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    weight_range: float | None = None
    headroom: float = 1.0

    def __post_init__(self):
        """Refuses bad numbers."""
        _range.check_weight_range("OffsetColumn", self.weight_range, self.headroom)

    @property
    def fixed_range(self) -> float | None:
        """As given."""
        return self.weight_range

    @property
    def bounded(self) -> bool:
        """By the device's range."""
        return True

    @property
    def reference(self) -> Reference:
        """A column of each tile."""
        return "column"

    def check(self, device: AbstractDevice) -> None:
        """Refuses devices without a range."""
        _range.check_finite_range("OffsetColumn", device)

    def largest(self, weights: Array) -> Array:
        """The given range, or that of the weights with headroom."""
        return _range.largest(weights, self.weight_range, self.headroom)

    def start(self, device: AbstractDevice) -> float:
        """The reference's target."""
        return device.zero_conductance

    def coefficients(self, device: AbstractDevice) -> tuple[float, ...]:
        """One plane."""
        return (1 / span(device),)

    def targets(self, unit: Array, device: AbstractDevice) -> Array:
        """Around the reference's target."""
        return (device.zero_conductance + span(device) * unit)[None]

    def deltas(self, change: Array, present: Array, device: AbstractDevice) -> Array:
        """In proportion; the reference is left alone."""
        return (span(device) * change)[None]

    def worn(self, present: Array, device: AbstractDevice) -> None:
        """None ever: pulses go both ways."""
        return None
