"""The foreign call that reads a simulated chip's array in one pass."""

import dataclasses
from typing import Literal

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnalogRead:
    """What is said of an analog read beside its operands; no bits are exact converters.

    Attributes:
      transpose: from the outputs to the inputs.
      apart: the outputs' tiles have inputs of their own, (rows, tiles · inputs).
      inside: the result is which partial sums no converter clips, (rows, tiles of inputs ·
        outputs), 1 or 0.
      column: the last of each tile's lines is its reference column.
      coefficients: of the planes.
      v_read: the voltage of an input of 1.
      dac_bits, dac_scaled: the inputs' converters, and whether they take each tile's inputs in
        units of the largest.
      adc_bits, adc_signed, adc_range: the currents' converters, and their range in amperes.
    """

    transpose: bool
    apart: bool = False
    inside: bool = False
    column: bool = False
    coefficients: tuple[float, ...] = (1.0,)
    v_read: float = 1.0
    dac_bits: int | None = None
    dac_scaled: bool = False
    adc_bits: int | None = None
    adc_signed: bool = True
    adc_range: float | Literal["read", "calibrated"] = "read"


def analog_read(
    read: AnalogRead,
    conductance: Array,
    inputs: Array,
    n: int,
    *,
    scale: Array,
    variance: Array | None = None,
    key_data: Array | None = None,
    full_scales: Array | None = None,
) -> Array:
    """Rows of `inputs` (rows, …) through tiles of devices to (rows, n).

    `conductance` is (planes, tiles out, tiles in, lines, words), or a matrix (in, out); `variance`
    that of a read of each device, the same shape, or of all, (). `scale` is the weight that a sum
    of 1 stands for, `key_data` a threefry key's, `full_scales` calibrated ranges, (planes, tiles
    out, tiles in).
    """
    none = jnp.zeros((0,), jnp.float32)
    result = jax.ShapeDtypeStruct((inputs.shape[0], n), jnp.float32)
    # What is shared stays one.
    call = jax.ffi.ffi_call("xbarax_analog_read", result, vmap_method="expand_dims")
    fixed = not isinstance(read.adc_range, str)
    return call(
        conductance,
        none if variance is None else variance,
        none if full_scales is None else full_scales,
        scale,
        inputs,
        jnp.zeros((2,), jnp.uint32) if key_data is None else key_data,
        transposed=read.transpose,
        apart=read.apart,
        inside=read.inside,
        column=read.column,
        coefficients=np.asarray(read.coefficients, np.float32),
        v_read=np.float32(read.v_read),
        dac_bits=np.int64(read.dac_bits or 0),
        dac_scaled=read.dac_scaled,
        adc_bits=np.int64(read.adc_bits or 0),
        adc_signed=read.adc_signed,
        adc_range="fixed" if fixed else read.adc_range,
        full_scale=np.float32(read.adc_range if fixed else 0),
    )
