"""Digits of each weight in devices of their own."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice, AbstractPulsed
from xbarax.chip.mapping._mapping import Reference
from xbarax.chip.mapping._ranged import AbstractRanged, Subtraction, check_subtraction


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class BitSlices(AbstractRanged):
    r"""Each weight's magnitude as digits of `bits` bits, a differential pair for each digit.

    With `L = 2^(bits · slices) − 1` and digits `d_s` from 0 to `2^bits − 1`::

        round(L |u|) = Σ_s 2^(bits · s) d_s,   G_s = g_min + d_s/(2^bits − 1) (g_max − g_min)

    The digits of positive weights are in one plane, those of negative ones in another, the other
    plane's devices are at g_min; the least significant slice comes first. Weights are rounded to
    the nearest of the `2 L + 1` levels, straight through for derivatives.

    Devices that take pulses can be programmed, but not changed: a pulse knows of no carry.

    Args:
      bits: bits of a slice, at least 1.
      slices: number of slices, at least 1; `bits · slices` is at most 23.
      weight_range: the magnitude of weights at the largest level; None: that of the largest weight
        programmed, times `headroom`.
      headroom: at least 1: how much larger than those first programmed weights may become.
      subtract: where the currents of a slice's pair are subtracted: "digital", each has converters
        of its own; "analog", before the converter, of which a pair of lines then has one.

    Raises:
      TypeError, ValueError: a number out of its range, an unknown word.
    """

    bits: int
    slices: int
    weight_range: float | None = None
    headroom: float = 1.0
    subtract: Subtraction = "digital"

    def __post_init__(self):
        """Refuses bad numbers."""
        self._check_weight_range()
        check_subtraction("BitSlices", self.subtract)
        for name in ("bits", "slices"):
            given = getattr(self, name)
            if not isinstance(given, int) or isinstance(given, bool) or given < 1:
                raise ValueError(
                    f"BitSlices({name}=…): expected a positive integer, given {given!r}"
                )
        if self.bits * self.slices > 23:
            raise ValueError(
                "BitSlices: expected bits · slices of at most 23, the digits of a float32, given "
                f"{self.bits} · {self.slices}"
            )

    @property
    def reference(self) -> Reference:
        """None: each plane is the other's."""
        return "none"

    @property
    def subtracts_currents(self) -> bool:
        """As given."""
        return self.subtract == "analog"

    @property
    def levels(self) -> int:
        """The largest level, `L`."""
        return 2 ** (self.bits * self.slices) - 1

    def start(self, device: AbstractDevice) -> float:
        """The lowest conductance."""
        return device.conductance_range[0]

    def coefficients(self, device: AbstractDevice) -> tuple[float, ...]:
        """Two planes a slice, positive and negative, the least significant slice first."""
        low, high = device.conductance_range
        digit = (2**self.bits - 1) / (self.levels * (high - low))
        return tuple(
            sign * 2.0 ** (self.bits * s) * digit for s in range(self.slices) for sign in (1, -1)
        )

    def targets(self, unit: Array, device: AbstractDevice) -> Array:
        """The digits of each magnitude."""
        low, high = device.conductance_range
        most = 2**self.bits - 1
        planes = []
        for s in range(self.slices):
            for signed in (unit, -unit):
                level = jnp.round(self.levels * jnp.clip(signed, 0, 1)).astype(jnp.int32)
                digit = (level >> (self.bits * s)) & most
                planes.append(low + digit.astype(unit.dtype) / most * (high - low))
        return jnp.stack(planes)

    def deltas(self, change: Array, present: Array, device: AbstractDevice) -> Array:
        """What leads to the digits of the new weights."""
        if isinstance(device, AbstractPulsed):
            raise TypeError(
                "an array of bit slices cannot be changed by pulses, which know of no carry: "
                f"use another mapping than {self!r} for {type(device).__name__}, or program the "
                "new weights into a new array"
            )
        low = device.conductance_range[0]
        coefficients = jnp.asarray(self.coefficients(device), present.dtype)
        unit = jnp.tensordot(coefficients, present - low, 1)
        return self.targets(unit + change, device) - present

    def derivatives(self, present: Array, device: AbstractDevice) -> Array:
        """The least change of all slices of the weight's sign; of both signs for a weight of zero.

        Digits have no derivative, their sum has: it is the weight, straight through.
        """
        coefficients = jnp.asarray(self.coefficients(device), present.dtype)
        positive = 0.5 * (1 + jnp.sign(jnp.tensordot(coefficients, present, 1)))
        signs = jnp.stack([positive, 1 - positive] * self.slices)
        shares = coefficients / jnp.sum(coefficients[::2] ** 2)
        return shares[:, None, None] * signs

    def worn(self, present: Array, device: AbstractDevice) -> None:
        """None ever."""
        return None
