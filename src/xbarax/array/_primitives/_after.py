"""The primitive that makes an array's later programming wait for something."""

import functools
from typing import Any

import jax
from jax import Array

from xbarax.array import _hijax
from xbarax.array._primitives import _common
from xbarax.array._type import make_value
from xbarax.chip import AbstractStatefulChip


@functools.partial(jax.jit, static_argnames="chip")
def _after(state: Any, others: list[Array], *, chip: AbstractStatefulChip) -> Any:
    return chip.after(state, others)


class After(_hijax.Primitive):
    """array, others -> the same array, once the others are there; for chips that hold weights."""

    def __init__(self, array: Any, *others: Any):
        super().__init__((array, *others), array)

    def expand(self, array, *others):
        ty = self.out_aval
        state, key = _common.held_by(array).tree
        return make_value(ty, _after(state, list(others), chip=ty.chip), key)

    def batch_mapped(self, axis_data, args, dims):
        return after(*args), dims[0]

    def vjp_fwd(self, nonzeros, array, *others):
        return self(array, *others), None

    def vjp_bwd_retval(self, residuals, cotangent):
        zeros = map(_hijax.zero_cotangent, self.in_avals[1:])
        return _hijax.instantiate_zeros(cotangent), *zeros

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(None, *tangents)

    def lin(self, nonzeros, array, *others):
        return self(array, *others), None

    def linearized(self, residuals, array_dot, *others_dot):
        return _hijax.instantiate_zeros(array_dot)


def after(array: Any, *others: Array) -> Any:
    """Binds `After`."""
    return After(jax.typeof(array), *map(jax.typeof, others))(array, *others)
