"""What the primitives share."""

from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.array import _hijax
from xbarax.array._held import Held
from xbarax.array._type import FLOAT32, CrossbarType
from xbarax.chip import AbstractStatefulChip


def effects(ty: CrossbarType) -> frozenset:
    if not ty.chip.has_side_effects:
        return frozenset()
    return _kernels.side_effect() | _hijax.io_effects()


def held_by(array: Any) -> Held:
    """What an array holds that is about to be used."""
    chip = array._type.chip
    if isinstance(chip, AbstractStatefulChip):
        chip.settle()
    return array._held


def dense(*shape: int) -> Any:
    return _hijax.ShapedArray(shape, FLOAT32)


def vmapped(function: Any, axes: int, in_axes: Any = 0) -> Any:
    for _ in range(axes):
        function = jax.vmap(function, in_axes=in_axes)
    return function


def lead(axis_data: Any, x: Any, dim: Any, at: int = 0) -> Any:
    """`x` with its mapped axis at position `at`, made where it is not mapped."""
    if x is None:
        return None
    if dim is None:
        shape = (*x.shape[:at], axis_data.size, *x.shape[at:])
        return jnp.broadcast_to(jnp.expand_dims(x, at), shape)
    return jnp.moveaxis(x, dim, at)


def matmul(x: Array, w: Array, transposed: bool) -> Array:
    """Rows of `x` (…, n, in) times plain weights (…, out, in)."""
    matrix = w if transposed else jnp.swapaxes(w, -1, -2)
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)
