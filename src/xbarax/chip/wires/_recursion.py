"""From single cells to the whole array, by joining blocks: O(M N (M + N)) work.

The array is cut into equal blocks; neighbouring ones are joined along word lines and bit lines in
turn, all pairs of the array at once. What the last blocks lack is filled with open cells behind the
far ends of the lines, which change nothing.

Here word lines have their source, and bit lines their ground, at index 0, and there are not more
word lines than bit lines: `oriented` makes it so.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax.chip.wires import _cells, _join, _ports
from xbarax.chip.wires._linear import take, transposed

_MOST_LINES = 7  # of a block in closed form, whose work grows with their sixth power


class Plan(NamedTuple):
    """How an array is cut: a grid (2^rows, 2^columns) of blocks with m word and n bit lines."""

    m: int
    n: int
    rows: int
    columns: int

    def joints(self) -> Iterator[_ports.Joint]:
        """The joints from the first blocks to the whole array, in order."""
        m, n, left = self.m, self.n, self.columns
        for _ in range(self.rows - 1):
            yield _ports.along_word_lines(m, n)
            yield _ports.along_bit_lines(m, 2 * n)
            m, n, left = 2 * m, 2 * n, left - 1
        if self.rows > 0:
            yield _ports.to_strips(m, n)
            m = 2 * m
        for remaining in range(left, 0, -1):
            yield _ports.of_strips(m, n, last=remaining == 1)
            n = 2 * n


def plan(n_words: int, n_bits: int) -> Plan:
    """How an array with n_words ≤ n_bits is cut."""
    m, rows = _halved(n_words)
    n, columns = _halved(n_bits)
    return Plan(m, n, rows, columns)


def _halved(lines: int) -> tuple[int, int]:
    """What is left of a number of lines when it was halved, rounding up, until it is small."""
    times = 0
    while -(-lines // 2**times) > _MOST_LINES:
        times += 1
    return -(-lines // 2**times), times


def oriented(
    fn: Callable[..., Array], conductance: Array, word_line: Array, bit_line: Array
) -> Array:
    """`fn` of the array that starts at index 0, with fewer word lines; results as conductances.

    By reciprocity, word and bit lines can change their names.
    """
    flip = lambda x: jnp.flip(x, axis=-2)
    if conductance.shape[-2] <= conductance.shape[-1]:
        return flip(fn(flip(conductance), word_line, bit_line))
    return flip(transposed(fn(transposed(flip(conductance)), bit_line, word_line)))


def effective(conductance: Array, word_line: Array, bit_line: Array) -> Array:
    """The effective conductance (*batch, M, N), from M ≤ N and resistances (*batch)."""
    *_, n_words, n_bits = conductance.shape
    cut = plan(n_words, n_bits)
    matrix = _cells.hybrid(to_blocks(conductance, cut), wires(word_line, bit_line, cut))
    order = first_order(cut)
    for joint in cut.joints():
        matrix = _join.join(*sides(matrix, order, joint))
        order = joint.order
    words, outputs = order[: cut.m * 2**cut.rows], order[-cut.n * 2**cut.columns :]
    # What flows to the ground is minus what is drawn from there.
    return -transposed(take(matrix[..., 0, 0, :, :], outputs, words))[..., :n_words, :n_bits]


def wires(word_line: Array, bit_line: Array, cut: Plan) -> _cells.Wires:
    """The wires of the first blocks, with axes for the grid."""
    spread = lambda resistance: resistance[..., None, None]
    return _cells.wires(spread(word_line), spread(bit_line), cut.m, cut.n)


def first_order(cut: Plan) -> np.ndarray:
    """Where the ports of the first blocks are in their matrices."""
    if cut.rows == 0:
        return _ports.strip_of_block(cut.m, cut.n)
    return np.arange(2 * (cut.m + cut.n))


def sides(matrix: Array, order: np.ndarray, joint: _ports.Joint) -> tuple[_join.Parts, _join.Parts]:
    """The parts of all pairs of blocks (*batch, rows, columns, …), whose ports are at `order`."""
    axis = matrix.ndim - 4 + joint.axis

    def half(start: int, side: _ports.Side) -> _join.Parts:
        blocks = jax.lax.slice_in_dim(matrix, start, None, 2, axis)
        rows = order[np.concatenate(side)]
        columns = rows[: len(side.joined) + len(side.kept)]
        return _join.parts(take(blocks, rows, columns), side)

    return half(0, joint.near), half(1, joint.far)


def to_blocks(cells: Array, cut: Plan) -> Array:
    """(*batch, M, N) to (*batch, rows, columns, m·n), filled with open cells."""
    *batch, n_words, n_bits = cells.shape
    rows, columns = 2**cut.rows, 2**cut.columns
    missing = [(0, rows * cut.m - n_words), (0, columns * cut.n - n_bits)]
    padded = jnp.pad(cells, [(0, 0)] * len(batch) + missing)
    blocks = padded.reshape(*batch, rows, cut.m, columns, cut.n)
    return jnp.swapaxes(blocks, -3, -2).reshape(*batch, rows, columns, cut.m * cut.n)


def from_blocks(values: Array, cut: Plan) -> Array:
    """(*batch, rows, columns, m·n, k) to (*batch, M, N, k), with what was filled."""
    *batch, rows, columns, _, k = values.shape
    blocks = values.reshape(*batch, rows, columns, cut.m, cut.n, k)
    return jnp.swapaxes(blocks, -4, -3).reshape(*batch, rows * cut.m, columns * cut.n, k)
