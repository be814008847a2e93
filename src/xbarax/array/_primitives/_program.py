"""The primitives that program: a fresh array, and a change of one."""

import functools
from typing import Any

import jax
from jax import Array

from xbarax.array import _hijax, _keys
from xbarax.array._primitives import _common
from xbarax.array._type import CrossbarType, make_value

# Eager calls are jitted, here and in the other primitives, so that they cost a dispatch and not a
# trace.


@functools.partial(jax.jit, static_argnames="ty")
def _program(weights: Array, key: Array | None, *, ty: CrossbarType) -> Any:
    def one(w: Array, k: Array | None) -> Any:
        use, keep = _keys.next_key(k)
        return ty.chip.program(w, use), keep

    return _common.vmapped(one, len(ty.batch_shape))(weights, key)


@functools.partial(jax.jit, static_argnames="ty")
def _update(state: Any, key: Array | None, delta: Array, *, ty: CrossbarType) -> Any:
    def one(s: Any, k: Array | None, d: Array) -> Any:
        use, keep = _keys.next_key(k)
        return ty.chip.update(s, d, use), keep

    return _common.vmapped(one, len(ty.batch_shape))(state, key, delta)


class Program(_hijax.Primitive):
    """weights (*batch, out, in), key (*batch) -> array; straight through for derivatives."""

    def __init__(self, weights: Any, key: Any, chip: Any):
        key_dtype = None if key is None else key.dtype
        out = CrossbarType(tuple(weights.shape), chip, key_dtype)
        super().__init__((weights, key), out, _common.effects(out), chip=chip)

    def expand(self, weights, key):
        return make_value(self.out_aval, *_program(weights, key, ty=self.out_aval))

    def batch_mapped(self, axis_data, args, dims):
        weights, key = (_common.lead(axis_data, x, d) for x, d in zip(args, dims, strict=True))
        return program(weights, key, self.chip), 0

    def vjp_fwd(self, nonzeros, weights, key):
        return self(weights, key), None

    def vjp_bwd_retval(self, residuals, cotangent):
        return _hijax.instantiate_zeros(cotangent), _hijax.zero_cotangent(self.in_avals[1])

    def jvp(self, primals, tangents):
        return self(*primals), _hijax.instantiate_zeros(tangents[0])

    def lin(self, nonzeros, weights, key):
        return self(weights, key), None

    def linearized(self, residuals, weights_dot, key_dot):
        return _hijax.instantiate_zeros(weights_dot)


class Update(_hijax.Primitive):
    """array, delta (*batch, out, in) -> array; straight through for derivatives."""

    def __init__(self, array: Any, delta: Any):
        super().__init__((array, delta), array, _common.effects(array))

    def expand(self, array, delta):
        ty = self.out_aval
        return make_value(ty, *_update(array._state, array._key, delta, ty=ty))

    def batch_mapped(self, axis_data, args, dims):
        (array, delta), (d_array, d_delta) = args, dims
        if d_array is None:
            raise ValueError(
                f"one array, {self.in_avals[0].str_short()}, cannot take a batch of "
                f"{axis_data.size} updates: add them up first, or make a batch of arrays with "
                "jax.vmap over their keys"
            )
        return update(array, _common.lead(axis_data, delta, d_delta)), 0

    def vjp_fwd(self, nonzeros, array, delta):
        return self(array, delta), None

    def vjp_bwd_retval(self, residuals, cotangent):
        cotangent = _hijax.instantiate_zeros(cotangent)
        return cotangent, cotangent

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(None, *tangents)

    def lin(self, nonzeros, array, delta):
        return self(array, delta), None

    def linearized(self, residuals, array_dot, delta_dot):
        return _hijax.instantiate_zeros(array_dot) + _hijax.instantiate_zeros(delta_dot)


def program(weights: Array, key: Array | None, chip: Any) -> Any:
    """Binds `Program`."""
    return Program(jax.typeof(weights), _hijax.typeof(key), chip)(weights, key)


def update(array: Any, delta: Array) -> Any:
    """Binds `Update`."""
    return Update(jax.typeof(array), jax.typeof(delta))(array, delta)
