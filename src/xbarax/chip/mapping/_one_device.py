"""Mappings of one device per weight, whatever its current is compared with."""

from typing import final

from jax import Array

from xbarax.chip.device import AbstractDevice
from xbarax.chip.mapping._ranged import AbstractRanged


class AbstractOneDevice(AbstractRanged):
    """One device per weight: `u = (G − G_ref) / span`, against a reference at `zero_conductance`.

    `span` is the smaller one of the distances from there to the ends of the range.
    """

    def __post_init__(self):
        """Refuses bad numbers."""
        self._check_weight_range()

    @final
    def start(self, device: AbstractDevice) -> float:
        """The reference's target."""
        return device.zero_conductance

    @final
    def coefficients(self, device: AbstractDevice) -> tuple[float, ...]:
        """One plane."""
        return (1 / _span(device),)

    @final
    def targets(self, unit: Array, device: AbstractDevice) -> Array:
        """Around the reference's target."""
        return (device.zero_conductance + _span(device) * unit)[None]

    @final
    def deltas(self, change: Array, present: Array, device: AbstractDevice) -> Array:
        """In proportion; the reference is left alone."""
        return (_span(device) * change)[None]

    @final
    def worn(self, present: Array, device: AbstractDevice) -> None:
        """None ever: pulses go both ways."""
        return None


def _span(device: AbstractDevice) -> float:
    """The conductance, in siemens, by which a device can differ from its zero to both sides."""
    low, high = device.conductance_range
    return min(high - device.zero_conductance, device.zero_conductance - low)
