"""Linear cells between resistive wires, for many inputs at once, by conjugate gradients.

With the cells' conductances G on a diagonal and the wires' drops R (`_drops.py`), a current source
h beside each cell makes their currents y such that

    (1 + G R) y = h.

The matrix is not symmetric, but self-adjoint in the inner product ⟨a, b⟩ = aᵀ R b, and positive
where the circuit is passive: with eigenvalues from 1 on, for conductances that are not negative.
So conjugate gradients in this inner product need one product with R a step, never a root or an
inverse of R or G, which open cells and wires of 0 Ω do not have.
"""

from typing import NamedTuple

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.chip.wires._drops import drops


class Circuit(NamedTuple):
    """Linear cells: `conductance` (…, M, N), and resistances (…) of their wires' segments."""

    conductance: Array
    word_line: Array
    bit_line: Array

    def drops(self, current: Array) -> Array:
        """R c."""
        return drops(current, self.word_line, self.bit_line)


class Found(NamedTuple):
    """What is known of y.

    Attributes:
      current: y.
      drop: R y.
      converged: (…, 1, 1), whether the residual is as small as was asked for.
    """

    current: Array
    drop: Array
    converged: Array


class _State(NamedTuple):
    current: Array
    drop: Array
    residual: Array
    residual_drop: Array
    direction: Array
    direction_drop: Array
    power: Array  # of the residual, in the inner product
    going: Array
    steps: Array


def currents(circuit: Circuit, sources: Array, relative: Array, most: int) -> Found:
    """Finds y for sources h (…, M, N), each of the batch on its own.

    Until the norm of what is left of h, ⟨r, r⟩, is down to `relative`² (…, 1, 1) of what it was, or
    after `most` steps. Where the circuit turns out not to be passive, it ends there: also what is
    known then leads to less power than before.
    """
    unit = jnp.max(jnp.abs(sources), axis=(-2, -1), keepdims=True)
    unit = jnp.where(unit > 0, unit, 1)  # so that no power is lost below the smallest number
    left = sources / unit
    drop = circuit.drops(left)
    power = _total(left * drop)
    enough = relative**2 * power

    def step(s: _State) -> _State:
        through = s.direction + circuit.conductance * s.direction_drop
        curvature = _total(through * s.direction_drop)
        passive = curvature > 0
        # Wires of 0 Ω have no power: y = h then.
        whole = jnp.where(s.steps == 0, 1.0, 0.0).astype(left.dtype)
        length = jnp.where(passive, s.power / jnp.where(passive, curvature, 1), whole)
        length = jnp.where(s.going, length, 0)
        residual = s.residual - length * through
        residual_drop = circuit.drops(residual)
        power = _total(residual * residual_drop)
        turn = jnp.where(s.power > 0, power / jnp.where(s.power > 0, s.power, 1), 0)
        return _State(
            s.current + length * s.direction,
            s.drop + length * s.direction_drop,
            residual,
            residual_drop,
            residual + turn * s.direction,
            residual_drop + turn * s.direction_drop,
            power,
            s.going & passive & (power > enough),
            s.steps + 1,
        )

    zero, going = jnp.zeros_like(left), jnp.ones_like(power, bool)
    begin = _State(zero, zero, left, drop, left, drop, power, going, jnp.zeros((), jnp.int32))
    end = jax.lax.while_loop(lambda s: jnp.any(s.going) & (s.steps < most), step, begin)
    return Found(unit * end.current, unit * end.drop, end.power <= enough)


def _total(values: Array) -> Array:
    return jnp.sum(values, axis=(-2, -1), keepdims=True)


def solve(circuit: Circuit, sources: Array) -> Array:
    """Finds y for sources h (…, M, N), to rounding, differentiable in every way.

    NaN for those of the batch where it is not found.
    """
    relative = jnp.asarray(16 * jnp.finfo(sources.dtype).eps, sources.dtype)
    most = 1000 + 100 * (sources.shape[-2] + sources.shape[-1])

    def forward(right: Array) -> Array:
        found = currents(circuit, right, relative, most)
        return jnp.where(found.converged, found.current, jnp.nan)

    def transposed(right: Array) -> Array:  # (1 + R G)⁻¹ = 1 − R (1 + G R)⁻¹ G
        found = currents(circuit, circuit.conductance * right, relative, most)
        return jnp.where(found.converged, right - found.drop, jnp.nan)

    return jax.lax.custom_linear_solve(
        lambda y: y + circuit.conductance * circuit.drops(y),
        sources,
        solve=lambda _, right: forward(right),
        transpose_solve=lambda _, right: transposed(right),
    )
