"""Cells of any current–voltage curve between resistive wires: Newton's method, with a search.

Unknown are the cells' currents c. Voltages across cells follow, u = V − R c (`_drops.py`), so that
Kirchhoff's laws hold at all times, and what is left is the cells' own law, c = f(u). A step solves
the circuit of linear cells that touch the curves at u, with what is wrong, c − f(u), as sources; in
the first steps, only about.

Where no current falls with voltage, the circuit has one solution, the least of a convex function of
the nodes' voltages, its co-content (W. Millar, Phil. Mag. 42, 1150, 1951). Along a step e of u, its
derivative is Σ (f(u) − c) e: how far to go costs only evaluations of f. So each step leads closer,
from anywhere, however steep the curves are.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.chip.wires import _conjugate
from xbarax.chip.wires._drops import drops

Law = Callable[[Array], Array]
"""Currents of all cells from the voltages across them, (…, M, N) each, cell by cell."""

_ROUGH = 0.1  # of what is wrong may be left by a first step
_FINE = 0.03  # of the tolerance by the last one
_ENOUGH = 0.3  # of the derivative along a step may be left by the search
_MOST_TRIED = 60


class Circuit(NamedTuple):
    """Sources (…, M, 1) in volts, and resistances (…) of a segment."""

    source: Array
    word_line: Array
    bit_line: Array

    def across(self, current: Array) -> Array:
        """Voltages across cells, u."""
        return self.source - drops(current, self.word_line, self.bit_line)


class Point(NamedTuple):
    """Where the search is.

    Attributes:
      current: c, (…, M, N).
      across: u.
      law: f(u).
      slope: f′(u).
      residual: (…, 1, 1), the largest of |c − f(u)| / (|c| + |f(u)| + |f′(u)| max |V|), that is, of
        what is wrong at a node relative to what rounding alone makes wrong.
      steps: (…, 1, 1).
    """

    current: Array
    across: Array
    law: Array
    slope: Array
    residual: Array
    steps: Array


def find(law: Law, circuit: Circuit, shape: tuple[int, ...], tolerance: float, most: int) -> Point:
    """The solution (*shape), or what `most` steps make of it."""
    # Linear steps that are not done after this many end there, and still lead closer.
    most_linear = 100 + 10 * (shape[-2] + shape[-1])

    def going(p: Point) -> Array:
        return (p.residual > tolerance) & (p.residual < jnp.inf) & (p.steps < most)

    def step(p: Point) -> Point:
        linear = _conjugate.Circuit(p.slope, circuit.word_line, circuit.bit_line)
        worth = jnp.maximum(jnp.minimum(_ROUGH, p.residual), _FINE * tolerance / p.residual)
        found = _conjugate.currents(linear, p.current - p.law, worth, most_linear)
        length = _search(law, p, -found.current, found.drop)
        moved = p.current - length * found.current
        return _at(law, circuit, jnp.where(going(p), moved, p.current), p.steps + going(p))

    zero = jnp.zeros(shape, circuit.source.dtype)
    begin = _at(law, circuit, zero, jnp.zeros((*shape[:-2], 1, 1), jnp.int32))
    return jax.lax.while_loop(lambda p: jnp.any(going(p)), step, begin)


def _at(law: Law, circuit: Circuit, current: Array, steps: Array) -> Point:
    across = circuit.across(current)
    value, slope = touch(law, across)
    largest = jnp.max(jnp.abs(circuit.source), axis=(-2, -1), keepdims=True)
    wrong = jnp.abs(current - value)
    scale = jnp.abs(current) + jnp.abs(value) + jnp.abs(slope) * largest
    each = jnp.where(wrong == 0, 0, wrong / jnp.where(scale > 0, scale, 1))
    residual = jnp.max(each, axis=(-2, -1), keepdims=True)
    return Point(current, across, value, slope, residual, steps)


def touch(law: Law, across: Array) -> tuple[Array, Array]:
    """Currents and their derivatives by voltage, cell by cell."""
    return jax.jvp(law, (across,), (jnp.ones_like(across),))


class _Search(NamedTuple):
    length: Array
    low: Array
    high: Array
    going: Array
    tried: Array


def _search(law: Law, p: Point, change: Array, change_across: Array) -> Array:
    """How far to go, (…, 1, 1): where little is left of the co-content's derivative.

    The derivative rises along the way: the length is doubled as long as it is negative, and halved
    between what is too little and too much.
    """

    def derivative(value: Array, current: Array) -> Array:
        return jnp.sum((value - current) * change_across, axis=(-2, -1), keepdims=True)

    enough = _ENOUGH * jnp.abs(derivative(p.law, p.current))

    def attempt(s: _Search) -> _Search:
        value = law(p.across + s.length * change_across)
        there = derivative(value, p.current + s.length * change)
        good = jnp.abs(there) <= enough
        going = s.going & ~good
        before = there < 0  # not so where it is not finite: too far
        low = jnp.where(going & before, s.length, s.low)
        high = jnp.where(going & ~before, s.length, s.high)
        next_ = jnp.where(high < jnp.inf, 0.5 * (low + high), 2 * s.length)
        return _Search(jnp.where(going, next_, s.length), low, high, going, s.tried + 1)

    one = jnp.ones_like(p.residual)
    begin = _Search(one, 0 * one, jnp.inf * one, one > 0, jnp.zeros((), jnp.int32))
    end = jax.lax.while_loop(lambda s: jnp.any(s.going) & (s.tried < _MOST_TRIED), attempt, begin)
    return end.length
