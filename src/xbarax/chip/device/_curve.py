"""The mean cell's staircase: its states after 0, 1, 2, … pulses, and how many reach a target."""

import functools
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp

from xbarax.chip.device._pulses import Own

if TYPE_CHECKING:
    from xbarax.chip.device._pulsed import AbstractPulsed

_CHUNK = 65_536
_MOST_CHUNKS = 64


def pulses_to_reach(device: "AbstractPulsed", target: Array, start: float) -> Array:
    """How many pulses (int32, negative: down) bring the mean cell from `start` nearest `target`.

    Both are conductances in siemens. A target beyond what the mean cell reaches gets as many
    pulses as come near its bound.
    """
    begin, wanted = to_state(device, start), to_state(device, target)
    return count(*middles(device, start), begin, wanted)


def to_state(device: "AbstractPulsed", conductance: Any) -> Any:
    """The state that stands for a conductance in siemens."""
    return (conductance - device.zero_conductance) / device.siemens


def middles(device: "AbstractPulsed", start: float) -> tuple[Array, Array]:
    """Where one more pulse from `start` comes nearer, up, and down with turned signs; increasing.

    Both float32, as states.
    """
    begin = to_state(device, start)
    rises, falls = staircase(device, begin, up=True), -staircase(device, begin, up=False)
    between = lambda stairs: jnp.asarray((stairs[1:] + stairs[:-1]) / 2)
    return between(rises), between(falls)


def count(rises: Array, falls: Array, begin: float, wanted: Array) -> Array:
    """The pulses that come nearest the states `wanted`, by `middles`."""
    up, down = jnp.searchsorted(rises, wanted), jnp.searchsorted(falls, -wanted)
    return jnp.where(wanted >= begin, up, -down).astype(jnp.int32)


@functools.lru_cache(maxsize=64)
def staircase(device: "AbstractPulsed", begin: float, up: bool) -> np.ndarray:
    """The mean cell's states from `begin` on, strictly monotone, until its steps come to nothing.

    With `zero_at_symmetry` they count, as `begin` does, from the mean cell's symmetry point.

    Raises:
      ValueError: the steps are so small that this takes millions of pulses.
    """

    def mean_cell() -> Own:
        return Own(*(jnp.float32(x) for x in (device.lower, device.upper, *device.steps)))

    def first() -> tuple[Array, tuple[Array, Array]]:
        own = mean_cell()
        zero = device.symmetry_point(own) if device.zero_at_symmetry else jnp.float32(0)
        state = jnp.clip(begin + zero, own.lower, own.upper)
        return zero, (state, jnp.zeros_like(state))

    def pulse(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        own, (state, lost) = mean_cell(), carry
        factor_up, factor_down = device.factors(state, own)
        # What rounding loses comes back with the next step: over thousands of them it adds up.
        step = (own.step_up * factor_up if up else -own.step_down * factor_down) - lost
        moved = jnp.clip(state + step, own.lower, own.upper)
        return (moved, (moved - state) - step), state

    def climb(carry: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        return lax.scan(pulse, carry, None, _CHUNK)

    # Compiled by hand: this runs while a program is traced, and its results must be numbers.
    zero, carry = jax.jit(first).lower().compile()()
    run = jax.jit(climb).lower(carry).compile()
    smallest = 1e-3 * device.steps[0 if up else 1]
    states = np.zeros(0, np.float32)
    for _ in range(_MOST_CHUNKS):
        carry, more = run(carry)
        states = np.concatenate([states, np.asarray(more)])
        moves = np.abs(np.diff(states)) >= smallest
        if not moves.all():
            return states[: int(np.argmin(moves)) + 1] - np.asarray(zero)
    raise ValueError(
        f"{device!r}: its mean cell is still on its way after {len(states)} pulses; "
        "expected larger steps"
    )
