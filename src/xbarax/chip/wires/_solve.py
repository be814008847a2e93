"""Every voltage and current of an array with resistive wires."""

import functools
from typing import NamedTuple

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float

from xbarax import _kernels
from xbarax._kernels import Where
from xbarax.chip.wires import _check, _primitives


class Solution(NamedTuple):
    """What is in an array whose word lines have sources: see `xbarax.wires.solve`.

    All but `output_current` are (…, M, N), for M word lines and N bit lines.

    Attributes:
      word_voltage: of the nodes of the word lines, in volts; cell (i, j) is between node (i, j) of
        a word line and that of a bit line.
      bit_voltage: of the nodes of the bit lines.
      cell_current: through the cells, from word line to bit line, in amperes.
      word_current: through the segment of word line on the left of each node, away from the source;
        column 0 is what the sources deliver.
      bit_current: through the segment of bit line below each node, towards the ground.
      output_current: (…, N), what flows to the ground: the last row of `bit_current`.
    """

    word_voltage: Float[Array, "*batch word bit"]
    bit_voltage: Float[Array, "*batch word bit"]
    cell_current: Float[Array, "*batch word bit"]
    word_current: Float[Array, "*batch word bit"]
    bit_current: Float[Array, "*batch word bit"]
    output_current: Float[Array, "*batch bit"]


def solve(
    conductance: ArrayLike, voltage: ArrayLike, word_line: ArrayLike, bit_line: ArrayLike
) -> Solution:
    """All voltages and currents of an array with resistive wires.

    The circuit is that of `xbarax.wires.effective_conductance`, which also is the faster way to the
    outputs of many inputs. An array is decomposed once for all voltages.

    Args:
      conductance: of the cells, (…, M, N) in siemens, float32 or float64; at least 0.
      voltage: of the sources, (…, M) in volts. Its leading axes and those of the arrays broadcast:
        (n, M) with one array (M, N) are n inputs of it.
      word_line: resistance of a segment of word line in ohm, at least 0: a number, or an array
        whose axes are leading ones of arrays.
      bit_line: that of a segment of bit line.

    Returns:
      A `Solution`, a tree of arrays; Kirchhoff's current law holds at each node to rounding.

    Raises:
      TypeError: conductances that are neither float32 nor float64, others of another type.
      ValueError: shapes that do not match; outside of tracing, conductances or resistances that are
        negative or not finite, voltages that are not finite.

    Derivatives: exact with respect to all four, in forward and reverse mode, by the JAX code.
    """
    use = "solve"
    cells = _check.check_conductance(use, conductance)
    word = _check.check_resistance(use, "word_line", word_line, cells.dtype)
    bit = _check.check_resistance(use, "bit_line", bit_line, cells.dtype)
    sources = _check.check_voltage(use, voltage, cells)
    *lead, n_words, n_bits = cells.shape
    arrays = _check.common_batch(
        use, conductance=tuple(lead), word_line=word.shape, bit_line=bit.shape
    )
    every = _check.common_batch(use, arrays=arrays, voltage=sources.shape[:-1])
    if 0 in every or n_words == 0 or n_bits == 0:
        return branches(jnp.zeros((*every, n_words, n_bits), cells.dtype), sources, word, bit)
    word, bit = jnp.broadcast_to(word, arrays), jnp.broadcast_to(bit, arrays)
    sources = jnp.broadcast_to(sources, (*every, n_words))
    cells = jnp.broadcast_to(cells, (*arrays, n_words, n_bits))
    return _solved(_kernels.where_native(), cells, sources, word, bit)


@functools.partial(jax.jit, static_argnums=0)
def _solved(
    where: Where, conductance: Array, voltage: Array, word_line: Array, bit_line: Array
) -> Solution:
    """The circuit from its cells' currents: so the currents at each node add up exactly.

    voltage is (*more, *batch, M), the others (*batch, …).
    """
    every, n_words = voltage.shape[:-1], voltage.shape[-1]
    more = voltage.ndim - conductance.ndim + 1
    batch = conductance.shape[:-2]
    inputs = jnp.moveaxis(voltage.reshape(-1, *batch, n_words), 0, -2)
    cells = _primitives.cell_currents(where, conductance, inputs, word_line, bit_line)
    cell = jnp.moveaxis(cells, -3, 0).reshape(*every, *conductance.shape[-2:])
    per_array = lambda r: jnp.expand_dims(r, tuple(range(more)))
    found = branches(cell, voltage, per_array(word_line), per_array(bit_line))
    near = _word_voltage(found, conductance, voltage, per_array(word_line))
    # The same function of the circuit, and so with the same derivatives.
    exact = found.word_voltage + jax.lax.stop_gradient(near - found.word_voltage)
    return found._replace(word_voltage=exact)


def _word_voltage(found: Solution, conductance: Array, voltage: Array, word_line: Array) -> Array:
    """Word lines' voltages by sums from their far ends, where they can be tiny beside the sources'.

    The last cell that conducts has the voltage of its bit line and what drops across it.
    """
    conducts = conductance > 0
    drop = jnp.where(conducts, found.cell_current / jnp.where(conducts, conductance, 1), 0)
    n_bits = conductance.shape[-1]
    last = n_bits - 1 - jnp.argmax(jnp.flip(conducts, -1), axis=-1)[..., None]
    end = jnp.take_along_axis(
        found.bit_voltage + drop, jnp.broadcast_to(last, (*drop.shape[:-1], 1)), axis=-1
    )
    beyond = jnp.pad(found.word_current[..., 1:], [(0, 0)] * (drop.ndim - 1) + [(0, 1)])
    line = end + word_line[..., None, None] * _sums(beyond, -1, reverse=True)
    return jnp.where(jnp.any(conducts, axis=-1, keepdims=True), line, voltage[..., None])


def branches(cell: Array, voltage: Array, word_line: Array, bit_line: Array) -> Solution:
    """All that follows from the cells' currents (…, M, N), for sources (…, M), resistances (…)."""
    if cell.size == 0:
        no_bits = jnp.zeros((*cell.shape[:-2], cell.shape[-1]), cell.dtype)
        return Solution(cell, cell, cell, cell, cell, no_bits)
    word_current = _sums(cell, -1, reverse=True)
    bit_current = _sums(cell, -2)
    word_voltage = voltage[..., None] - word_line[..., None, None] * _sums(word_current, -1)
    bit_voltage = bit_line[..., None, None] * _sums(bit_current, -2, reverse=True)
    return Solution(
        word_voltage, bit_voltage, cell, word_current, bit_current, bit_current[..., -1, :]
    )


def _sums(values: Array, axis: int, reverse: bool = False) -> Array:
    return jax.lax.cumsum(values, axis=values.ndim + axis, reverse=reverse)
