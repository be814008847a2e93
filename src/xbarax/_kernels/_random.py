"""`jax.random` by native kernels, where there are any: on the CPU, and on NVIDIA GPUs.

Keys are the same, numbers the same to rounding. XLA takes longer for both, and about a second to
compile each.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from xbarax._kernels import _calls
from xbarax._kernels._choose import choose
from xbarax._kernels._cuda import cuda_available


def normal(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """`jax.random.normal`, of one typed key."""
    return _draw("normal", jax.random.normal, key, shape, dtype)


def uniform(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """`jax.random.uniform` in [0, 1), of one typed key."""
    return _draw("uniform", jax.random.uniform, key, shape, dtype)


def fold_in(key: Array, number: ArrayLike) -> Array:
    """`jax.random.fold_in`, of one typed key and an integer."""
    if not is_threefry(key):
        return jax.random.fold_in(key, number)
    pure = lambda data, n: jax.random.key_data(jax.random.fold_in(_typed(data), n))
    data, n = jax.random.key_data(key), jnp.uint32(number)
    return _typed(choose(_calls.fold_in, pure, data, n, platforms=_platforms()))


def split(key: Array, n: int = 2) -> Array:
    """`jax.random.split`, of one typed key."""
    if not is_threefry(key):
        return jax.random.split(key, n)
    return jax.vmap(fold_in, (None, 0))(key, jnp.arange(n, dtype=jnp.uint32))


def _draw(
    name: str,
    pure: Callable[..., Array],
    key: Array,
    shape: tuple[int, ...],
    dtype: DTypeLike,
) -> Array:
    if not (is_threefry(key) and dtype == jnp.float32):
        return pure(key, shape, dtype)
    return choose(
        lambda data: _calls.draw(name, data, shape),
        lambda data: pure(_typed(data), shape, dtype),
        jax.random.key_data(key),
        platforms=_platforms(),
    )


def _platforms() -> tuple[Any, ...]:
    return ("cpu", "cuda") if cuda_available() else ("cpu",)


def is_threefry(key: Any) -> bool:
    """Whether kernels have the generator of a typed key or of its shape, as JAX lays it out."""
    partitionable = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    return key.dtype == _threefry() and partitionable


def _typed(data: Array) -> Array:
    return jax.random.wrap_key_data(data, impl="threefry2x32")


@functools.cache
def _threefry() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32")).dtype
