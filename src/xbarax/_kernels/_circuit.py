"""The native kernels of arrays with resistive wires."""

import jax
from jax import Array


def effective_conductance(conductance: Array, word_line: Array, bit_line: Array) -> Array:
    """Effective conductances (*batch, M, N) of the same, and resistances (*batch).

    float32 or float64, the same for all.
    """
    name = _named("xbarax_effective_conductance", conductance)
    call = jax.ffi.ffi_call(name, _like(conductance), vmap_method="broadcast_all")
    return call(conductance, word_line, bit_line)


def pull_effective_conductance(
    cotangent: Array, conductance: Array, word_line: Array, bit_line: Array
) -> tuple[Array, Array, Array]:
    """The derivatives of Σ cotangent · effective conductance by all three.

    cotangent is (*batch, M, N), the others are as above.
    """
    circuit = conductance, word_line, bit_line
    name = _named("xbarax_pull_effective_conductance", conductance)
    call = jax.ffi.ffi_call(name, tuple(map(_like, circuit)), vmap_method="broadcast_all")
    by_cells, by_word_line, by_bit_line = call(cotangent, *circuit)
    return by_cells, by_word_line, by_bit_line


def cell_currents(conductance: Array, voltage: Array, word_line: Array, bit_line: Array) -> Array:
    """The currents (*batch, n, M, N) through the cells, for sources (*batch, n, M)."""
    name = _named("xbarax_cell_currents", conductance)
    result = jax.ShapeDtypeStruct((*voltage.shape, conductance.shape[-1]), conductance.dtype)
    call = jax.ffi.ffi_call(name, result, vmap_method="broadcast_all")
    return call(conductance, voltage, word_line, bit_line)


def _named(target: str, operand: Array) -> str:
    return f"{target}_f{operand.dtype.itemsize * 8}"


def _like(x: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
