"""The crossbar's type, as it stands in every jaxpr."""

import dataclasses
import functools
from typing import Any

import jax
from jax import numpy as jnp

from xbarax.array import _hijax
from xbarax.chip import AbstractChip, AbstractStatefulChip

FLOAT32 = jnp.dtype("float32")


@dataclasses.dataclass(frozen=True)
class CrossbarType(_hijax.HiType):
    """The type of a crossbar array, or of a batch of them: shape, chip, and kind of key.

    Attributes:
      shape: (*batch, out, in). Batch axes come from `vmap` and always lead.
      chip: what the array is made of.
      key_dtype: the type of the PRNG key that the array carries, or None where it has none.
    """

    shape: tuple[int, ...]
    chip: AbstractChip
    key_dtype: Any = None

    dtype = FLOAT32
    weak_type = False

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The axes in front of (out, in)."""
        return self.shape[:-2]

    # What JAX's `zeros_like`, `scan` and `jit` ask of an array's type: those of the weights.

    @property
    def dense(self) -> Any:
        """The type of the weights as a plain array, which is also that of the tangents."""
        return _hijax.ShapedArray(self.shape, self.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.dense.size

    @property
    def sharding(self) -> Any:
        """That of a plain array."""
        return self.dense.sharding

    @property
    def mat(self) -> Any:
        """That of a plain array."""
        return self.dense.mat

    @property
    def vma(self) -> Any:
        """That of a plain array."""
        return self.dense.vma

    @property
    def memory_space(self) -> Any:
        """That of a plain array."""
        return self.dense.memory_space

    # What the array is made of, for JAX's lowering.

    @property
    def layout(self) -> Any:
        """The tree of what the array holds: the chip's state and the key, as shapes."""
        return _layout(self.shape, self.chip, self.key_dtype)

    def lo_ty(self) -> list:
        """The types of what the array holds."""
        leaves = jax.tree.leaves(self.layout)
        return [_hijax.ShapedArray(leaf.shape, leaf.dtype) for leaf in leaves]

    def lower_val(self, value: Any) -> list:
        """What the array holds."""
        if isinstance(self.chip, AbstractStatefulChip):
            self.chip.settle()
        return jax.tree.leaves((value._state, value._key))

    def raise_val(self, *leaves: Any) -> Any:
        """The array that holds `leaves`, or the batch of arrays where they have axes in front."""
        # Outside of jit, JAX's scan stacks arrays and raises them by the type of one.
        expected = jax.tree.leaves(self.layout)[0]
        stacked = leaves[0].shape[: leaves[0].ndim - expected.ndim]
        ty = dataclasses.replace(self, shape=(*stacked, *self.shape)) if stacked else self
        state, key = jax.tree.unflatten(jax.tree.structure(self.layout), leaves)
        return make_value(ty, state, key)

    def to_tangent_aval(self) -> Any:
        """Tangents are plain arrays: changes of the effective weights."""
        return self.dense

    # `vmap` and `scan` over batches of arrays.

    def dec_rank(self, size: int | None, spec: Any) -> "CrossbarType":
        """The type of one of a batch."""
        if spec is None:
            return self
        _check_leads(self, spec)
        if not self.batch_shape:
            raise ValueError(
                f"vmap over {self.str_short()}, which is one array and not a batch: give "
                "in_axes=None for w (or make a batch of arrays with jax.vmap over weights or keys)"
            )
        return dataclasses.replace(self, shape=self.shape[1:])

    def inc_rank(self, size: int | None, spec: Any) -> "CrossbarType":
        """The type of a batch of such arrays."""
        if spec is None:
            return self
        _check_leads(self, spec)
        assert size is not None
        return dataclasses.replace(self, shape=(size, *self.shape))

    def leading_axis_spec(self) -> int:
        """Batches split along the first axis."""
        return 0

    def str_short(self, short_dtypes: bool = False, **_: Any) -> str:
        """As it is printed in jaxprs and errors."""
        dtype = "f32" if short_dtypes else "float32"
        return f"crossbar[{dtype}[{','.join(map(str, self.shape))}]]"

    def __repr__(self) -> str:
        """The short form and the chip."""
        return f"{self.str_short()} on {self.chip!r}"


def _check_leads(ty: CrossbarType, axis: Any) -> None:
    if axis != 0:
        raise ValueError(
            f"vmap over axis {axis} of {ty.str_short()}: the batch axes of crossbar arrays come "
            "first, use in_axes=0 and out_axes=0"
        )


def make_value(ty: CrossbarType, state: Any, key: Any) -> Any:
    """A concrete array of type `ty`."""
    from xbarax.array._value import MemristiveCrossbarArray

    return MemristiveCrossbarArray._new(ty, state, key)


@functools.lru_cache(maxsize=1024)
def _layout(shape: tuple[int, ...], chip: AbstractChip, key_dtype: Any) -> Any:
    one = jax.ShapeDtypeStruct(shape[-2:], FLOAT32)
    key = None if key_dtype is None else jax.ShapeDtypeStruct((), key_dtype)
    if isinstance(chip, AbstractStatefulChip):
        state = chip.layout(one.shape)
    else:
        state = jax.eval_shape(chip.program, one, key)
    batched = lambda leaf: jax.ShapeDtypeStruct((*shape[:-2], *leaf.shape), leaf.dtype)
    return jax.tree.map(batched, (state, key))
