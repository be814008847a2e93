"""What an array holds, as few arrays.

Each array that goes into a compiled program, or comes out, costs microseconds of dispatch, and more
where it is a key. So the numbers of an array, its counters, keys and small parts are one vector of
words, and what has no elements is left out.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.array import _hijax

# To copy more than that takes longer than to have it apart.
_MOST_BYTES = 1 << 14


class Packing:
    """How the leaves of a tree become few: the tree of one array, without the axes of batches.

    Attributes:
      structure: that of the tree.
      shapes: those of the few.
    """

    def __init__(self, tree: Any, apart: bool = False):
        """Of a tree of shapes; `apart` keeps each leaf as it is."""
        leaves, self.structure = jax.tree.flatten(tree)
        self._leaves = [_Leaf.of(leaf, apart) for leaf in leaves]
        self._words = sum(leaf.words for leaf in self._leaves)
        words = [jax.ShapeDtypeStruct((self._words,), jnp.uint32)] if self._words else []
        self.shapes = words + [leaf.like for leaf in self._leaves if leaf.kept]

    def pack(self, tree: Any) -> list[Array]:
        """The few, of a tree whose leaves may all have the same further axes in front."""
        leaves = list(zip(self._leaves, jax.tree.leaves(tree), strict=True))
        kept = [given for leaf, given in leaves if leaf.kept]
        if not self._words:
            return kept
        words = [leaf.as_words(given) for leaf, given in leaves if leaf.words]
        return [jnp.concatenate(words, axis=-1), *kept]

    def unpack(self, few: Sequence[Array]) -> Any:
        """The tree."""
        rest = iter(few)
        words = next(rest) if self._words else None
        batch = few[0].shape[: few[0].ndim - len(self.shapes[0].shape)]
        leaves, at = [], 0
        for leaf in self._leaves:
            if leaf.words:
                assert words is not None
                leaves.append(leaf.from_words(words[..., at : at + leaf.words]))
                at += leaf.words
            elif leaf.kept:
                leaves.append(next(rest))
            else:
                leaves.append(jnp.zeros((*batch, *leaf.like.shape), leaf.like.dtype))
        return jax.tree.unflatten(self.structure, leaves)


class _Leaf(NamedTuple):
    """A leaf of one array: kept as it is, or in so many words, or neither: it has no elements."""

    like: jax.ShapeDtypeStruct
    kept: bool
    words: int
    key: Any = None  # what kind of key, of keys

    @classmethod
    def of(cls, like: jax.ShapeDtypeStruct, apart: bool) -> "_Leaf":
        if apart:
            return cls(like, True, 0)
        if math.prod(like.shape) == 0:
            return cls(like, False, 0)
        is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
        size = math.prod(like.shape)
        if not is_key and like.dtype.itemsize == 4 and 4 * size <= _MOST_BYTES:
            return cls(like, False, size)
        if not is_key or like.shape != ():
            return cls(like, True, 0)
        kinds = []

        def data_of(key: Array) -> Array:
            kinds.append(jax.random.key_impl(key))
            return jax.random.key_data(key)

        return cls(like, False, jax.eval_shape(data_of, like).size, *kinds)

    def as_words(self, given: Array) -> Array:
        if self.key is not None:
            return jax.random.key_data(given)
        batch = given.shape[: given.ndim - len(self.like.shape)]
        return jax.lax.bitcast_convert_type(given, jnp.uint32).reshape(*batch, self.words)

    def from_words(self, words: Array) -> Array:
        if self.key is not None:
            return jax.random.wrap_key_data(words, impl=self.key)
        shaped = words.reshape(*words.shape[:-1], *self.like.shape)
        return jax.lax.bitcast_convert_type(shaped, self.like.dtype)


@jax.tree_util.register_pytree_node_class
class Held:
    """The chip's state and the key of an array, or of a batch: a pytree whose leaves are the few.

    Attributes:
      packing: that of one array.
    """

    __slots__ = ("_few", "_tree", "packing")

    def __init__(self, packing: Packing, few: Any = None, tree: Any = None):
        """From the few, or from the state and the key."""
        self.packing, self._few, self._tree = packing, few, tree

    @property
    def few(self) -> list[Any]:
        """As the few: arrays, or whatever JAX has in their places."""
        if self._few is not None:
            return self._few
        few = self.packing.pack(self._tree)
        # What was computed within a trace must not outlive it.
        if all(map(_hijax.is_concrete, few)):
            self._few = few
        return few

    @property
    def tree(self) -> tuple[Any, Array | None]:
        """The state and the key."""
        if self._tree is not None:
            return self._tree
        tree = self.packing.unpack(self._few)
        if all(map(_hijax.is_concrete, jax.tree.leaves(tree))):
            self._tree = tree
        return tree

    def tree_flatten(self) -> tuple[list[Any], Packing]:
        """The few, and how they are packed."""
        return self.few, self.packing

    @classmethod
    def tree_unflatten(cls, packing: Packing, few: Any) -> "Held":
        """The same backwards."""
        return cls(packing, few=list(few))
