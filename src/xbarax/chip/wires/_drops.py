"""The voltages that currents take away from cells, on the way from the source and to the ground.

The current of cell (i, l) flows through as many of the segments that lead to cell (i, j) of its
word line as the two ways share, min(j, l) + 1. On a bit line, which ends at the last row, cells
(i, j) and (k, j) share M − max(i, k). So the drops are R c, with a symmetric matrix R that is
positive semidefinite, and has no resistance in a denominator.
"""

from jax import Array
from jax import numpy as jnp

from xbarax.chip.wires._linear import product


def drops(current: Array, word_line: Array, bit_line: Array) -> Array:
    """R c, (…, M, N) in volts, of cells' currents (…, M, N) and resistances (…) of a segment."""
    n_words, n_bits = current.shape[-2:]
    along_words = product(current, _shared(n_bits, current.dtype))
    along_bits = product(jnp.flip(_shared(n_words, current.dtype)), current)
    return word_line[..., None, None] * along_words + bit_line[..., None, None] * along_bits


def _shared(cells: int, dtype: jnp.dtype) -> Array:
    number = jnp.arange(1, cells + 1, dtype=dtype)
    return jnp.minimum(number[:, None], number)
