"""The crossbar's type, as it stands in every jaxpr."""

import dataclasses
import functools
from typing import Any

import jax
from jax import numpy as jnp

from xbarax.array import _hijax
from xbarax.array._held import Held, Packing
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

    def __hash__(self) -> int:
        """Computed once: JAX looks types up in each call, and chips consist of many parts."""
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash((self.shape, self.chip, self.key_dtype))

    def __reduce__(self) -> tuple:
        # Without what is computed once: hashes of strings are a process's own.
        return CrossbarType, (self.shape, self.chip, self.key_dtype)

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

    @functools.cached_property
    def layout(self) -> Any:
        """The tree of what the array holds: the chip's state and the key, as shapes."""
        batched = lambda leaf: jax.ShapeDtypeStruct((*self.batch_shape, *leaf.shape), leaf.dtype)
        return jax.tree.map(batched, _layout(self.shape[-2:], self.chip, self.key_dtype))

    @functools.cached_property
    def packing(self) -> Packing:
        """How that becomes few arrays."""
        return _packing(self.shape[-2:], self.chip, self.key_dtype)

    def lo_ty(self) -> list:
        """The types of what the array holds."""
        return list(self._few)

    @functools.cached_property
    def _few(self) -> tuple:
        """The same, made once: JAX asks in each call."""
        few = self.packing.shapes
        return tuple(
            _hijax.ShapedArray((*self.batch_shape, *like.shape), like.dtype) for like in few
        )

    def lower_val(self, value: Any) -> list:
        """What the array holds."""
        if isinstance(self.chip, AbstractStatefulChip):
            self.chip.settle()
        return value._held.few

    def raise_val(self, *few: Any) -> Any:
        """The array that holds `few`, or the batch of arrays where they have axes in front."""
        # Outside of jit, JAX's scan stacks arrays and raises them by the type of one.
        axes = few[0].ndim - len(self.batch_shape) - len(self.packing.shapes[0].shape)
        stacked = few[0].shape[:axes]
        ty = dataclasses.replace(self, shape=(*stacked, *self.shape)) if stacked else self
        return holding(ty, Held(self.packing, few=list(few)))

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
    """A concrete array of type `ty`, of a chip's state and a key."""
    return holding(ty, Held(ty.packing, tree=(state, key)))


def holding(ty: CrossbarType, held: Held) -> Any:
    """A concrete array of type `ty`."""
    from xbarax.array._value import MemristiveCrossbarArray

    return MemristiveCrossbarArray._new(ty, held)


@functools.lru_cache(maxsize=1024)
def _layout(shape: tuple[int, ...], chip: AbstractChip, key_dtype: Any) -> Any:
    """That of one array."""
    key = None if key_dtype is None else jax.ShapeDtypeStruct((), key_dtype)
    if isinstance(chip, AbstractStatefulChip):
        return chip.layout(shape), key
    return jax.eval_shape(chip.program, jax.ShapeDtypeStruct(shape, FLOAT32), key), key


@functools.lru_cache(maxsize=1024)
def _packing(shape: tuple[int, ...], chip: AbstractChip, key_dtype: Any) -> Packing:
    # A chip that holds arrays itself looks at what stands for them whenever one is made.
    apart = isinstance(chip, AbstractStatefulChip)
    return Packing(_layout(shape, chip, key_dtype), apart=apart)
