"""Where the randomness of reads comes from: see "Pure functions" in the documentation."""

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

_BACKWARD = 0x6261636B  # any fixed number that no time step reaches: "back" in ASCII

# Odd multipliers of two universal hashes of the input's bits (one column each).
_MULTIPLIERS = (0x9E3779B1, 0x85EBCA77)  # primes near 2^32 / golden ratio, as in xxHash


def backward_key(key: Array | None) -> Array | None:
    """The key of the backward read that belongs to a forward read with `key`."""
    if key is None:
        return None
    tag = lambda k: jax.random.fold_in(k, _BACKWARD)
    for _ in range(key.ndim):
        tag = jax.vmap(tag)
    return tag(key)


def next_key(key: Array | None) -> tuple[Array | None, Array | None]:
    """Splits the array's key into one to program with and a fresh one to keep."""
    if key is None:
        return None, None
    use, keep = jax.random.split(key)
    return use, keep


def input_keys(key: Array, inputs: Array) -> Array:
    """A key for each row of `inputs` (n, in): a hash of the row folded into `key`.

    Equal rows share their key, different ones have independent keys; -0 counts as 0.
    """
    bits = jax.lax.bitcast_convert_type(inputs + 0.0, jnp.uint32)
    place = np.arange(1, 2 * inputs.shape[1], 2, dtype=np.uint32)
    keys = jnp.broadcast_to(key, inputs.shape[:1])
    for multiplier in _MULTIPLIERS:
        mixed = (bits ^ (bits >> 15)) * (place * np.uint32(multiplier) | np.uint32(1))
        mixed = (mixed ^ (mixed >> 13)) * np.uint32(multiplier)
        keys = jax.vmap(jax.random.fold_in)(keys, jnp.sum(mixed, axis=1, dtype=jnp.uint32))
    return keys


def as_typed(key: Array | None) -> Array | None:
    """A single PRNG key in JAX's new style, whichever style `key` has.

    Raises:
      TypeError: `key` is not a PRNG key.
      ValueError: `key` is a batch of keys.
    """
    if key is None:
        return None
    try:
        typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        key = key if typed else jax.random.wrap_key_data(key)
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(
            f"key: expected a PRNG key such as jax.random.key(0), given {key!r}"
        ) from error
    if key.ndim != 0:
        raise ValueError(
            f"key: expected one PRNG key, given a batch of shape {key.shape}; "
            "use jax.vmap over the keys to make a batch of arrays"
        )
    return key
