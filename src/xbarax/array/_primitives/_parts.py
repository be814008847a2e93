"""The primitives that take an array apart and put it together again, for kernels that read it."""

from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.array import _hijax
from xbarax.array._primitives import _common
from xbarax.array._primitives._look import Inspect
from xbarax.array._type import CrossbarType, make_value


class Parts(Inspect):
    """array -> the chip's state and the key's data, None of no key; without derivatives."""

    def __init__(self, array: Any):
        state, key = array.layout
        if key is not None:
            key = jax.eval_shape(jax.random.key_data, key)
        shaped = lambda leaf: _hijax.ShapedArray(leaf.shape, leaf.dtype)
        super().__init__((array,), jax.tree.map(shaped, (state, key)))

    def expand(self, array):
        state, key = _common.held_by(array).tree
        data = None if key is None else jax.random.key_data(key)
        # Copies: JAX 0.10 cannot lower results that are constants.
        return jax.tree.map(jnp.copy, (state, data))

    def again(self, array):
        return parts(array)


class Whole(_hijax.Primitive):
    """The same backwards, without derivatives."""

    def __init__(self, ty: CrossbarType, state: Any, data: Any):
        super().__init__((state, data), ty, ty=ty)

    def expand(self, state, data):
        key = None if data is None else jax.random.wrap_key_data(data, impl="threefry2x32")
        return make_value(self.ty, state, key)

    def batch_mapped(self, axis_data, args, dims):
        lead = lambda x, dim: _common.lead(axis_data, x, dim)
        state, data = jax.tree.map(lead, args, dims)
        return whole(self.ty.inc_rank(axis_data.size, 0), state, data), 0

    def vjp_fwd(self, nonzeros, state, data):
        return self(state, data), None

    def vjp_bwd_retval(self, residuals, cotangent):
        return jax.tree.map(_hijax.zero_cotangent, self.in_avals)

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(None)

    def lin(self, nonzeros, state, data):
        return self(state, data), None

    def linearized(self, residuals, *tangents):
        return _hijax.Zero(self.ty.to_tangent_aval())


def parts(array: Any) -> tuple[Any, Array | None]:
    """Binds `Parts`."""
    return Parts(jax.typeof(array))(array)


def whole(ty: CrossbarType, state: Any, data: Array | None) -> Any:
    """Binds `Whole`: the array of type `ty` (whose keys are threefry's) that has these parts."""
    return Whole(ty, *jax.tree.map(jax.typeof, (state, data)))(state, data)
