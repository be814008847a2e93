"""Products and solutions of batches of small matrices."""

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp


def product(a: Array, b: Array) -> Array:
    """The matrix product in full precision, which accelerators do not give by default."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def transposed(a: Array) -> Array:
    """The two last axes exchanged."""
    return jnp.swapaxes(a, -1, -2)


def solve(a: Array, b: Array) -> Array:
    """The inverse of a times b."""

    def solution(matrix: Array, right: Array) -> Array:
        return jax.lax.platform_dependent(matrix, right, cpu=_eliminate, default=jnp.linalg.solve)

    return jax.lax.custom_linear_solve(
        lambda x: product(a, x),
        b,
        solve=lambda _, right: solution(a, right),
        transpose_solve=lambda _, right: solution(transposed(a), right),
    )


def _eliminate(a: Array, b: Array) -> Array:
    """Gauss–Jordan elimination with the largest pivots, all matrices at once.

    Not by LAPACK: jaxlib's batched calls wait for threads of the pool that they run in, so that
    two of them at once, as programs with two arrays have, wait for each other forever.
    """
    size = a.shape[-1]
    rows = jnp.arange(size)

    def step(i: Array, system: Array) -> Array:
        column = jax.lax.dynamic_index_in_dim(system, i, axis=-1, keepdims=False)
        largest = jnp.argmax(jnp.where(rows < i, -1, jnp.abs(column)), axis=-1)[..., None]
        pivots = jnp.take_along_axis(system, largest[..., None], axis=-2)  # one row of each
        pivot = jnp.take_along_axis(column, largest, axis=-1)[..., None]
        scaled = pivots / pivot
        # Row i takes the pivot's place, whose own place it leaves.
        ith = jax.lax.dynamic_slice_in_dim(system, i, 1, axis=-2)
        swapped = jnp.where((rows == largest)[..., None], ith, system)
        factor = jax.lax.dynamic_index_in_dim(swapped, i, axis=-1)
        return jnp.where((rows == i)[:, None], scaled, swapped - factor * scaled)

    return jax.lax.fori_loop(0, size, step, jnp.concatenate([a, b], axis=-1))[..., size:]


def take(matrix: Array, rows: np.ndarray, columns: np.ndarray) -> Array:
    """Rows and columns by their numbers."""
    return matrix[..., rows, :][..., columns]
