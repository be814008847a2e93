"""Where the randomness of reads comes from: see "Pure functions" in the documentation."""

from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels

# Any fixed numbers that no time step reaches. jax.random.split(key)[i] is fold_in(key, i), so that
# without a tag of its own an update would draw what the reads of the first time steps drew.
BACKWARD = 0x6261636B  # "back" in ASCII
_PROGRAM = 0x70726F67  # "prog"

_NEGATIVE_ZERO = np.uint32(0x80000000)

# Any two odd numbers: what makes the two hashes of an input's bits different.
_SEEDS = (0x9E3779B1, 0x7FEB352D)


def backward_key(key: Array | None) -> Array | None:
    """The key of the backward read that belongs to a forward read with `key`."""
    if key is None:
        return None
    tag = lambda k: _kernels.fold_in(k, BACKWARD)
    for _ in range(key.ndim):
        tag = jax.vmap(tag)
    return tag(key)


def next_key(key: Array | None) -> tuple[Array | None, Array | None]:
    """Splits the array's key into one to program with and a fresh one to keep."""
    if key is None:
        return None, None
    use, keep = _kernels.split(_kernels.fold_in(key, _PROGRAM))
    return use, keep


@jax.jit
def input_keys(key: Array, inputs: Array) -> Array:
    """A key for each row of `inputs` (n, in): a hash of the row folded into `key`.

    Equal rows share their key, different ones have independent keys; -0 counts as 0.
    """
    bits = jax.lax.bitcast_convert_type(inputs, jnp.uint32)
    bits = jnp.where(bits == _NEGATIVE_ZERO, 0, bits)  # XLA takes inputs + 0.0 for inputs
    place = np.arange(1, inputs.shape[1] + 1, dtype=np.uint32)
    keys = jnp.broadcast_to(key, inputs.shape[:1])
    for seed in _SEEDS:
        hashed = _mix(bits ^ _mix(place * np.uint32(seed)))
        keys = jax.vmap(_kernels.fold_in)(keys, jnp.sum(hashed, axis=1, dtype=jnp.uint32))
    return keys


def _mix(bits: Any) -> Any:
    """A bijection of 32-bit numbers that spreads every bit: the finaliser of MurmurHash3."""
    bits = (bits ^ (bits >> 16)) * np.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * np.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)


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
