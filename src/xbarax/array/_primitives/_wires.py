"""Derivatives of effective weights with respect to programmed ones, where wires are between."""

import functools
from typing import Any, Literal

import jax
from jax import Array

from xbarax.array import _hijax
from xbarax.array._primitives import _common
from xbarax.array._primitives._look import look
from xbarax.array._type import CrossbarType
from xbarax.chip import Chip


def has_wires(ty: CrossbarType) -> bool:
    """Whether effective weights are others than programmed ones; of drivers nothing is known."""
    return isinstance(ty.chip, Chip) and not ty.chip.has_ideal_wires


def push_forward(array: Any, change: Any) -> Array:
    """A change of the programmed weights (*batch, out, in) as one of the effective weights."""
    return _through_wires(array, change, "push_forward")


def pull_back(array: Any, gradient: Any) -> Array:
    """Its transpose, of gradients."""
    return _through_wires(array, gradient, "pull_back")


def _through_wires(array: Any, values: Any, way: Literal["push_forward", "pull_back"]) -> Array:
    values, ty = _hijax.instantiate_zeros(values), jax.typeof(array)
    if not has_wires(ty):
        return values
    planes = look(array, "conductances")
    return _linear(planes, values, chip=ty.chip, way=way, batch=len(ty.batch_shape))


@functools.partial(jax.jit, static_argnames=("chip", "way", "batch"))
def _linear(planes: Array, values: Array, *, chip: Chip, way: str, batch: int) -> Array:
    return _common.vmapped(getattr(chip, way), batch)(planes, values)
