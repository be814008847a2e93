"""Crossbar arrays inside parameter trees and optimisers."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax import Array

from xbarax.array import _keys
from xbarax.array._operators import after, readout
from xbarax.array._value import MemristiveCrossbarArray
from xbarax.chip import AbstractChip


def apply_updates(params: Any, updates: Any) -> Any:
    """Adds `updates` to `params`: plain arrays take a sum, crossbar arrays are programmed.

    `optax.apply_updates` for trees that hold crossbars. Arrays on real chips are programmed once
    all updates are there, and with them every read that they come from: see `xbarax.after`.

    Args:
      params: a tree of arrays and crossbar arrays; None leaves stay None.
      updates: a tree of the same structure with plain arrays; None leaves the parameter as it is.

    Returns:
      A tree like `params`.
    """

    def apply(update: Any, param: Any) -> Any:
        if update is None or param is None:
            return param
        if isinstance(param, MemristiveCrossbarArray):
            return after(param, updates) + update
        return optax.apply_updates(param, update)

    return jax.tree.map(apply, updates, params, is_leaf=lambda x: x is None)


def plain(
    optimiser: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """The optimiser, given read-out weights wherever the parameters hold crossbar arrays.

    For optimisers that need the values of parameters (weight decay, `adamw`, `lamb`), since a
    crossbar array is not a number that can be scaled.

    Args:
      optimiser: any optax gradient transformation.

    Returns:
      One with the same state, whose `init` and `update` take trees with crossbar arrays.
    """
    inner = optax.with_extra_args_support(optimiser)

    def init(params: Any) -> Any:
        return inner.init(_read_out_all(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        return inner.update(updates, state, _read_out_all(params), **extra)

    return optax.GradientTransformationExtraArgs(init, update)


def to_crossbar(
    params: Any,
    where: Callable[[Any], Any],
    chip: AbstractChip | None = None,
    key: Array | None = None,
) -> Any:
    """Programs chosen matrices of a parameter tree into crossbar arrays.

    Args:
      params: a tree of arrays.
      where: takes the tree and returns the chosen leaves, one or a tree of them:
        `lambda p: p[-1]["input"]`, or `lambda p: [layer["input"] for layer in p]`.
      chip: what the arrays are made of; None: an ideal chip.
      key: a PRNG key; each array gets one of its own, split from it.

    Returns:
      A tree like `params` with crossbar arrays in the chosen places.

    Raises:
      TypeError: `where` returns something that is not a leaf of the tree; `key` is no PRNG key.
      ValueError: nothing is chosen, or a leaf twice; `key` is a batch of keys.
      TypeError, ValueError: a chosen leaf cannot be programmed; the message names its place.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    chosen = _chosen(where, structure, len(paths))
    key = _keys.as_typed(key)
    keys = [None] * len(chosen) if key is None else jax.random.split(key, len(chosen))
    leaves = [leaf for _, leaf in paths]
    for index, leaf_key in zip(chosen, keys, strict=True):
        path, leaf = paths[index]
        try:
            leaves[index] = MemristiveCrossbarArray(leaf, chip, leaf_key)
        except (TypeError, ValueError) as error:
            place = f"to_crossbar: the leaf at {jax.tree_util.keystr(path)}"
            if type(error) in (TypeError, ValueError):
                raise type(error)(f"{place}: {error}") from error
            error.add_note(place)  # JAX's own kinds of errors take other arguments
            raise
    return jax.tree.unflatten(structure, leaves)


class _Place:
    """Stands for a leaf while `where` chooses."""

    def __init__(self, index: int):
        self.index = index


def _chosen(where: Callable[[Any], Any], structure: Any, n_leaves: int) -> list[int]:
    places = [_Place(index) for index in range(n_leaves)]
    selected = jax.tree.leaves(where(jax.tree.unflatten(structure, places)))
    for place in selected:
        if not isinstance(place, _Place):
            raise TypeError(
                f"to_crossbar: where must return leaves of the tree it is given, it returned "
                f"{place!r}"
            )
    chosen = [place.index for place in selected]
    if not chosen:
        raise ValueError("to_crossbar: where returned no leaf of the tree")
    if len(set(chosen)) < len(chosen):
        raise ValueError("to_crossbar: where returned the same leaf twice")
    return chosen


def _read_out_all(params: Any) -> Any:
    is_crossbar = lambda leaf: isinstance(leaf, MemristiveCrossbarArray)
    return jax.tree.map(lambda leaf: readout(leaf) if is_crossbar(leaf) else leaf, params)
