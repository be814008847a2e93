"""Write–verify: measure, pulse, and measure again."""

from typing import TYPE_CHECKING

from jax import Array, lax
from jax import numpy as jnp

from xbarax import _kernels

if TYPE_CHECKING:
    from xbarax.chip.device._pulsed import AbstractPulsed

Cells = dict[str, Array]


def verify(
    device: "AbstractPulsed",
    cells: Cells,
    target: Array,
    tolerance: float,
    budget: int,
    key: Array,
) -> tuple[Cells, Array]:
    """The loop behind `AbstractPulsed.verify`."""
    up, down = (device.siemens * step for step in device.steps)

    def look(cells: Cells, used: Array) -> tuple[Array, Array, Array]:
        error = target - device.conductance(cells)
        # Not `>`: what is no number is not at its target, but no pulse brings it there.
        outside = ~(jnp.abs(error) <= tolerance)
        return error, outside, outside & (used < budget) & ~jnp.isnan(error)

    def go_on(carry: tuple) -> Array:
        _, cells, used, *_ = carry
        return jnp.any(look(cells, used)[2])

    def one(carry: tuple) -> tuple:
        turn, cells, used, overshoots, before = carry
        error, _, asked = look(cells, used)
        overshoots = overshoots + (asked & (error * before < 0))
        mean_step = jnp.where(error > 0, up, down) * 2.0**overshoots
        counts = jnp.clip(jnp.round(jnp.abs(error) / mean_step), 1, budget - used)
        counts = jnp.where(asked, counts, 0).astype(jnp.int32)
        signed = jnp.where(error > 0, counts, -counts)
        pulsed = device.pulse(cells, signed, _kernels.fold_in(key, turn))
        pulsed["saturated"] = cells["saturated"]
        return turn + 1, pulsed, used + counts, overshoots, jnp.where(asked, error, before)

    none = jnp.zeros(target.shape, jnp.int32)
    begin = (jnp.zeros((), jnp.int32), cells, none, none, jnp.zeros_like(target))
    _, cells, used, *_ = lax.while_loop(go_on, one, begin)
    return cells, jnp.sum(look(cells, used)[1], dtype=jnp.int32)
