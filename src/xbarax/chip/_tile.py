"""A layer larger than one tile: devices in tiles, partial sums added up digitally.

A layer's planes (planes, rows, in) have a row of devices for each output and, where each tile has a
reference column, at the end one for each row of tiles. Cut into tiles they are
(planes, tiles out, tiles in, lines, word lines).
"""

import dataclasses
import functools

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax.chip import _ideal


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a layer of (out, in) weights is cut.

    Attributes:
      n_out, n_in: the weights.
      lines: weights on each tile's outputs.
      words: weights on each tile's inputs.
      column: whether each tile has a reference column besides.
    """

    n_out: int
    n_in: int
    lines: int
    words: int
    column: bool

    @property
    def tiles_out(self) -> int:
        """Tiles along the outputs."""
        return -(-self.n_out // self.lines)

    @property
    def tiles_in(self) -> int:
        """Tiles along the inputs."""
        return -(-self.n_in // self.words)

    @property
    def rows(self) -> int:
        """Rows of devices in a plane."""
        return self.n_out + (self.tiles_out if self.column else 0)


def cut(n_out: int, n_in: int, tile: tuple[int, int] | None, column: bool) -> Tiling:
    """How a layer is cut into tiles of at most `tile` devices, (inputs, outputs)."""
    words, lines = (n_in, n_out) if tile is None else (tile[0], tile[1] - column)
    return Tiling(n_out, n_in, min(lines, n_out), min(words, n_in), column)


def split(planes: Array, tiling: Tiling) -> Array:
    """Cuts planes into tiles; what the last ones lack is filled with open cells."""
    t = tiling
    n_planes = planes.shape[0]
    missing = (t.tiles_out * t.lines - t.n_out, t.tiles_in * t.words - t.n_in)
    padded = jnp.pad(planes[:, : t.n_out], ((0, 0), (0, missing[0]), (0, missing[1])))
    tiles = padded.reshape(n_planes, t.tiles_out, t.lines, t.tiles_in, t.words)
    tiles = jnp.moveaxis(tiles, 3, 2)
    if not t.column:
        return tiles
    column = jnp.pad(planes[:, t.n_out :], ((0, 0), (0, 0), (0, missing[1])))
    column = column.reshape(n_planes, t.tiles_out, t.tiles_in, 1, t.words)
    return jnp.concatenate([tiles, column], axis=3)


def pack(tiles: Array, tiling: Tiling) -> Array:
    """Moves what the last tiles lack to the far ends of all lines, where no current flows.

    `split` fills them up behind the last inputs, which would be wire between the last word line and
    the ground, and between the last output and the reference column.
    """
    return _rearranged(tiles, *_packing(tiling))


def unpack(tiles: Array, tiling: Tiling) -> Array:
    """Undoes `pack`."""
    return _rearranged(tiles, *map(np.argsort, _packing(tiling)))


def pack_ends(values: Array, tiling: Tiling, *, outputs: bool) -> Array:
    """The same for what is at the ends of the lines of tiles, (…, tiles, lines or words)."""
    return _reordered(values, _packing(tiling)[0 if outputs else 1])


def unpack_ends(values: Array, tiling: Tiling, *, outputs: bool) -> Array:
    """Undoes `pack_ends`."""
    return _reordered(values, np.argsort(_packing(tiling)[0 if outputs else 1]))


def _reordered(values: Array, order: np.ndarray) -> Array:
    return jnp.concatenate([values[..., :-1, :], values[..., -1:, order]], axis=-2)


def _packing(t: Tiling) -> tuple[np.ndarray, np.ndarray]:
    """The order of the last tiles' lines and words, (lines, column) and words."""
    n_lines = t.n_out - (t.tiles_out - 1) * t.lines
    n_words = t.n_in - (t.tiles_in - 1) * t.words
    column = np.arange(t.lines, t.lines + t.column)
    lines = np.concatenate([np.arange(n_lines), column, np.arange(n_lines, t.lines)])
    return lines, np.roll(np.arange(t.words), -n_words)


def _rearranged(tiles: Array, lines: np.ndarray, words: np.ndarray) -> Array:
    for tile_axis, axis, order in ((-4, -2, lines), (-3, -1, words)):
        if np.all(order == np.arange(len(order))):
            continue
        whole, last = jnp.split(tiles, [tiles.shape[tile_axis] - 1], axis=tile_axis)
        last = jnp.take(last, order, axis=axis)
        tiles = jnp.concatenate([whole, last], axis=tile_axis)
    return tiles


def merge(tiles: Array, tiling: Tiling) -> Array:
    """Puts tiles (tiles out, tiles in, lines, words) together again, (out, in)."""
    joined = jnp.moveaxis(tiles, 2, 1)
    t = tiling
    return joined.reshape(t.tiles_out * t.lines, t.tiles_in * t.words)[: t.n_out, : t.n_in]


def spread(values: Array, tiles: int, width: int) -> Array:
    """Cuts values (rows, n) to those of each tile along their axis, (rows, tiles, width)."""
    padded = jnp.pad(values, ((0, 0), (0, tiles * width - values.shape[1])))
    return padded.reshape(values.shape[0], tiles, width)


def join(values: Array, n: int) -> Array:
    """Puts the values of tiles (…, tiles, width) together again, (…, n)."""
    *front, tiles, width = values.shape
    return values.reshape(*front, tiles * width)[..., :n]


def currents(tiles: Array, inputs: Array, *, transpose: bool) -> Array:
    """Each tile's sums over its cells, (rows, planes, tiles, tiles of the inputs, lines).

    `inputs` are (rows, tiles, lines), or (rows, tiles of the outputs, tiles, lines) where tiles
    that share inputs get different ones.
    """
    product = functools.partial(_ideal.product, transpose=transpose)
    along = tiles.swapaxes(1, 2) if transpose else tiles
    over_inputs = jax.vmap(product, (0, 1))
    over_outputs = jax.vmap(over_inputs, (0, 1 if inputs.ndim == 4 else None))
    sums = jax.vmap(over_outputs, (0, None))(along, inputs)
    return jnp.moveaxis(sums, 3, 0)
