"""Two devices per weight, one for each sign."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice, AbstractPulsed
from xbarax.chip.device._check import check_real
from xbarax.chip.mapping._mapping import Reference
from xbarax.chip.mapping._ranged import AbstractRanged, Subtraction, check_subtraction


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DifferentialPair(AbstractRanged):
    """Two devices per weight: `u = (G⁺ − G⁻) / (g_max − g_min)`.

    Programming leaves the device of the other sign at g_min. Devices that take pulses are only ever
    pulsed up: a positive change goes to G⁺, a negative one to G⁻. A pair with one device near the
    end of its range and the other no longer near g_min is refreshed, that is, both are set back to
    g_min and their difference is programmed anew, as the chip programs.

    Args:
      weight_range: the magnitude of weights at the full range; None: that of the largest weight
        programmed, times `headroom`.
      headroom: at least 1: how much larger than those first programmed weights may become.
      refresh_at: the share of the range, above 0.5, beyond which a device is near its end; as
        near to g_min it is near that.
      subtract: where the currents of a pair are subtracted: "digital", each has converters of its
        own; "analog", before the converter, of which a pair of lines then has one.

    Raises:
      TypeError, ValueError: a number out of its range, an unknown word.
    """

    weight_range: float | None = None
    headroom: float = 1.0
    refresh_at: float = 0.9
    subtract: Subtraction = "digital"

    def __post_init__(self):
        """Refuses bad numbers."""
        self._check_weight_range()
        check_subtraction("DifferentialPair", self.subtract)
        check_real(
            "DifferentialPair(refresh_at=…)",
            self.refresh_at,
            "in (0.5, 1]",
            lambda x: 0.5 < x <= 1,
        )

    @property
    def reference(self) -> Reference:
        """None: each is the other's."""
        return "none"

    @property
    def subtracts_currents(self) -> bool:
        """As given."""
        return self.subtract == "analog"

    def start(self, device: AbstractDevice) -> float:
        """The lowest conductance."""
        return device.conductance_range[0]

    def coefficients(self, device: AbstractDevice) -> tuple[float, ...]:
        """The positive and the negative plane."""
        low, high = device.conductance_range
        return 1 / (high - low), -1 / (high - low)

    def targets(self, unit: Array, device: AbstractDevice) -> Array:
        """Each sign's magnitude above the lowest conductance."""
        low, high = device.conductance_range
        return low + (high - low) * jnp.stack([jnp.maximum(unit, 0), jnp.maximum(-unit, 0)])

    def deltas(self, change: Array, present: Array, device: AbstractDevice) -> Array:
        """Pulses up for each sign, or what leads to the new targets."""
        low, high = device.conductance_range
        if isinstance(device, AbstractPulsed):
            return (high - low) * jnp.stack([jnp.maximum(change, 0), jnp.maximum(-change, 0)])
        unit = (present[0] - present[1]) / (high - low)
        return self.targets(jnp.clip(unit + change, -1, 1), device) - present

    def derivatives(self, present: Array, device: AbstractDevice) -> Array:
        """That of the device of the weight's sign; of both, by half, for a weight of zero."""
        low, high = device.conductance_range
        positive = 0.5 * (1 + jnp.sign(present[0] - present[1]))
        return (high - low) * jnp.stack([positive, positive - 1])

    def worn(self, present: Array, device: AbstractDevice) -> Array | None:
        """Both devices of the pairs in which one is near its end and the other has left its own."""
        if not isinstance(device, AbstractPulsed):
            return None
        low, high = device.conductance_range
        share = (present - low) / (high - low)
        at_end = jnp.maximum(*share) > self.refresh_at
        # With the other one low, the pair would come back to where it is.
        worn = at_end & (jnp.minimum(*share) > 1 - self.refresh_at)
        return jnp.broadcast_to(worn, present.shape)
