"""Many chips at once: the same experiment on chip after chip, in one compiled program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.extend
import numpy as np
from jax import Array
from jax import numpy as jnp
from tqdm import tqdm

from xbarax.array import _keys
from xbarax.array._type import CrossbarType

_WORKING_SET = 2 << 20  # bytes: of the largest array, over all chips of a chunk
_LARGEST_CHUNK = 1000
_LARGE = 200  # chips from which on a bar is worth its line


def monte_carlo(
    fn: Callable[[Array], Any],
    n_chips: int,
    key: Array,
    *,
    chunk: int | None = None,
    progress: bool | None = None,
) -> Any:
    """Runs an experiment on many chips: `fn` of `n_chips` keys, compiled once.

    Chips are programmed and read in chunks, all of a chunk at once; memory is that of one chunk,
    and the results. `jax.vmap` over keys is the same for one chunk::

        def accuracy(key):
            chip_params = xb.to_crossbar(params, where, chip, key)
            return evaluate(chip_params)

        accuracies = xb.monte_carlo(accuracy, 1000, jax.random.key(0))

    Args:
      fn: takes a PRNG key, from which it makes its crossbars, and returns a tree of arrays.
      n_chips: the number of chips, at least 1.
      key: a PRNG key, split into one for each chip. The results do not depend on `chunk`.
      chunk: chips at a time, at least 1. None: as many as keep the largest array of the
        computation, over all chips of a chunk, within 2 MiB (processors' caches hold about as
        much), at most 1000.
      progress: whether to show a bar; None: from 200 chips in more than one chunk on.

    Returns:
      A tree like that of `fn`, of NumPy arrays with the chips as their first axis.

    Raises:
      TypeError: `fn` cannot be called or returns crossbar arrays, `key` is no PRNG key or traced.
      ValueError: `n_chips` or `chunk` is not a positive integer; a batch of keys.
    """
    if not callable(fn):
        raise TypeError(f"monte_carlo: expected a function of a key, given {fn!r}")
    for name, given in (("n_chips", n_chips), ("chunk", 1 if chunk is None else chunk)):
        if not isinstance(given, int) or isinstance(given, bool) or given < 1:
            raise ValueError(f"monte_carlo: {name}: expected a positive integer, given {given!r}")
    typed = _keys.as_typed(key)
    if typed is None:
        raise TypeError("monte_carlo: key: expected a PRNG key, given None")
    if isinstance(typed, jax.core.Tracer):
        raise TypeError(
            "monte_carlo: it runs compiled programs one after the other, and cannot be traced: "
            "call it outside of jax.jit, or use jax.vmap over keys inside"
        )
    keys = jax.random.split(typed, n_chips)
    _check_plain(jax.make_jaxpr(fn)(keys[0]).out_avals)
    size = min(fitting_chunk(fn, keys[0]) if chunk is None else chunk, n_chips)
    run = jax.jit(jax.vmap(fn)).lower(keys[:size]).compile()
    results = []
    shown = n_chips >= _LARGE and n_chips > size if progress is None else progress
    with tqdm(total=n_chips, desc="chips", unit="chip", disable=not shown) as bar:
        for start in range(0, n_chips, size):
            # The last chunk is filled up with chips of before, so that one program serves all.
            places = np.minimum(np.arange(start, start + size), n_chips - 1)
            done = min(size, n_chips - start)
            results.append(jax.tree.map(lambda x, n=done: np.asarray(x)[:n], run(keys[places])))
            bar.update(done)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *results)


def _check_plain(types: list[Any]) -> None:
    for ty in types:
        if isinstance(ty, CrossbarType) or jnp.issubdtype(ty.dtype, jax.dtypes.extended):
            raise TypeError(
                f"monte_carlo: fn must return plain arrays, it returned {ty.str_short()}"
            )


def fitting_chunk(fn: Callable[[Array], Any], key: Array) -> int:
    """As many chips as keep the largest array of the computation within the working set."""
    largest = _largest_array(jax.make_jaxpr(fn)(key).jaxpr)
    return max(1, min(_WORKING_SET // max(largest, 1), _LARGEST_CHUNK))


def _largest_array(jaxpr: Any) -> int:
    """Bytes of the largest array that a program computes."""
    largest = 0
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            size = getattr(variable.aval, "size", 0)
            largest = max(largest, 4 * size)  # near enough: nearly all are of 32 bits
        for inner in jax.tree.leaves(equation.params, is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                largest = max(largest, _largest_array(getattr(inner, "jaxpr", inner)))
    return largest


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, jax.extend.core.Jaxpr | jax.extend.core.ClosedJaxpr)
