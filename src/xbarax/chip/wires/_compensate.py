"""Conductances whose effective conductance is what is wanted."""

import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from xbarax.chip.device._check import check_count, check_real
from xbarax.chip.wires import _check
from xbarax.chip.wires._effective import effective_conductance


class Compensation(NamedTuple):
    """What to program so that wires make of it what is wanted, as far as that can be.

    Attributes:
      programmed: conductances or weights to program, like those wanted.
      effective: what the wires make of them.
      reached: which of them are what is wanted, within the tolerance; the others are out of reach
        of the range, or of any cells between such wires, or need more iterations.
      iterations: how many times the wires were solved, for each array.
    """

    programmed: Float[Array, "*batch rows columns"]
    effective: Float[Array, "*batch rows columns"]
    reached: Bool[Array, "*batch rows columns"]
    iterations: Int[Array, "*batch"]


def compensate(
    target: ArrayLike,
    word_line: ArrayLike,
    bit_line: ArrayLike,
    conductance_range: tuple[float, float],
    tolerance: float = 1e-4,
    max_iterations: int = 100,
) -> Compensation:
    """Conductances whose effective conductance is `target`, as well as their range allows.

    The fixed point of `G ← G · target/G_eff(G)`, within the range, from `G = target` on. Where the
    wires take a share s of the farthest cell's current, the error falls by about that factor in
    each iteration. Cells that would need more than the range has stay at its end, and the others go
    on. It ends when all cells are what is wanted, or when the sum of the errors' magnitudes has not
    fallen for some iterations, with the best conductances found.

    Args:
      target: of the cells, (…, M, N) in siemens for M word lines and N bit lines, float32 or
        float64; at least 0. A target of 0 is an open cell, if the range has it.
      word_line: resistance of a segment of word line in ohm: see
        `xbarax.wires.effective_conductance`.
      bit_line: that of a segment of bit line.
      conductance_range: what cells can have, (least, most) in siemens.
      tolerance: the error at which a cell counts as reached, as a share of its array's largest
        target.
      max_iterations: at most so many times are the wires solved.

    Returns:
      A `Compensation`, a tree of arrays: conductances and what is seen of them, which cells are as
      wanted, and how many iterations that took.

    Raises:
      TypeError, ValueError: see `xbarax.wires.effective_conductance`; a range that is reversed or
        negative, a tolerance that is not in (0, 1), iterations that are no positive integer.

    Derivatives: none.

    Source: illustrative; a program-and-verify loop on the array's own currents does the same.
    """
    use = "compensate"
    wanted = _check.check_conductance(use, target, "target")
    word = _check.check_resistance(use, "word_line", word_line, wanted.dtype)
    bit = _check.check_resistance(use, "bit_line", bit_line, wanted.dtype)
    low, high = _check_range(conductance_range)
    check_loop(use, tolerance, max_iterations)
    *lead, n_words, n_bits = wanted.shape
    batch = _check.common_batch(use, target=tuple(lead), word_line=word.shape, bit_line=bit.shape)
    circuits = (
        jnp.broadcast_to(wanted, (*batch, n_words, n_bits)),
        jnp.broadcast_to(word, batch),
        jnp.broadcast_to(bit, batch),
    )

    def one(wanted: Array, word: Array, bit: Array) -> Compensation:
        def next_one(cells: Array, seen: Array) -> Array:
            closed = seen > 0
            factor = jnp.where(closed, wanted / jnp.where(closed, seen, 1), 1)
            return jnp.clip(cells * factor, low, high)

        seen = lambda cells: effective_conductance(cells, word, bit)
        start = jnp.clip(wanted, low, high)
        error = tolerance * jnp.max(wanted, initial=0)
        return iterate(seen, next_one, wanted, start, error, max_iterations)

    for _ in batch:
        one = jax.vmap(one)
    return one(*jax.lax.stop_gradient(circuits))


_PATIENCE = 5  # iterations without a better result after which none is expected


class _State(NamedTuple):
    """What is tried now, the best so far, and how long ago that was."""

    tried: Array
    seen: Array
    best: Array
    effective: Array
    solved: Array
    idle: Array


def iterate(
    seen: Callable[[Array], Array],
    next_one: Callable[[Array, Array], Array],
    wanted: Array,
    start: Array,
    tolerance: Array,
    most: int,
) -> Compensation:
    """Follows `next_one`, of what is programmed and what is seen of it, while that helps."""
    reached = lambda effective: jnp.abs(effective - wanted) <= tolerance
    badness = lambda effective: jnp.sum(jnp.abs(effective - wanted))

    def goes_on(state: _State) -> Array:
        unfinished = ~jnp.all(reached(state.effective))
        return unfinished & (state.solved < most) & (state.idle < _PATIENCE)

    def follow(state: _State) -> _State:
        tried = next_one(state.tried, state.seen)
        now = seen(tried)
        better = badness(now) < badness(state.effective)
        best = jnp.where(better, tried, state.best)
        effective = jnp.where(better, now, state.effective)
        idle = jnp.where(better, 0, state.idle + 1)
        return _State(tried, now, best, effective, state.solved + 1, idle)

    one, none = jnp.ones((), jnp.int32), jnp.zeros((), jnp.int32)
    first = seen(start)
    begin = _State(start, first, start, first, one, none)
    end = jax.lax.while_loop(goes_on, follow, begin)
    return Compensation(end.best, end.effective, reached(end.effective), end.solved)


def check_loop(use: str, tolerance: Any, max_iterations: Any) -> None:
    """Refuses a tolerance or a number of iterations that cannot be.

    Raises:
      TypeError, ValueError: they are none.
    """
    check_real(f"{use}(tolerance=…)", tolerance, "in (0, 1)", lambda x: 0 < x < 1)
    check_count(f"{use}(max_iterations=…)", max_iterations, 1)


def _check_range(given: Any) -> tuple[float, float]:
    pair = isinstance(given, tuple | list) and len(given) == 2
    pair = pair and all(
        isinstance(g, numbers.Real) and not isinstance(g, bool) and math.isfinite(g) for g in given
    )
    if not (pair and 0 <= given[0] < given[1]):
        raise ValueError(
            "compensate(conductance_range=…): expected (least, most) in siemens, "
            f"finite, 0 <= least < most, given {given!r}"
        )
    return float(given[0]), float(given[1])
