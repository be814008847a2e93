"""The foreign calls that give cells their pulses."""

import dataclasses
from typing import Any, Literal

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class PulsedCells:
    """What cells have in common whose steps are affine in their state.

    Attributes:
      step_up, step_down, step_spread, step_lognormal, asymmetry_spread, lower, upper,
        lower_spread, upper_spread, cycle_noise: those of `AbstractPulsed`.
      slopes: up and down: a step is `1 − slope · state` of the largest; "bounds": one over each
        cell's own bounds.
      additive: whether noise does not shrink with the step.
      written: the deviation of what is read beside the state; 0: nothing is.
      failed: that of `AbstractPulsed`.
    """

    step_up: float
    step_down: float
    step_spread: float
    step_lognormal: bool
    asymmetry_spread: float
    lower: float
    upper: float
    lower_spread: float
    upper_spread: float
    cycle_noise: float
    slopes: tuple[float, float] | Literal["bounds"]
    additive: bool
    written: float
    failed: float


Pulsed = tuple[Array, Array | None, Array]
"""States, what is read beside them, and int32 (3,): pulses, cells cut off, cells that wanted more.

The operands of all calls begin with `identity` and `key`, the data (2,) of threefry keys (what
cells have of their own are numbers of the one, what is random are those of the other), `state` of
any one shape, and `written` of the same, None where nothing is.
"""


def pulse(
    cells: PulsedCells,
    identity: Array,
    key: Array,
    state: Array,
    written: Array | None,
    counts: Array,
) -> Pulsed:
    """Gives cells int32 `counts` of pulses."""
    return _call("xbarax_pulse", cells, identity, key, state, written, [counts])


def pulse_changes(
    cells: PulsedCells,
    identity: Array,
    key: Array,
    state: Array,
    written: Array | None,
    changes: Array,
    *,
    siemens: tuple[float, float],
    most: int,
) -> Pulsed:
    """Gives cells pulses for changes of their conductances, randomly rounded and at most `most`.

    `siemens` are those of a mean step up and down.
    """
    asked = np.array([*siemens, most], np.float32)
    return _call(
        "xbarax_pulse_changes", cells, identity, key, state, written, [changes], asked=asked
    )


def pulse_restart(
    cells: PulsedCells,
    identity: Array,
    key: Array,
    state: Array,
    written: Array | None,
    targets: Array,
    where: Array,
    rises: Array,
    falls: Array,
    *,
    begin: float,
    from_symmetry: bool,
) -> Pulsed:
    """Sets cells in `where` to the state `begin`, and pulses them to the states `targets`.

    Both count from each cell's symmetry point, if so asked. `rises` and `falls` are increasing:
    where one more pulse comes nearer, up, and down with turned signs.
    """
    asked = [targets, where, rises, falls]
    attributes = {"begin": np.float32(begin), "from_symmetry": from_symmetry}
    return _call("xbarax_pulse_restart", cells, identity, key, state, written, asked, **attributes)


def _call(
    name: str,
    cells: PulsedCells,
    identity: Array,
    key: Array,
    state: Array,
    written: Array | None,
    request: list[Array],
    **attributes: Any,
) -> Pulsed:
    n = (state.size,)
    before = jnp.zeros((0,), jnp.float32) if written is None else written.reshape(n)
    shape: Any = jax.ShapeDtypeStruct
    results = (shape(n, jnp.float32), shape(before.shape, jnp.float32), shape((3,), jnp.int32))
    call = jax.ffi.ffi_call(name, results, vmap_method="broadcast_all")
    flat = [x.reshape(n) if x.shape == state.shape else x for x in request]
    moved, after, totals = call(
        identity, key, state.reshape(n), before, *flat, **_attributes(cells), **attributes
    )
    shaped = None if written is None else after.reshape(state.shape)
    return moved.reshape(state.shape), shaped, totals


def _attributes(cells: PulsedCells) -> dict[str, Any]:
    own_bounds = cells.slopes == "bounds"
    slopes = (0.0, 0.0) if own_bounds else cells.slopes
    numbers = (
        *(cells.step_up, cells.step_down, cells.step_spread, cells.asymmetry_spread),
        *(cells.lower, cells.upper, cells.lower_spread, cells.upper_spread),
        *(cells.cycle_noise, *slopes, cells.written, cells.failed),
    )
    return {
        "numbers": np.array(numbers, np.float32),
        "own_bounds": own_bounds,
        "lognormal": cells.step_lognormal,
        "additive": cells.additive,
    }
