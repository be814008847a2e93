"""Digital to analog: the converters of the inputs."""

import dataclasses
import functools
from typing import final

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.chip.converter import _quantise
from xbarax.chip.converter._converter import AbstractDAC
from xbarax.chip.device._check import check_scale


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DAC(AbstractDAC):
    """The converters of the inputs: `V = v_read · quantise(x)`, one for each line.

    With `bits`, inputs are rounded to `2^bits − 2` equal steps from −1 to 1 (0 is a level; one bit
    more than the magnitude needs) and clipped to them. Spikes, 0 and 1, are levels of every such
    converter: they pass exactly. Backward reads scale each vector to the range and back.

    Args:
      bits: resolution in bits, from 2 to 24; None: infinite, without bounds.
      v_read: the voltage of an input of 1, in volts.

    Raises:
      TypeError, ValueError: a number out of its range.

    Derivatives: straight through where |x| ≤ 1, zero beyond, where the converter clips.
    """

    bits: int | None = None
    v_read: float = 0.2

    def __post_init__(self):
        """Refuses bad numbers."""
        _quantise.check_bits("DAC", self.bits, 2)
        check_scale("DAC(v_read=…)", self.v_read, "above 0 V", lambda v: v > 0)

    def convert(self, inputs: Array) -> Array:
        """Rounded and clipped to [−1, 1]."""
        return inputs if self.bits is None else _convert(inputs, self.bits)

    def convert_scaled(self, inputs: Array) -> Array:
        """Rounded in units of each vector's largest magnitude."""
        if self.bits is None:
            return inputs
        return _quantise.quantise(inputs, _quantise.largest(inputs), self.bits, signed=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _convert(inputs: Array, bits: int) -> Array:
    return _quantise.quantise(inputs, 1.0, bits, signed=True)


@_convert.defjvp
def _convert_jvp(bits: int, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (inputs,), (tangent,) = primals, tangents
    return _convert(inputs, bits), jnp.where(jnp.abs(inputs) <= 1, tangent, 0)
