"""Gradients through the wires of a chip."""

from typing import Any

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax.array import _primitives as primitives
from xbarax.array._simulated import simulated
from xbarax.array._value import MemristiveCrossbarArray, check_float32


def pull_back(array: MemristiveCrossbarArray, gradient: ArrayLike) -> Array:
    r"""A gradient with respect to an array's effective weights, as one of its programmed weights.

    `jax.grad` of a loss with a crossbar array gives the former: what the loss would gain from
    changes of the weights that reads see. Between them and the weights that are programmed lie the
    wires of the chip, which let each cell act on its neighbours::

        grad = jax.grad(loss)(w)
        w = w - rate * xb.wires.pull_back(w, grad)   # once a step

    The vector–Jacobian product of programmed weights → conductances → `G_eff` → effective weights,
    at the array's present conductances, in each tile and plane. A change of a weight goes to the
    devices that the mapping's `derivatives` say, programming is straight through, and the mapping's
    range is a constant. With ideal wires it is the identity.

    Args:
      array: a crossbar array on a simulated chip.
      gradient: (out, in), float32, or (*batch, out, in) for a batch of arrays.

    Returns:
      An array like `gradient`.

    Raises:
      TypeError: no crossbar on a simulated chip, or a gradient that is not float32.
      ValueError: a gradient of another shape.

    Derivatives: linear in the gradient; none with respect to the array.
    """
    use = "xb.wires.pull_back"
    ty, _ = simulated(array, use)
    given: Any = gradient
    if isinstance(given, MemristiveCrossbarArray):
        raise TypeError(f"{use}: gradient: expected a plain array, given a crossbar array")
    check_float32("gradient", given)
    values = jnp.asarray(given)
    if values.shape != ty.shape:
        raise ValueError(
            f"{use}: expected a gradient of the array's shape, given {ty.str_short()} and "
            f"{jax.typeof(values).str_short()}"
        )
    return primitives.pull_back(array, values)
