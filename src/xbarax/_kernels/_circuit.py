"""The native kernel of arrays with resistive wires."""

import jax
from jax import Array


def effective_conductance(conductance: Array, word_line: Array, bit_line: Array) -> Array:
    """Effective conductances (*batch, M, N) of the same, and resistances (*batch).

    float32 or float64, the same for all.
    """
    result = jax.ShapeDtypeStruct(conductance.shape, conductance.dtype)
    bits = conductance.dtype.itemsize * 8
    name = f"xbarax_effective_conductance_f{bits}"
    call = jax.ffi.ffi_call(name, result, vmap_method="broadcast_all")
    return call(conductance, word_line, bit_line)
