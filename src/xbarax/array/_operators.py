"""What can be done with a crossbar array, and what is refused with the way named.

Concrete arrays and tracers take their operators from the same two tables at the end of the file.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax import _kernels
from xbarax.array import _hijax, _keys
from xbarax.array import _primitives as primitives
from xbarax.array._type import CrossbarType
from xbarax.array._value import (
    MemristiveCrossbarArray,
    check_finite,
    check_float32,
)
from xbarax.chip import AbstractStatefulChip


class Transposed:
    """A crossbar array to be read from its outputs to its inputs: `w.T @ y`, and nothing else."""

    __array_ufunc__ = None

    def __init__(self, array: Any):
        """Remembers the array."""
        self._array = array

    @property
    def T(self) -> Any:
        """The array itself."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """(in, out)."""
        *batch, n_out, n_in = self._array.shape
        return (*batch, n_in, n_out)

    def __matmul__(self, y: ArrayLike) -> Array:
        """Reads transposed: y (out,) or (out, n) to (in,) or (in, n)."""
        return _read_columns(self._array, y, transposed=True)

    def __rmatmul__(self, x: Any) -> NoReturn:
        """Refused, with the way named."""
        raise TypeError("x @ w.T is not a read: write (w @ x), or xb.read(w, x) with batches first")

    def __repr__(self) -> str:
        """The array's repr, transposed."""
        return f"{self._array!r}.T"


def matmul(array: MemristiveCrossbarArray, x: ArrayLike) -> Array:
    """Reads the array: `w @ x` for x (in,) or (in, n), to (out,) or (out, n)."""
    return _read_columns(array, x, transposed=False)


def read(
    array: MemristiveCrossbarArray,
    x: ArrayLike,
    key: Array | None = None,
    transpose: bool = False,
) -> Array:
    r"""Reads a crossbar array, batches first: :math:`y_{...o} = \sum_i W_{oi} x_{...i}`.

    Args:
      array: the crossbar array, (out, in).
      x: (…, in), float32, or (…, out) where `transpose` is true; the axes in front are rows, each
        read with its own noise.
      key: a PRNG key for chips whose reads are noisy: the noise is a function of it and of the
        row's number. Without one, a noisy chip takes the array's key and a hash of each input
        row, as `w @ x` does: different inputs get independent noise, equal inputs share theirs.
      transpose: read from the outputs to the inputs.

    Returns:
      (…, out), or (…, in) where `transpose` is true.

    Raises:
      TypeError: `array` is no crossbar, or `x` is not float32.
      ValueError: shapes that do not match; a batch of arrays outside of `jax.vmap`.

    Derivatives: exact for the ideal product with the effective weights; the cotangent of `x` is
    a transposed read through the same chip (`Chip.backward`). Noise is a constant.
    """
    ty = _one_array(array, "xb.read")
    x = _operand("y" if transpose else "x", x)
    _check_operand("read", ty, x, transposed=transpose, axis=-1)
    rows = x.reshape(-1, x.shape[-1])
    y = _read_rows(array, rows, _keys.as_typed(key), transpose)
    return y.reshape(*x.shape[:-1], y.shape[-1])


def readout(array: MemristiveCrossbarArray) -> Array:
    """The programmed weights (out, in) as a plain array.

    At the array's present age, before wires, without read noise. A batch of arrays gives
    (*batch, out, in).

    Raises:
      TypeError: `array` is no crossbar.

    Derivatives: the identity, from effective weights to effective weights.
    """
    _crossbar_type(array, "xb.readout")
    return primitives.readout(array)


def report(array: MemristiveCrossbarArray) -> dict[str, Array]:
    """What the array has counted since it was made, as int32 scalars by name.

    Returns:
      `saturated`: updates that a device's bound cut off; `not_converged`: devices that
      write-verify left outside its tolerance; `pulses`: programming pulses; `not_finite`:
      weights or updates that were NaN or infinite. Outside of tracing the last are errors at
      once; under tracing this counter is how they show.

    Raises:
      TypeError: `array` is no crossbar.

    Derivatives: none.
    """
    _crossbar_type(array, "xb.report")
    return primitives.report(array)


def after(array: MemristiveCrossbarArray, result: Any) -> MemristiveCrossbarArray:
    """The array, for a compiled program that must not program it before `result` is there.

    Compiled programs run what is not connected in any order. A real chip that is programmed while
    an earlier value is still to be read refuses that read as stale; so let the programming wait::

        accuracy = measure(w, inputs)
        w = xb.after(w, accuracy) + dw

    `xb.apply_updates` makes each array wait for all updates of its tree. On simulated chips, whose
    arrays are values, there is nothing to wait for, and the array is returned as it is.

    Args:
      array: a crossbar array.
      result: an array or a tree of arrays to wait for.

    Raises:
      TypeError: `array` is no crossbar; `result` holds something that is no array.

    Derivatives: the identity for the array, none for the result.
    """
    ty = _crossbar_type(array, "xb.after")
    leaves = [_waited_for(leaf) for leaf in jax.tree.leaves(result)]
    if not (leaves and isinstance(ty.chip, AbstractStatefulChip)):
        return array
    return primitives.after(array, *leaves)


def _waited_for(leaf: Any) -> Array:
    if isinstance(leaf, MemristiveCrossbarArray):
        raise TypeError(
            f"xb.after: expected plain arrays to wait for, given {jax.typeof(leaf).str_short()}; "
            "wait for what reading it gives"
        )
    array = jnp.asarray(leaf)
    return jax.random.key_data(array) if jnp.issubdtype(array.dtype, jax.dtypes.prng_key) else array


def step_key(array: Any, step: ArrayLike) -> Array | None:
    """The key for reading `array` at a time step, or None where reads draw no random numbers.

    Args:
      array: a crossbar array, or plain weights (which need no key).
      step: int32 scalar, counted from the start of the stream.
    """
    if not isinstance(array, MemristiveCrossbarArray) or not array.chip.noisy_read:
        return None
    return _kernels.fold_in(_key_of(array), step)


def add(array: MemristiveCrossbarArray, delta: Any) -> MemristiveCrossbarArray:
    """Programs the array: `w + dw`."""
    ty = _one_array(array, "w + dw")
    if isinstance(delta, MemristiveCrossbarArray):
        raise TypeError(
            f"two crossbar arrays cannot be added ({ty.str_short()} and "
            f"{jax.typeof(delta).str_short()}): add what one of them reads out, w + xb.readout(v)"
        )
    delta = _operand("dw", delta)
    if delta.shape != ty.shape:
        raise ValueError(
            f"w + dw: expected dw of the shape of w, given {ty.str_short()} and "
            f"{jax.typeof(delta).str_short()}"
        )
    if _hijax.is_concrete(delta):
        check_finite("dw", delta)
    return primitives.change(array, delta)


def subtract(array: MemristiveCrossbarArray, delta: Any) -> MemristiveCrossbarArray:
    """Programs the array: `w - dw`."""
    if isinstance(delta, MemristiveCrossbarArray):
        return add(array, delta)  # which refuses it
    return add(array, -_operand("dw", delta))


def _read_columns(array: Any, x: ArrayLike, transposed: bool) -> Array:
    ty = _one_array(array, "w.T @ y" if transposed else "w @ x")
    x = _operand("y" if transposed else "x", x)
    if x.ndim not in (1, 2):
        name = "out" if transposed else "in"
        raise ValueError(
            f"{'w.T @ y' if transposed else 'w @ x'}: expected one or two axes, ({name},) or "
            f"({name}, n), given {ty.str_short()} and {jax.typeof(x).str_short()}; for batches "
            "first use xb.read(w, x)"
        )
    _check_operand("w.T @ y" if transposed else "w @ x", ty, x, transposed=transposed, axis=0)
    y = _read_rows(array, x[None] if x.ndim == 1 else x.T, None, transposed)
    return y[0] if x.ndim == 1 else y.T


def _read_rows(array: Any, rows: Array, key: Array | None, transposed: bool) -> Array:
    if not array.chip.noisy_read:
        return primitives.bind_read(array, rows, None, transposed=transposed, kind="whole")
    if key is not None:
        return primitives.bind_read(array, rows, key, transposed=transposed, kind="whole")
    rows = array.chip.drive(rows)
    keys = _keys.input_keys(_key_of(array), rows)
    return primitives.bind_read(array, rows[:, None], keys, transposed=transposed)[:, 0]


def _key_of(array: Any) -> Array:
    key = primitives.key_of(array)
    assert key is not None, "the constructor refuses noisy chips without a key"
    return key


def _crossbar_type(array: Any, use: str) -> CrossbarType:
    if not isinstance(array, MemristiveCrossbarArray):
        raise TypeError(f"{use}: expected a MemristiveCrossbarArray, given {type(array).__name__}")
    return jax.typeof(array)


def _one_array(array: Any, use: str) -> CrossbarType:
    ty = _crossbar_type(array, use)
    if ty.batch_shape:
        raise ValueError(
            f"{use}: {ty.str_short()} is a batch of arrays; use it inside jax.vmap, which maps "
            "over its first axis"
        )
    return ty


def _operand(name: str, given: Any) -> Array:
    """What was given as a JAX array; a crossbar and every type but float32 are refused."""
    if isinstance(given, MemristiveCrossbarArray | Transposed):
        raise TypeError(
            "two crossbar arrays cannot be multiplied: read one of them out, w @ xb.readout(v)"
        )
    check_float32(name, given)
    return jnp.asarray(given)


def _check_operand(use: str, ty: CrossbarType, x: Array, *, transposed: bool, axis: int) -> None:
    n_out, n_in = ty.shape
    expected, name = (n_out, "out") if transposed else (n_in, "in")
    if x.ndim == 0 or x.shape[axis] != expected:
        where = "first" if axis == 0 else "last"
        raise ValueError(
            f"{use}: expected a {where} axis of {expected} ({name}), given {ty.str_short()} and "
            f"{jax.typeof(x).str_short()}"
        )


def _refuse(expression: str, way: str) -> Callable[..., NoReturn]:
    def refused(*_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{expression} is not defined for a crossbar array: {way}")

    return refused


_READ_OUT = "read it out first, xb.readout(w)"
_SCALE = (
    f"{_READ_OUT}, for the weights as a plain array; an optimiser that needs parameter values "
    "(weight decay, adamw) gets them by xb.plain(opt)"
)
_COMPARE = f"{_READ_OUT}; `is` tells whether two names stand for one array"
_LEFT = "write w.T @ x for the transposed read, or xb.read(w, x) with batches first"
_AS_ARRAY = (
    "a crossbar array is not a plain array and is not made one silently: read it with w @ x, "
    "w.T @ x (for x @ w) or xb.read(w, x); program it with w + dw; take its weights with "
    "xb.readout(w), also for s * w; apply an optimiser's updates with xb.apply_updates(params, "
    "updates), and give optimisers that need parameter values xb.plain(opt)"
)

# JAX's tracers look these up as `_name` on the type, Python as `__name__` on the class.
_OPERATORS = {
    "matmul": matmul,
    "add": add,
    "sub": subtract,
    "rmatmul": _refuse("x @ w", _LEFT),
    "radd": _refuse("dw + w", "write w + dw, which programs it"),
    "rsub": _refuse("x - w", _READ_OUT),
    "mul": _refuse("w * s", _SCALE),
    "rmul": _refuse("s * w", _SCALE),
    "truediv": _refuse("w / s", _SCALE),
    "rtruediv": _refuse("s / w", _SCALE),
    "floordiv": _refuse("w // s", _SCALE),
    "rfloordiv": _refuse("s // w", _SCALE),
    "mod": _refuse("w % s", _SCALE),
    "rmod": _refuse("s % w", _SCALE),
    "divmod": _refuse("divmod(w, s)", _SCALE),
    "rdivmod": _refuse("divmod(s, w)", _SCALE),
    "pow": _refuse("w ** s", _SCALE),
    "rpow": _refuse("s ** w", _SCALE),
    "neg": _refuse("-w", _SCALE),
    "pos": _refuse("+w", _SCALE),
    "abs": _refuse("abs(w)", _SCALE),
    "round": _refuse("round(w)", _SCALE),
    "getitem": _refuse("w[…]", _READ_OUT),
    "setitem": _refuse("w[…] = s", "an array is immutable, and w + dw programs a new one"),
    "contains": _refuse("s in w", _READ_OUT),
    "len": _refuse("len(w)", "w.shape has its sizes"),
    "iter": _refuse("a loop over w", _READ_OUT),
    "bool": _refuse("bool(w)", _READ_OUT),
    "float": _refuse("float(w)", _READ_OUT),
    "int": _refuse("int(w)", _READ_OUT),
    "complex": _refuse("complex(w)", _READ_OUT),
    "eq": _refuse("w == s", _COMPARE),
    "ne": _refuse("w != s", _COMPARE),
    "lt": _refuse("w < s", _READ_OUT),
    "le": _refuse("w <= s", _READ_OUT),
    "gt": _refuse("w > s", _READ_OUT),
    "ge": _refuse("w >= s", _READ_OUT),
    "invert": _refuse("~w", _READ_OUT),
}
for _name, _symbol in {"and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>"}.items():
    _OPERATORS[_name] = _refuse(f"w {_symbol} s", _READ_OUT)
    _OPERATORS[f"r{_name}"] = _refuse(f"s {_symbol} w", _READ_OUT)


def _refuse_conversion(*_: Any, **__: Any) -> NoReturn:
    raise TypeError(_AS_ARRAY)


# Set on the finished class, `__eq__` leaves its hash as it is: that of the object.
for _name, _operator in _OPERATORS.items():
    setattr(MemristiveCrossbarArray, f"__{_name}__", _operator)
    setattr(CrossbarType, f"_{_name}", staticmethod(_operator))

for _class, _name, _attribute in (
    (MemristiveCrossbarArray, "T", property(Transposed)),
    (MemristiveCrossbarArray, "__array__", _refuse_conversion),
    (MemristiveCrossbarArray, "astype", _refuse_conversion),
    (Transposed, "__array__", _refuse_conversion),
    (Transposed, "__eq__", _refuse("w.T == s", _COMPARE)),
    (Transposed, "__ne__", _refuse("w.T != s", _COMPARE)),
    (CrossbarType, "T", _hijax.aval_property(Transposed)),
    (CrossbarType, "__jax_array__", _hijax.aval_method(_refuse_conversion)),
    (CrossbarType, "astype", _hijax.aval_method(_refuse_conversion)),
):
    setattr(_class, _name, _attribute)
