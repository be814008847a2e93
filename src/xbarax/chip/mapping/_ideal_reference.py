"""One device per weight, against an ideal reference."""

import dataclasses
from typing import final

from jax import Array

from xbarax.chip.device import AbstractDevice
from xbarax.chip.mapping import _range
from xbarax.chip.mapping._mapping import AbstractMapping, Reference


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class IdealReference(AbstractMapping):
    """One device per weight, whose conductance is compared with an ideal reference's.

    `u = (G − G_zero) / span`, where `G_zero` is the device's `zero_conductance` and `span` the
    smaller one of its distances to the ends of the range.

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
        _range.check_weight_range("IdealReference", self.weight_range, self.headroom)

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
        """Ideal cells."""
        return "ideal"

    def check(self, device: AbstractDevice) -> None:
        """Refuses devices without a range."""
        _range.check_finite_range("IdealReference", device)

    def largest(self, weights: Array) -> Array:
        """The given range, or that of the weights with headroom."""
        return _range.largest(weights, self.weight_range, self.headroom)

    def start(self, device: AbstractDevice) -> float:
        """The reference's conductance."""
        return device.zero_conductance

    def coefficients(self, device: AbstractDevice) -> tuple[float, ...]:
        """One plane."""
        return (1 / span(device),)

    def targets(self, unit: Array, device: AbstractDevice) -> Array:
        """Around the reference."""
        return (device.zero_conductance + span(device) * unit)[None]

    def deltas(self, change: Array, present: Array, device: AbstractDevice) -> Array:
        """In proportion."""
        return (span(device) * change)[None]

    def worn(self, present: Array, device: AbstractDevice) -> None:
        """None ever: pulses go both ways."""
        return None


def span(device: AbstractDevice) -> float:
    """The conductance, in siemens, by which a device can differ from its zero to both sides."""
    low, high = device.conductance_range
    return min(high - device.zero_conductance, device.zero_conductance - low)
