"""The exact product and sum that an ideal array computes, in pure JAX and in native kernels.

The pure-JAX functions are the specification; the native kernels agree with them to rounding.
"""

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels


def product(conductance: Array, inputs: Array, *, transpose: bool) -> Array:
    """Rows of `inputs` (n, in) times `conductance` (out, in), or (n, out) to (n, in) transposed."""

    def pure(g: Array, x: Array) -> Array:
        return jnp.matmul(x, g if transpose else g.T, precision=jax.lax.Precision.HIGHEST)

    def native(g: Array, x: Array) -> Array:
        return _kernels.read(g, x, transpose=transpose)

    return _kernels.choose(native, pure, conductance, inputs)


def update(conductance: Array, delta: Array) -> tuple[Array, Array]:
    """The sum of both (out, in), and how many of `delta` are not finite (int32)."""

    def pure(g: Array, d: Array) -> tuple[Array, Array]:
        return g + d, count_not_finite(d)

    return _kernels.choose(_kernels.update, pure, conductance, delta)


def count_not_finite(values: Array) -> Array:
    """How many of `values` are NaN or infinite, as an int32 scalar."""
    return jnp.sum(~jnp.isfinite(values), dtype=jnp.int32)
