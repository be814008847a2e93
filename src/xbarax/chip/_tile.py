"""A layer larger than one tile: devices in tiles, partial sums added up digitally."""

import jax
from jax import Array
from jax import numpy as jnp


def split(planes: Array, tile: tuple[int, int] | None) -> Array:
    """Cuts planes (planes, out, in) into tiles (planes, tiles out, tiles in, rows out, rows in).

    `tile` counts devices, (inputs, outputs); what the last tiles lack is filled with open cells.
    """
    n_planes, n_out, n_in = planes.shape
    tile_in, tile_out = (n_in, n_out) if tile is None else tile
    tile_in, tile_out = min(tile_in, n_in), min(tile_out, n_out)
    tiles_out, tiles_in = -(-n_out // tile_out), -(-n_in // tile_in)
    pad = ((0, 0), (0, tiles_out * tile_out - n_out), (0, tiles_in * tile_in - n_in))
    padded = jnp.pad(planes, pad)
    cut = padded.reshape(n_planes, tiles_out, tile_out, tiles_in, tile_in)
    return jnp.moveaxis(cut, 3, 2)


def transpose(tiles: Array) -> Array:
    """The same tiles with inputs and outputs exchanged."""
    return tiles.swapaxes(1, 2).swapaxes(3, 4)


def cut_inputs(inputs: Array, tiles: Array) -> Array:
    """Cuts inputs (rows, in) to what each tile sees, (rows, tiles in, rows in)."""
    tiles_in, tile_in = tiles.shape[2], tiles.shape[4]
    padded = jnp.pad(inputs, ((0, 0), (0, tiles_in * tile_in - inputs.shape[1])))
    return padded.reshape(inputs.shape[0], tiles_in, tile_in)


def currents(tiles: Array, inputs: Array) -> Array:
    """Each tile's sums over its cells, (planes, tiles out, tiles in, rows, rows out)."""
    return jnp.einsum("nbi,paboi->pabno", inputs, tiles, precision=jax.lax.Precision.HIGHEST)


def add_up(partial: Array, n_out: int) -> Array:
    """Adds the partial sums of the tiles along the inputs, to (planes, rows, out)."""
    sums = partial.sum(2)  # (planes, tiles out, rows, rows out)
    joined = jnp.moveaxis(sums, 1, 2)
    planes, rows, tiles_out, tile_out = joined.shape
    return joined.reshape(planes, rows, tiles_out * tile_out)[:, :, :n_out]
