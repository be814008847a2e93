"""The product of a layer's weights with its inputs, in an array or in a crossbar."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jaxtyping import Float

from xbarax import array
from xbarax._kernels import is_threefry
from xbarax.chip import Chip


def project(
    weight: Any, x: Float[Array | np.ndarray, "*rows inputs"], key: Array | None = None
) -> Float[Array, "*rows outputs"]:
    r"""Multiplies rows with a weight matrix: :math:`y_{...o} = \sum_i W_{oi} x_{...i}`.

    Args:
      weight: (outputs, inputs), float32: a plain array, or a crossbar array, which is read.
      x: rows of inputs, float32.
      key: for crossbars whose reads are noisy: the noise is a function of it and of the row.

    Returns:
      One row of outputs for each row of inputs. A plain array is multiplied in full float32 on
      every machine, as the ideal crossbar is: a membrane that is rounded more coarsely crosses
      its threshold elsewhere.

    Derivatives: exact for a plain array; those of `xbarax.read` for a crossbar.
    """
    if isinstance(weight, array.MemristiveCrossbarArray):
        return array.read(weight, x, key=key)
    return plain_product(jnp.asarray(weight), x)


def project_sequence(
    weight: Any, xs: Float[Array | np.ndarray, "time batch inputs"], step: Any
) -> Float[Array, "time batch outputs"]:
    """Projects every time step of a sequence at once.

    Equal to `project(weight, xs[t], xbarax.array.step_key(weight, step + t))` for each `t`,
    with one product for all of them.

    Args:
      weight: (outputs, inputs), as in `project`.
      xs: inputs, known for all times, float32.
      step: int32 scalar: the number of the sequence's first time step in its stream.

    Returns:
      The products, time first.

    Derivatives: as `project`.
    """
    if not isinstance(weight, array.MemristiveCrossbarArray):
        return plain_product(jnp.asarray(weight), xs)
    steps = step + jnp.arange(xs.shape[0], dtype=jnp.int32)
    keys = jax.vmap(lambda t: array.step_key(weight, t))(steps)
    if keys is None:
        return array.read(weight, xs)
    return jax.vmap(lambda x, key: array.read(weight, x, key=key))(xs, keys)


def project_sequence_apart(crossbar: Any, weight: Array, xs: Array, step: Any) -> Array:
    """`project_sequence` with a crossbar whose weights, a plain array, are differentiated."""
    seen = jax.lax.stop_gradient(jax.typeof(crossbar).chip.drive(xs))
    constant = jax.lax.stop_gradient(weight)
    read = project_sequence(crossbar, xs, step)
    return read + (plain_product(weight, seen) - plain_product(constant, seen))


def project_apart(crossbar: Any, weight: Array, x: Array, key: Array | None) -> Array:
    """`project` with a crossbar whose weights, a plain array, are what is differentiated."""
    read = array.read(crossbar, x, key=key)
    # Nothing, but for the derivative by the weights.
    constant = jax.lax.stop_gradient(weight)
    return read + (plain_product(weight, x) - plain_product(constant, x))


def plain_weights(weight: Any) -> Array | None:
    """The weight as a plain array, if it is no more than that: an array, or an ideal crossbar.

    None of a crossbar whose reads are more than a product, or that asks for plain JAX.
    """
    if not isinstance(weight, array.MemristiveCrossbarArray):
        return jnp.asarray(weight)
    chip = jax.typeof(weight).chip
    if not (isinstance(chip, Chip) and chip.is_ideal and chip.implementation != "jax"):
        return None
    return array.readout(weight)


def readable_in_kernels(crossbar: Any) -> bool:
    """Whether kernels of neurons can read a crossbar themselves, at each step."""
    ty = jax.typeof(crossbar)
    if not isinstance(ty.chip, Chip) or ty.chip.is_ideal:
        return False
    state, key = dataclasses.replace(ty, shape=ty.shape[-2:]).layout
    return ty.chip.can_be_read_in_kernels(state) and (key is None or is_threefry(key))


def plain_product(weight: Array, x: Array | np.ndarray) -> Array:
    """`project` with a plain array."""
    return jnp.matmul(x, weight.T, precision=jax.lax.Precision.HIGHEST)
