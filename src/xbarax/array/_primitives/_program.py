"""The primitives that program: a fresh array, and a change of one."""

import functools
from typing import Any, Literal

import jax
from jax import Array

from xbarax.array import _hijax, _keys
from xbarax.array._held import Held
from xbarax.array._primitives import _common, _wires
from xbarax.array._type import CrossbarType, holding, make_value
from xbarax.chip import AbstractStatefulChip

Change = Literal["update", "write", "pulse"]

# Whether derivatives pass to the array, and to the operand.
_PASSES = {"update": (True, True), "write": (False, True), "pulse": (True, False)}

# Eager calls are jitted, here and in the other primitives, so that they cost a dispatch and not a
# trace.


@functools.partial(jax.jit, static_argnames="ty")
def _program(weights: Array, key: Array | None, *, ty: CrossbarType) -> Held:
    def one(w: Array, k: Array | None) -> Held:
        use, keep = _keys.next_key(k)
        return Held(ty.packing, tree=(ty.chip.program(w, use), keep))

    return _common.vmapped(one, len(ty.batch_shape))(weights, key)


@functools.partial(jax.jit, static_argnames=("ty", "how"))
def _change(held: Held, operand: Array, *, ty: CrossbarType, how: Change) -> Held:
    def one(held: Held, operand: Array) -> Held:
        state, key = held.tree
        use, keep = _keys.next_key(key)
        return Held(ty.packing, tree=(getattr(ty.chip, how)(state, operand, use), keep))

    return _common.vmapped(one, len(ty.batch_shape))(held, operand)


class Program(_hijax.Primitive):
    """weights (*batch, out, in), key (*batch) -> array.

    For derivatives straight through, but for the wires between programmed and effective weights.
    """

    def __init__(self, weights: Any, key: Any, chip: Any):
        key_dtype = None if key is None else key.dtype
        out = CrossbarType(tuple(weights.shape), chip, key_dtype)
        super().__init__((weights, key), out, _common.effects(out), chip=chip)

    def expand(self, weights, key):
        if isinstance(self.chip, AbstractStatefulChip):
            _refuse_to_place(self.out_aval, weights)
            place = make_value(self.out_aval, self.chip.allocate(self.out_aval.shape), key)
            return change(place, weights, "write")
        return holding(self.out_aval, _program(weights, key, ty=self.out_aval))

    def batch_mapped(self, axis_data, args, dims):
        weights, key = (_common.lead(axis_data, x, d) for x, d in zip(args, dims, strict=True))
        return program(weights, key, self.chip), 0

    def vjp_fwd(self, nonzeros, weights, key):
        return self.lin(nonzeros, weights, key)

    def vjp_bwd_retval(self, residuals, cotangent):
        to_weights = _pulled_back(residuals, cotangent)
        return to_weights, _hijax.zero_cotangent(self.in_avals[1])

    def jvp(self, primals, tangents):
        array, residuals = self.lin(None, *primals)
        return array, self.linearized(residuals, *tangents)

    def lin(self, nonzeros, weights, key):
        return _with_wires(self(weights, key))

    def linearized(self, residuals, weights_dot, key_dot):
        return _pushed_forward(residuals, weights_dot)


def _with_wires(array: Any) -> tuple[Any, Any]:
    """An array that was programmed, and what its derivatives need of it."""
    return array, array if _wires.has_wires(jax.typeof(array)) else None


def _pushed_forward(array: Any, change: Any) -> Array:
    return _hijax.instantiate_zeros(change) if array is None else _wires.push_forward(array, change)


def _pulled_back(array: Any, cotangent: Any) -> Array:
    if array is None:
        return _hijax.instantiate_zeros(cotangent)
    return _wires.pull_back(array, cotangent)


class Update(_hijax.Primitive):
    """array, operand (*batch, out, in) -> array.

    For derivatives straight through: to the array as it is, to the operand by way of the wires.

    Changes: "update" by deltas; on chips that hold the weights also "write", to the weights given,
    and "pulse", by pulse counts, through which nothing is known of derivatives but the array's own.
    """

    def __init__(self, array: Any, operand: Any, how: Change):
        super().__init__((array, operand), array, _common.effects(array), how=how)

    def expand(self, array, operand):
        ty = self.out_aval
        return holding(ty, _change(_common.held_by(array), operand, ty=ty, how=self.how))

    def batch_mapped(self, axis_data, args, dims):
        (array, operand), (d_array, d_operand) = args, dims
        if d_array is None:
            raise ValueError(
                f"one array, {self.in_avals[0].str_short()}, cannot take a batch of "
                f"{axis_data.size} updates: add them up first, or make a batch of arrays with "
                "jax.vmap over their keys"
            )
        return change(array, _common.lead(axis_data, operand, d_operand), self.how), 0

    def vjp_fwd(self, nonzeros, array, operand):
        return self.lin(nonzeros, array, operand)

    def vjp_bwd_retval(self, residuals, cotangent):
        cotangent = _hijax.instantiate_zeros(cotangent)
        to_array, to_operand = _PASSES[self.how]
        none, nothing = map(_hijax.zero_cotangent, self.in_avals)
        return (
            cotangent if to_array else none,
            _pulled_back(residuals, cotangent) if to_operand else nothing,
        )

    def jvp(self, primals, tangents):
        array, residuals = self.lin(None, *primals)
        return array, self.linearized(residuals, *tangents)

    def lin(self, nonzeros, array, operand):
        return _with_wires(self(array, operand))

    def linearized(self, residuals, array_dot, operand_dot):
        from_array, from_operand = _PASSES[self.how]
        tangent = _hijax.instantiate_zeros(array_dot if from_array else operand_dot)
        if from_array and from_operand and not _hijax.is_zero(operand_dot):
            tangent += _pushed_forward(residuals, operand_dot)
        return tangent


def program(weights: Array, key: Array | None, chip: Any) -> Any:
    """Binds `Program`."""
    return Program(jax.typeof(weights), _hijax.typeof(key), chip)(weights, key)


def change(array: Any, operand: Array, how: Change = "update") -> Any:
    """Binds `Update`."""
    return Update(jax.typeof(array), jax.typeof(operand), how)(array, operand)


def _refuse_to_place(ty: CrossbarType, weights: Any) -> None:
    if not _hijax.is_concrete(weights):
        raise TypeError(
            f"{ty.str_short()} on {ty.chip!r}: an array of a real chip takes a place on it, which "
            "compiled programs (jit, scan, …) cannot do. Make the array outside; inside, "
            "program it with w + dw or xb.hardware.program(w, weights)"
        )
