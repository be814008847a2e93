"""The conductances that an array with resistive wires shows at its ends."""

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float

from xbarax import _kernels
from xbarax.chip.wires import _check, _primitives


def effective_conductance(
    conductance: ArrayLike, word_line: ArrayLike, bit_line: ArrayLike
) -> Float[Array, "*batch word bit"]:
    """The matrix G_eff of an array with resistive wires: its currents are `I = G_effᵀ V`, exactly.

    Cell (i, j) joins word line i to bit line j. The source of a word line, with the voltage V_i, is
    at its left end, one segment of wire before the first cell. A bit line is grounded below its
    last cell, through one segment, and the current I_j is what flows there. The array is solved as
    a whole, by joining blocks of cells (docs/wires.md); nothing is ever divided by a resistance or
    a conductance, so that 0 is as good as any other value.

    Args:
      conductance: of the cells, (…, M, N) in siemens for M word lines and N bit lines, float32 or
        float64; at least 0.
      word_line: resistance of a segment of word line in ohm, at least 0: a number, or an array
        whose axes are leading ones.
      bit_line: that of a segment of bit line.

    Returns:
      (…, M, N) in siemens: the current that leaves bit line j for one volt on word line i alone.
      The leading axes are those of all three, broadcast.

    Raises:
      TypeError: conductances that are neither float32 nor float64, resistances of another type.
      ValueError: fewer than two axes, leading axes that do not broadcast; outside of tracing,
        numbers that are negative or not finite.

    Derivatives: exact with respect to all three, in forward and reverse mode, of every order. On
    the CPU a native kernel finds the values and, in reverse mode, first derivatives, for which
    nothing is kept between the passes. Others are those of the JAX code, which keeps 6 numbers a
    cell for each doubling of the blocks.

    Source: Kirchhoff's and Ohm's laws. That linear cells make the array one matrix was used before
    by S. Jain et al., RxNN, IEEE TCAD, 2020.
    """
    use = "effective_conductance"
    cells = _check.check_conductance(use, conductance)
    word = _check.check_resistance(use, "word_line", word_line, cells.dtype)
    bit = _check.check_resistance(use, "bit_line", bit_line, cells.dtype)
    *lead, n_words, n_bits = cells.shape
    batch = _check.common_batch(
        use, conductance=tuple(lead), word_line=word.shape, bit_line=bit.shape
    )
    cells = jnp.broadcast_to(cells, (*batch, n_words, n_bits))
    if cells.size == 0:
        return cells
    circuit = cells, jnp.broadcast_to(word, batch), jnp.broadcast_to(bit, batch)
    return _solved(_kernels.where_native(), *circuit)


_solved = jax.jit(_primitives.effective, static_argnums=0)
