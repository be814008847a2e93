"""What cells are asked for: pulses, changes or targets, and what comes of it.

In plain JAX, and by kernels for cells whose steps are affine in the state.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip.device import _curve, _pulses

if TYPE_CHECKING:
    from xbarax.chip.device._pulsed import AbstractPulsed

_INT32_MAX = 2**31 - 1


class Cells(NamedTuple):
    """What pulses need and change of cells.

    Attributes:
      identity: the key of what each has of its own.
      state: (…).
      written: what is read beside the state, (…); None where that is nothing.
    """

    identity: Array
    state: Array
    written: Array | None


class Responded(NamedTuple):
    """What came of it.

    Attributes:
      state, written: as of `Cells`.
      totals: int32 (3,): pulses given, cells that a bound cut off, cells that wanted more pulses
        than an update gives; at most the largest int32.
    """

    state: Array
    written: Array | None
    totals: Array


def pulse(device: "AbstractPulsed", cells: Cells, counts: Array, key: Array) -> Responded:
    """Gives each cell `counts` pulses (int32): up where positive, down where negative."""
    return _choose(device, _pulse_in_jax, _kernels.pulse, cells, key, counts)


def change(device: "AbstractPulsed", cells: Cells, delta: Array, key: Array) -> Responded:
    """Pulses each cell in the direction of `delta` (siemens), a randomly rounded number of times.

    Changes that are no numbers ask for no pulses.
    """
    native = functools.partial(
        _kernels.pulse_changes, siemens=_siemens_of_steps(device), most=device.max_pulses
    )
    return _choose(device, _change_in_jax, native, cells, key, delta)


def restart(
    device: "AbstractPulsed", cells: Cells, where: Array, target: Array, start: float, key: Array
) -> Responded:
    """Sets cells back to the conductance `start`, and programs them anew.

    They get as many pulses as bring the mean cell nearest `target` (siemens).
    """
    native = functools.partial(
        _kernels.pulse_restart,
        begin=_curve.to_state(device, start),
        from_symmetry=device.zero_at_symmetry,
    )
    pure = functools.partial(_restart_in_jax, start=start)
    # Only numbers of the program: kernels read them where they are.
    middles = _curve.middles(device, start)
    wanted = _curve.to_state(device, target)
    return _choose(device, pure, native, cells, key, wanted, where, *middles)


def _choose(
    device: "AbstractPulsed",
    pure: Callable[..., Responded],
    native: Callable[..., Any],
    cells: Cells,
    key: Array,
    *asked: Array,
) -> Responded:
    if device.slopes is None or not _kernels.is_threefry(key):
        return pure(device, cells, key, *asked)
    typed = lambda data: jax.random.wrap_key_data(data, impl="threefry2x32")
    identity, key_data = map(jax.random.key_data, (cells.identity, key))

    def in_jax(identity: Array, key: Array, state: Array, written: Any, *asked: Array) -> Responded:
        return pure(device, Cells(typed(identity), state, written), typed(key), *asked)

    def natively(*operands: Any) -> Responded:
        return Responded(*native(_as_kernels_take_them(device), *operands))

    return _kernels.choose(natively, in_jax, identity, key_data, cells.state, cells.written, *asked)


def _as_kernels_take_them(device: "AbstractPulsed") -> _kernels.PulsedCells:
    assert device.slopes is not None
    step_up, step_down = device.steps
    return _kernels.PulsedCells(
        step_up=step_up,
        step_down=step_down,
        step_spread=device.step_spread,
        step_lognormal=device.step_lognormal,
        asymmetry_spread=device.asymmetry_spread,
        lower=device.lower,
        upper=device.upper,
        lower_spread=device.lower_spread,
        upper_spread=device.upper_spread,
        cycle_noise=device.cycle_noise,
        slopes=device.slopes,
        additive=device.additive,
        written=_written_deviation(device),
        failed=device.failed,
    )


def _siemens_of_steps(device: "AbstractPulsed") -> tuple[float, float]:
    up, down = device.steps
    return device.siemens * up, device.siemens * down


def _written_deviation(device: "AbstractPulsed") -> float:
    return device.write_noise * device.steps[0]


# ---- In plain JAX --------------------------------------------------------------------------------


def _pulse_in_jax(device: "AbstractPulsed", cells: Cells, key: Array, counts: Array) -> Responded:
    pulse_key, write_key = _kernels.split(key)
    steps = device.steps_of(device.own(cells.identity, counts.shape))
    state, cut = _pulses.respond(steps, cells.state, counts, pulse_key)
    if device.failed > 0:
        cut &= ~failed(device, cells.identity, cut.shape)[0]
    written = cells.written
    if written is not None:
        noise = _kernels.normal(write_key, state.shape, state.dtype)
        written = jnp.where(counts != 0, _written_deviation(device) * noise, written)
    totals = _total(jnp.abs(counts)), _total(cut), jnp.zeros((), jnp.int32)
    return Responded(state, written, jnp.stack(totals))


def _change_in_jax(device: "AbstractPulsed", cells: Cells, key: Array, delta: Array) -> Responded:
    round_key, pulse_key = _kernels.split(key)
    up, down = _siemens_of_steps(device)
    wanted = jnp.nan_to_num(jnp.where(delta > 0, delta / up, delta / down))
    whole = jnp.floor(jnp.abs(wanted))
    dice = _kernels.uniform(round_key, delta.shape, delta.dtype)
    counts = whole + (dice < jnp.abs(wanted) - whole)
    beyond = counts > device.max_pulses
    counts = jnp.sign(wanted) * jnp.minimum(counts, device.max_pulses)
    done = _pulse_in_jax(device, cells, pulse_key, counts.astype(jnp.int32))
    return done._replace(totals=done.totals.at[2].set(_total(beyond)))


def _restart_in_jax(
    device: "AbstractPulsed",
    cells: Cells,
    key: Array,
    wanted: Array,
    where: Array,
    rises: Array,
    falls: Array,
    *,
    start: float,
) -> Responded:
    own = device.own(cells.identity, wanted.shape)
    origin = jnp.full_like(wanted, _curve.to_state(device, start))
    if device.zero_at_symmetry:
        origin += device.symmetry_point(own)
    begin = jnp.clip(origin, own.lower, own.upper)
    written = cells.written
    if written is not None:
        written = jnp.where(where, 0, written)
    counts = _curve.count(rises, falls, _curve.to_state(device, start), wanted)
    state = jnp.where(where, begin, cells.state)
    fresh = Cells(cells.identity, state, written)
    return _pulse_in_jax(device, fresh, key, jnp.where(where, counts, 0))


def failed(
    device: "AbstractPulsed", identity: Array, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Which cells never move, and the states that they have."""
    # The children 0 to 3 of the key are those that `own` splits off.
    which, where = _kernels.split(_kernels.fold_in(identity, 4))
    fails = _kernels.uniform(which, shape, jnp.float32) < device.failed
    resting = _kernels.uniform(where, shape, jnp.float32)
    return fails, device.lower + (device.upper - device.lower) * resting


def add(counter: Array, more: Array) -> Array:
    """Adds to a counter, which stops at the largest int32 instead of turning negative."""
    return counter + jnp.minimum(more, _INT32_MAX - counter)


def _total(counts: Array) -> Array:
    """The sum of int32 or boolean numbers that are not negative, at most the largest int32."""
    whole = counts.astype(jnp.int32)
    return lax.reduce(whole, np.int32(0), add, tuple(range(whole.ndim)))
