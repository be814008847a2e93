"""`jax.random` by native kernels, where there are any: on the CPU, and on NVIDIA GPUs.

Keys are the same, numbers the same to rounding. XLA takes longer for both, and about a second to
compile each. Of numbers that come in pairs plain JAX here is the specification.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jax.extend.random import threefry_2x32
from jax.typing import ArrayLike, DTypeLike

from xbarax._kernels import _calls
from xbarax._kernels._choose import choose
from xbarax._kernels._cuda import cuda_available


def normal(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """`jax.random.normal`, of one typed key."""
    return _draw("normal", jax.random.normal, key, shape, dtype)


def paired_normal(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Standard normal numbers, of one typed key, for half of the random bits of `normal`'s.

    `jax.random` takes the exclusive or of the two words that Threefry makes of each counter; here
    each word gives a number. `shape` has at least one axis: a line of n along the last has ⌈n/2⌉
    counters, the lines' following one another. Their first words give the first half of the line,
    their second words the other. Keys of other generators, and other types than float32, give
    `jax.random.normal`'s.
    """
    if not (is_threefry(key) and dtype == jnp.float32):
        return jax.random.normal(key, shape, dtype)
    return choose(
        lambda data: _calls.draw("paired_normal", data, shape),
        lambda data: _paired_normal(data, shape),
        jax.random.key_data(key),
        platforms=_platforms(),
    )


def uniform(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """`jax.random.uniform` in [0, 1), of one typed key."""
    return _draw("uniform", jax.random.uniform, key, shape, dtype)


def fold_in(key: Array, number: ArrayLike) -> Array:
    """`jax.random.fold_in`, of one typed key and an integer."""
    if not is_threefry(key):
        return jax.random.fold_in(key, number)
    pure = lambda data, n: _data(jax.random.fold_in(_typed(data), n))
    n = jnp.uint32(number)
    return _typed(choose(_calls.fold_in, pure, _data(key), n, platforms=_platforms()))


def split(key: Array, n: int = 2) -> tuple[Array, ...]:
    """The keys of `jax.random.split`, of one typed key."""
    if not is_threefry(key):
        return tuple(jax.random.split(key, n))

    def pure(data: Array) -> tuple[Array, ...]:
        numbers = jnp.arange(n, dtype=jnp.uint32)
        return tuple(_data(jax.vmap(fold_in, (None, 0))(_typed(data), numbers)))

    return tuple(map(_typed, choose(lambda data: _calls.split(data, n), pure, _data(key))))


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


def _paired_normal(key_data: Array, shape: tuple[int, ...]) -> Array:
    *lead, n = shape
    counters = math.ceil(n / 2)
    high, low = _counters(jnp.arange(math.prod(lead), dtype=jnp.uint32), counters)
    words = threefry_2x32(key_data, jnp.concatenate([high.ravel(), low.ravel()]))
    bits = jnp.concatenate(list(words.reshape(2, *low.shape)), axis=-1)[:, :n]
    # As jax.random does: 23 bits as the fraction of a number in [1, 2), from there to (−1, 1).
    fraction = jax.lax.bitcast_convert_type((bits >> 9) | np.uint32(0x3F800000), jnp.float32) - 1
    least = np.nextafter(np.float32(-1), np.float32(0))
    uniform = jnp.maximum(least, fraction * (1 - least) + least)
    return (np.float32(np.sqrt(2)) * jax.lax.erf_inv(uniform)).reshape(shape)


def _counters(lines: Array, counters: int) -> tuple[Array, Array]:
    """Both words of the counters of each of the lines of these numbers, (lines, counters)."""
    places = jnp.arange(counters, dtype=jnp.uint32)
    low = lines[:, None] * np.uint32(counters) + places
    # The product's upper word, by halves of words.
    a, b = lines >> 16, lines & 0xFFFF
    c, d = np.uint32(counters >> 16), np.uint32(counters & 0xFFFF)
    inner = a * d + (b * d >> 16)
    outer = b * c + (inner & 0xFFFF)
    high = a * c + (inner >> 16) + (outer >> 16)
    return high[:, None] + (low < places).astype(jnp.uint32), low


def _platforms() -> tuple[Any, ...]:
    return ("cpu", "cuda") if cuda_available() else ("cpu",)


def is_threefry(key: Any) -> bool:
    """Whether kernels have the generator of a typed key or of its shape, as JAX lays it out."""
    partitionable = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    return key.dtype == _threefry() and partitionable


def _data(key: Array) -> Array:
    return jax.random.key_data(key)


def _typed(data: Array) -> Array:
    return jax.random.wrap_key_data(data, impl="threefry2x32")


@functools.cache
def _threefry() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32")).dtype
