"""Measurements of device models, as a lab makes them of devices: plain functions of keys."""

import functools
import math

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp
from numpy.typing import ArrayLike

from xbarax import _kernels
from xbarax.chip.device import _curve
from xbarax.chip.device._device import AbstractDevice
from xbarax.chip.device._pulsed import AbstractPulsed


def response_curve(device: AbstractDevice, up: int, down: int, cells: int, key: Array) -> Array:
    """Conductances of cells that are pulsed up and then down, measured after every pulse.

    Each cell begins at its own lower bound. What is measured is the mean of many reads: write noise
    is in it, read noise is not. Failed cells are among them.

    Args:
      device: a pulse device.
      up: how many pulses up, at least 0.
      down: how many pulses down afterwards, at least 0; together at least 1.
      cells: how many cells.
      key: PRNG key of the cells' spread and of all noise.

    Returns:
      (up + down + 1, cells), in siemens; the last entry of the branch up, `[up]`, is where the
      branch down begins.

    Raises:
      TypeError: a device that does not respond to pulses.
      ValueError: numbers of pulses or cells out of their range.
    """
    pulsed = _check_pulsed("response_curve", device)
    _check_count("response_curve(up=…)", up, 0)
    _check_count("response_curve(down=…)", down, 0)
    _check_count("response_curve(cells=…)", cells, 1)
    if up + down == 0:
        raise ValueError("response_curve: expected at least one pulse, given up=0 and down=0")
    return _pulse_curve(pulsed, up, down, cells, key)


def pulses_across(device: AbstractDevice, share: float = 0.95) -> tuple[int, int]:
    """How many pulses move the mean cell across its range, up and down.

    Args:
      device: a pulse device.
      share: of the range, from the bound where the pulses begin; above 0, at most 1. Where steps
        shrink to nothing, pulses end near the bound instead.

    Returns:
      Pulses up and pulses down, each at least 1.

    Raises:
      TypeError: a device that does not respond to pulses.
      ValueError: a share out of its range.
    """
    pulsed = _check_pulsed("pulses_across", device)
    if not 0 < share <= 1:
        raise ValueError(f"pulses_across(share=…): expected above 0, at most 1, given {share!r}")
    low, high = device.conductance_range
    way = share * (high - low)
    up = _curve.pulses_to_reach(pulsed, jnp.float32(low + way), low)
    down = _curve.pulses_to_reach(pulsed, jnp.float32(high - way), high)
    return max(int(up), 1), max(-int(down), 1)


def programming_error(device: AbstractDevice, targets: ArrayLike, cells: int, key: Array) -> Array:
    """By how much programmed cells miss their targets, at the device's first measured time.

    Pulse devices are programmed in open loop from the lowest conductance, with the pulses that the
    mean cell needs. Read noise is not in it.

    Args:
      device: any device.
      targets: (targets,), in siemens, within the device's range.
      cells: how many cells are programmed to each target.
      key: PRNG key.

    Returns:
      (targets, cells): conductance minus target, in siemens.

    Raises:
      ValueError: targets that are no list, or outside of the range; no cells.
    """
    wanted = _check_targets("programming_error", device, targets)
    _check_count("programming_error(cells=…)", cells, 1)
    return _miss(device, cells, jnp.asarray(wanted, jnp.float32), key)


def drift(
    device: AbstractDevice, targets: ArrayLike, seconds: ArrayLike, cells: int, key: Array
) -> Array:
    """Conductances of cells that were programmed once, as they get older.

    Args:
      device: a device whose model says something of time: not a pulse device.
      targets: (targets,), in siemens, within the device's range.
      seconds: (times,), ages since the device's first measured time, at least 0.
      cells: how many cells are programmed to each target.
      key: PRNG key.

    Returns:
      (times, targets, cells), in siemens; the same cells at all times.

    Raises:
      TypeError: a pulse device.
      ValueError: targets or times that are no list, or out of their range; no cells.
    """
    if isinstance(device, AbstractPulsed):
        raise TypeError(
            "drift: expected a device whose model says something of time, given the pulse device "
            f"{type(device).__name__}"
        )
    wanted = _check_targets("drift", device, targets)
    ages = _check_list("drift(seconds=…)", seconds)
    if not (np.isfinite(ages) & (ages >= 0)).all():
        raise ValueError(f"drift(seconds=…): expected times of at least 0 s, given {ages}")
    _check_count("drift(cells=…)", cells, 1)
    as_float32 = lambda x: jnp.asarray(x, jnp.float32)
    return _grow_old(device, cells, as_float32(wanted), as_float32(ages), key)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _pulse_curve(device: AbstractPulsed, up: int, down: int, cells: int, key: Array) -> Array:
    program_key, first_key, pulse_key = _kernels.split(key, 3)
    g_min = device.conductance_range[0]
    fresh = device.program(jnp.full((cells,), g_min, jnp.float32), g_min, program_key)
    # A pulse down, so that the first point has its write noise as all others do.
    fresh = device.pulse(fresh, jnp.full((cells,), -1, jnp.int32), first_key)
    fresh = {**fresh, "state": device.own(fresh["identity"], (cells,)).lower}

    def pulse(held: dict[str, Array], number: Array) -> tuple[dict[str, Array], Array]:
        counts = jnp.full((cells,), jnp.where(number < up, 1, -1), jnp.int32)
        held = device.pulse(held, counts, _kernels.fold_in(pulse_key, number))
        return held, device.conductance(held)

    _, after = lax.scan(pulse, fresh, jnp.arange(up + down))
    return jnp.concatenate([device.conductance(fresh)[None], after])


@functools.partial(jax.jit, static_argnums=(0, 1))
def _miss(device: AbstractDevice, cells: int, targets: Array, key: Array) -> Array:
    wanted = jnp.broadcast_to(targets[:, None], (len(targets), cells))
    programmed = device.program(wanted, device.conductance_range[0], key)
    return device.conductance(programmed) - wanted


@functools.partial(jax.jit, static_argnums=(0, 1))
def _grow_old(
    device: AbstractDevice, cells: int, targets: Array, seconds: Array, key: Array
) -> Array:
    wanted = jnp.broadcast_to(targets[:, None], (len(targets), cells))
    programmed = device.program(wanted, device.conductance_range[0], key)
    return jax.vmap(lambda age: device.conductance(device.age(programmed, age)))(seconds)


def _check_pulsed(name: str, device: AbstractDevice) -> AbstractPulsed:
    if not isinstance(device, AbstractPulsed):
        raise TypeError(
            f"{name}: expected a device that responds to pulses, given {type(device).__name__}, "
            "which is known by where programming leaves its conductance"
        )
    return device


def _check_count(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, given {value!r}")


def _check_list(name: str, values: ArrayLike) -> np.ndarray:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(
            f"{name}: expected a list of at least one number, given shape {numbers.shape}"
        )
    return numbers


def _check_targets(name: str, device: AbstractDevice, targets: ArrayLike) -> np.ndarray:
    wanted = _check_list(f"{name}(targets=…)", targets)
    low, high = device.conductance_range
    # float32's nearest to a bound may lie beyond it.
    slack = _FLOAT32_STEP * high if math.isfinite(high) else 0.0
    outside = wanted[~((wanted >= low - slack) & (wanted <= high + slack))]
    if outside.size:
        raise ValueError(
            f"{name}(targets=…): expected conductances from {low:g} to {high:g} S, the range of "
            f"{type(device).__name__}, given {outside[0]:g}"
        )
    return wanted


_FLOAT32_STEP = 1.2e-7
