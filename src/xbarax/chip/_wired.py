"""Tiles as they are seen from the ends of wires that are not ideal, and derivatives of that."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.chip import _tile

if TYPE_CHECKING:
    from xbarax.chip._chip import Chip

_CELLS_AT_ONCE = 2**20  # of all rows, so that many rows do not take all memory


def through(chip: "Chip", tiling: _tile.Tiling, tiles: Array) -> Array:
    """The effective conductances of tiles, or of another term of their cells' current."""
    return _tile.unpack(chip.wires.effective(_tile.pack(tiles, tiling)), tiling)


def references(chip: "Chip", tiling: _tile.Tiling) -> tuple[Array, ...]:
    """What ideal references show: tiles of ideal cells, between wires as the array has them.

    So a weight of zero reads as zero in an array of such weights, whatever the wires.
    """
    start = chip.mapping.start(chip.device)
    cells = jnp.full((1, tiling.rows, tiling.n_in), start, jnp.float32)
    terms = chip.device.current_terms(cells)
    tiles = tuple(_tile.split(term, tiling) for term in terms)
    return tiles if chip.wires.per_read else shown(chip, tiling, tiles)


def shown(chip: "Chip", tiling: _tile.Tiling, terms: tuple[Array, ...]) -> tuple[Array, ...]:
    """Terms of the cells' current as they are seen."""
    return tuple(through(chip, tiling, tiles) for tiles in terms)


def currents(chip: "Chip", state: dict[str, Any], volts: Array, transpose: bool) -> Array:
    """The currents of a read, as `_tile.currents` has them, where wires find them in each read."""
    tiling = chip.tiling(state)
    sums = _currents(chip, tiling, state["seen"]["terms"], volts, transpose)
    if chip.mapping.reference == "ideal":
        sums -= _currents(chip, tiling, state["reference"], volts, transpose)
    return sums


def _currents(
    chip: "Chip", tiling: _tile.Tiling, terms: tuple[Array, ...], volts: Array, transpose: bool
) -> Array:
    packed = tuple(_tile.pack(tiles, tiling) for tiles in terms)
    if transpose:  # (planes, tiles of the outputs, tiles of the inputs, lines, words)
        packed = tuple(tiles.swapaxes(1, 2) for tiles in packed)
    driven = _tile.pack_ends(volts, tiling, outputs=transpose)
    driven = driven[:, None] if volts.ndim == 4 else driven[:, None, None]

    def of_a_row(row: Array) -> Array:
        return chip.wires.currents(packed, row, transpose=transpose)

    at_once = max(_CELLS_AT_ONCE // max(packed[0].size, 1), 1)
    sums = jax.lax.map(of_a_row, driven, batch_size=at_once).swapaxes(2, 3)
    return _tile.unpack_ends(sums, tiling, outputs=not transpose).swapaxes(2, 3)


def variance(own: Array, cells: Array, seen: Array) -> Array:
    """The variance of a read of each cell as it arrives: by (G_eff/G)², at most 1.

    Of first order, a cell's noise arrives by the square of a product: the share of the applied
    voltage that is across the cell, and the share of its current that goes to its own ground.
    G_eff/G is that, and by what comes round over other cells more, without bound for an open cell:
    such a cell's noise counts whole.
    """
    closed = cells != 0
    share = jnp.where(closed, jnp.abs(seen) / jnp.where(closed, jnp.abs(cells), 1), 1)
    return own * jnp.square(jnp.minimum(share, 1))


def push_forward(chip: "Chip", planes: Array, change: Array) -> Array:
    """What a change of programmed weights (out, in) makes of effective ones, to first order.

    At conductances `planes` (planes, rows, in), over those and the wires. Programming is straight
    through, and the mapping's range is a constant, which cancels.
    """
    moved = _slopes(chip, planes, change) * change
    columns = ((0, 0), (0, planes.shape[1] - change.shape[0]), (0, 0))
    return jax.jvp(_units(chip, change), (planes,), (jnp.pad(moved, columns),))[1]


def pull_back(chip: "Chip", planes: Array, gradient: Array) -> Array:
    """The transpose of `push_forward`: from gradients of effective weights to programmed ones."""
    _, transpose = jax.vjp(_units(chip, gradient), planes)
    (of_planes,) = transpose(gradient)
    slopes = _slopes(chip, planes, gradient)
    return jnp.sum(slopes * of_planes[:, : len(gradient)], axis=0)


def _slopes(chip: "Chip", planes: Array, weights: Array) -> Array:
    return chip.mapping.derivatives(planes[:, : len(weights)], chip.device)


def _units(chip: "Chip", weights: Array) -> Callable[[Array], Array]:
    """From conductances to effective weights like `weights`, but for a constant."""
    n_out, n_in = weights.shape
    tiling = _tile.cut(n_out, n_in, chip.tile, chip.has_column)

    def units(planes: Array) -> Array:
        tiles = through(chip, tiling, _tile.split(planes, tiling))
        return as_one(chip, tiling, tiles)

    return units


def as_one(chip: "Chip", tiling: _tile.Tiling, tiles: Array) -> Array:
    """All tiles and planes as one matrix (out, in), in units of the largest weight."""
    if tiling.column:
        tiles = tiles[..., :-1, :] - tiles[..., -1:, :]
    coefficients = jnp.asarray(chip.coefficients, tiles.dtype)
    return _tile.merge(jnp.einsum("p,pabij->abij", coefficients, tiles), tiling)
