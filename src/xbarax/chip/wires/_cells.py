"""Small blocks of cells in closed form: where the recursion over blocks begins.

Cell (i, j) of a block is i + 1 segments away from the near end of its bit line, and j + 1 from that
of its word line. With the currents c of the cells, from word to bit line, the voltages across them
are d = E x − X c, where x are the block's ports (`_ports.py`) and

    X[(i, j), (k, l)] = r_w [i = k] (min(j, l) + 1) + r_b [j = l] (min(i, k) + 1).

With c = g d: (1 + g X) c = g E x. Resistances never divide, so they can be 0, and so can g.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax.chip.wires._linear import product, solve, transposed
from xbarax.chip.wires._ports import block_ports


class Wires(NamedTuple):
    """The wires of a block without its cells, each (…, row, column).

    Attributes:
      across: X, voltages across the cells (m·n) that their currents (m·n) take away.
      drive: E, voltages across the cells that ports give.
      through: what ports give to ports (p, p).
    """

    across: Array
    drive: Array
    through: Array


def wires(word_line: Array, bit_line: Array, m: int, n: int) -> Wires:
    """The wires of m word lines and n bit lines; resistances (…) of a segment, in ohm."""
    by_word, by_bit = word_line[..., None, None], bit_line[..., None, None]
    parts = (
        plain + by_word * word + by_bit * bit
        for plain, word, bit in (
            tuple(jnp.asarray(part, word_line.dtype) for part in matrix)
            for matrix in _wire_constants(m, n)
        )
    )
    return Wires(*parts)


def hybrid(conductance: Array, wires: Wires) -> Array:
    """The hybrid matrix of blocks, (…, p, p), from their cells' conductances (…, m·n)."""
    return wires.through + _through_cells(conductance, wires.across, wires.drive)


def currents(conductance: Array, wires: Wires) -> Array:
    """The cells' currents that ports give, (…, m·n, p)."""
    return _currents(conductance, wires.across, wires.drive)


def _currents(conductance: Array, across: Array, drive: Array) -> Array:
    each = conductance[..., None]
    return solve(jnp.eye(across.shape[-1], dtype=across.dtype) + each * across, each * drive)


@jax.custom_jvp
def _through_cells(conductance: Array, across: Array, drive: Array) -> Array:
    """Eᵀ (1/g + X)⁻¹ E, symmetric; g may be 0."""
    half = product(transposed(drive), 0.5 * _currents(conductance, across, drive))
    return half + transposed(half)


@_through_cells.defjvp
def _through_cells_jvp(primals, tangents):
    """By voltages d and currents c of the cells: dᵀ ġ d + cᵀ Ė + Ėᵀ c − cᵀ Ẋ c.

    So without a solution more.
    """
    conductance, across, drive = primals
    conductance_t, across_t, drive_t = tangents
    c = _currents(*primals)
    d = drive - product(across, c)
    half = product(transposed(d), 0.5 * conductance_t[..., None] * d)
    half += product(transposed(c), drive_t - 0.5 * product(across_t, c))
    through = 0.5 * product(transposed(drive), c)
    return through + transposed(through), half + transposed(half)


@functools.cache
def _wire_constants(m: int, n: int) -> tuple[tuple[np.ndarray, ...], ...]:
    """X, E and what goes through: without resistances, for those of word lines, of bit lines."""
    i, j = np.arange(m), np.arange(n)
    size = (m * n, m * n)
    by_word = np.einsum("ik,jl->ijkl", np.eye(m), np.minimum.outer(j, j) + 1).reshape(size)
    by_bit = np.einsum("ik,jl->ijkl", np.minimum.outer(i, i) + 1, np.eye(n)).reshape(size)
    word, bit = np.repeat(np.eye(m), n, axis=0), np.tile(np.eye(n), (m, 1))  # (cell, line)

    ports = block_ports(m, n)
    drive, drive_word, drive_bit = np.zeros((3, m * n, 2 * (m + n)))
    drive[:, ports["word near"]] = word
    drive[:, ports["bit near"]] = -bit
    drive_word[:, ports["word far"]] = -np.tile(j + 1, m)[:, None] * word
    drive_bit[:, ports["bit far"]] = np.repeat(i + 1, n)[:, None] * bit

    through, through_word, through_bit = np.zeros((3, 2 * (m + n), 2 * (m + n)))
    for line in ("word", "bit"):
        near, far = ports[f"{line} near"], ports[f"{line} far"]
        through[near, far] = through[far, near] = 1
    through_word[ports["word far"], ports["word far"]] = -n
    through_bit[ports["bit far"], ports["bit far"]] = -m
    return (
        (np.zeros(size), by_word, by_bit),
        (drive, drive_word, drive_bit),
        (through, through_word, through_bit),
    )
