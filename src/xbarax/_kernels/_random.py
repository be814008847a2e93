"""`jax.random` by native kernels, where there are any: on the CPU, and on NVIDIA GPUs.

Keys are the same, numbers the same to rounding. XLA takes longer for both, and about a second to
compile each. Of normal numbers in pairs plain JAX here is the specification.
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
    """Standard normal numbers, of one typed key, for a quarter of the random bits of `normal`'s.

    Threefry makes two words of 32 bits of each counter, of which `jax.random` takes the exclusive
    or. Here each word gives a pair of numbers, by the transform of G. E. P. Box and M. E. Muller,
    "A note on the generation of random normal deviates", Ann. Math. Statist. 29, 610 (1958): 20
    bits the pair's length √(−2 ln u), up to 5.4, where `normal`'s numbers end, too, 10 bits its
    angle in a quadrant, and 2 bits both signs, so that numbers are uncorrelated exactly. An angle
    has 12 bits more, the least of the other word's length: without them too few numbers would be
    near 0.

    `shape` has at least one axis: a line of n along the last has ⌈n/4⌉ counters, the lines'
    following one another. The first numbers of the pairs of their first words are the first quarter
    of the line, the second numbers the next, and those of their second words the others. Keys of
    other generators, and other types than float32, give `jax.random.normal`'s.
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
    counters = math.ceil(n / 4)
    high, low = _counters(jnp.arange(math.prod(lead), dtype=jnp.uint32), counters)
    words = threefry_2x32(key_data, jnp.concatenate([high.ravel(), low.ravel()]))
    first, second = words.reshape(2, *low.shape)
    quarters = [*_pair(first, second), *_pair(second, first)]
    return jnp.concatenate(quarters, axis=-1)[:, :n].reshape(shape)


def _pair(word: Array, other: Array) -> tuple[Array, Array]:
    """Two standard normal numbers of each of some random words of 32 bits."""
    # From the lowest: 20 bits of the length, 10 of the angle in its quadrant, and the signs. Angles
    # are from the middle of the quadrant.
    u = (_float(word & 0xFFFFF) + 0.5) / 2**20
    fraction = ((word >> 7) & 0x7FE000) | (other & 0x1FFE) | 1
    angle = (_float(fraction) - 2**22) * (np.pi / 2**24)
    length = jnp.sqrt(-jnp.log(u))  # over the √2 of the middle's cosine and sine
    sine, cosine = _series(angle, 1), _series(angle, 0)
    signs = 1 - 2 * _float(word >> 31), 1 - 2 * _float((word >> 30) & 1)
    return length * (cosine - sine) * signs[0], length * (cosine + sine) * signs[1]


def _series(x: Array, first: int) -> Array:
    """Sine (1) or cosine (0) for |x| ≤ π/4, by Taylor's series: XLA's take three times as long."""
    total = jnp.zeros_like(x)
    for power in range(first + 8, -1, -2):
        total = total * (x * x) + (-1) ** (power // 2) / math.factorial(power)
    return total * x if first else total


def _float(x: Array) -> Array:
    return x.astype(jnp.float32)


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
