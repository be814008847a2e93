"""Analog to digital: the converters of the currents."""

import dataclasses
from typing import Literal, final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.converter import _quantise
from xbarax.chip.converter._converter import AbstractADC
from xbarax.chip.device._check import check_flag, check_scale


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class ADC(AbstractADC):
    """The converters of the currents, one for each line of each tile.

    With `bits`, a current is rounded to equal steps of its range, one of which is 0, and clipped
    to it: `2^bits − 2` steps from −range to range, or `2^bits − 1` from 0 where it is unsigned.

    Args:
      bits: resolution in bits, from 2 (unsigned: 1) to 24; None: infinite, without bounds.
      range: the largest current, in amperes; "calibrated": one for each tile, data of the array,
        which `xbarax.calibrate` sets and which before is the largest that any inputs from −1 to 1
        can give; "read": each vector's own largest current, so that nothing is clipped.
      signed: whether currents of both directions are converted.

    Raises:
      TypeError, ValueError: a number out of its range, an unknown word.

    Derivatives: straight through inside the range, zero beyond, where the converter clips.
    """

    bits: int | None = None
    range: float | Literal["calibrated", "read"] = "read"
    signed: bool = True

    def __post_init__(self):
        """Refuses bad numbers."""
        check_flag("ADC(signed=…)", self.signed)
        _quantise.check_bits("ADC", self.bits, 2 if self.signed else 1)
        if isinstance(self.range, str):
            if self.range not in ("calibrated", "read"):
                raise ValueError(
                    f"ADC(range=…): expected amperes, 'calibrated' or 'read', given {self.range!r}"
                )
        else:
            check_scale("ADC(range=…)", self.range, "of amperes above 0", lambda x: x > 0)

    @property
    def exact(self) -> bool:
        """Without bits."""
        return self.bits is None

    @property
    def calibrated(self) -> bool:
        """Whether the range is data of the array."""
        return self.bits is not None and self.range == "calibrated"

    @property
    def clips(self) -> bool:
        """Whether there is a range that a forward read can leave."""
        return self.bits is not None and (self.range != "read" or not self.signed)

    def convert(self, currents: Array, calibration: Array | None) -> Array:
        """Rounded and clipped to the range."""
        if self.bits is None:
            return currents
        full_scale = self._full_scale(currents, calibration)
        return _quantise.quantise(currents, full_scale, self.bits, self.signed)

    def inside(self, currents: Array, calibration: Array | None) -> Array:
        """Not beyond the range."""
        low = currents >= (-self._full_scale(currents, calibration) if self.signed else 0)
        if self.range == "read":
            # Never above the largest; compiled twice, the two may differ by rounding.
            return low
        return low & (currents <= self._full_scale(currents, calibration))

    def convert_scaled(self, currents: Array) -> Array:
        """Rounded in units of each vector's largest magnitude."""
        if self.bits is None:
            return currents
        largest = _quantise.largest(currents)
        return _quantise.quantise(currents, largest, max(self.bits, 2), signed=True)

    def _full_scale(self, currents: Array, calibration: Array | None) -> Array:
        if self.range == "read":
            return _quantise.largest(currents)
        if self.range == "calibrated":
            assert calibration is not None
            return calibration
        return jnp.asarray(self.range, currents.dtype)
