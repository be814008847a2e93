"""The primitive that changes an array otherwise than by programming: time, faults, calibration."""

import dataclasses
import functools
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.array import _hijax
from xbarax.array._held import Held
from xbarax.array._primitives import _common
from xbarax.array._type import CrossbarType, holding


@functools.partial(jax.jit, static_argnames=("ty", "name", "shared"))
def _alter(
    held: Held, operand: Array, *, ty: CrossbarType, name: str, shared: tuple[bool, ...]
) -> Held:
    def alter(held: Held, operand: Array) -> Held:
        state, key = held.tree
        return Held(ty.packing, tree=(getattr(ty.chip, name)(state, operand), key))

    for lacks in reversed(shared):
        alter = jax.vmap(alter, (None if lacks else 0, 0))
    return jax.tree.map(jnp.copy, alter(held, operand))


class Alter(_hijax.Primitive):
    """array, operand -> array: time, faults and converters of a simulated chip.

    By the chip's method of the name given; straight through for derivatives. The operand's leading
    axes are those of the result; where `shared` says so, the array itself lacks the axis, and one
    array becomes a batch of them.
    """

    def __init__(self, array: Any, operand: Any, name: str, shared: tuple[bool, ...]):
        shape = (*operand.shape[: len(shared)], *array.shape[-2:])
        out = dataclasses.replace(array, shape=shape)
        super().__init__((array, operand), out, name=name, shared=shared)

    def expand(self, array, operand):
        ty = self.in_avals[0]
        held = _alter(array._held, operand, ty=ty, name=self.name, shared=self.shared)
        return holding(self.out_aval, held)

    def batch_mapped(self, axis_data, args, dims):
        (array, operand), (d_array, d_operand) = args, dims
        shared = (d_array is None, *self.shared)
        return alter(array, _common.lead(axis_data, operand, d_operand), self.name, shared), 0

    def vjp_fwd(self, nonzeros, array, operand):
        return self(array, operand), None

    def vjp_bwd_retval(self, residuals, cotangent):
        cotangent = _hijax.instantiate_zeros(cotangent)
        summed = tuple(axis for axis, shared in enumerate(self.shared) if shared)
        return cotangent.sum(summed), _hijax.zero_cotangent(self.in_avals[1])

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(None, *tangents)

    def lin(self, nonzeros, array, operand):
        return self(array, operand), None

    def linearized(self, residuals, array_dot, operand_dot):
        new = tuple(axis for axis, shared in enumerate(self.shared) if shared)
        tangent = jnp.expand_dims(_hijax.instantiate_zeros(array_dot), new)
        return jnp.broadcast_to(tangent, self.out_aval.shape)


def alter(array: Any, operand: Array, name: str, shared: tuple[bool, ...] | None = None) -> Any:
    """Binds `Alter`; by default the operand has the array's batch axes."""
    ty = jax.typeof(array)
    shared = (False,) * len(ty.batch_shape) if shared is None else shared
    return Alter(ty, jax.typeof(operand), name, shared)(array, operand)
