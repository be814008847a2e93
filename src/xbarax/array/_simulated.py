"""What only arrays on simulated chips can do: time, faults, calibration, a look at the devices."""

from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax.array import _hijax
from xbarax.array import _primitives as primitives
from xbarax.array._type import CrossbarType
from xbarax.array._value import MemristiveCrossbarArray, check_float32
from xbarax.chip import STUCK_HIGH, STUCK_LOW, Chip
from xbarax.chip.device import AbstractPulsed


def age(array: MemristiveCrossbarArray, seconds: ArrayLike) -> MemristiveCrossbarArray:
    """The array some time later.

    An array's age counts from the first time at which its device was measured after programming;
    `age(age(w, a), b)` equals `age(w, a + b)`. Devices that are programmed again begin anew.

    Args:
      array: a crossbar array on a simulated chip. Devices without ageing stay as they are.
      seconds: how much later, a scalar, at least 0. `jax.vmap` over it makes a batch of arrays.

    Returns:
      The array at its new age.

    Raises:
      TypeError: no crossbar on a simulated chip; seconds that are no number.
      ValueError: no scalar; outside of tracing, a time that is negative or not finite. Under
        tracing such a time passes none, and counts as `not_finite` in `xbarax.report`.

    Derivatives: the identity for the effective weights, none for the time.
    """
    ty, _ = simulated(array, "xb.age")
    given: Any = np.asarray(seconds) if not hasattr(seconds, "dtype") else seconds
    if given.dtype == object:
        raise TypeError(f"xb.age: expected seconds as one number, given {seconds!r}")
    if given.ndim != 0 or not (
        jnp.issubdtype(given.dtype, jnp.floating) or jnp.issubdtype(given.dtype, jnp.integer)
    ):
        raise ValueError(
            f"xb.age: expected seconds as one number, given {given.dtype} of shape {given.shape}"
        )
    if _hijax.is_concrete(given) and not 0 <= float(given) < float("inf"):
        raise ValueError(f"xb.age: expected seconds of at least 0, given {float(given)}")
    operand = jnp.asarray(given, jnp.float32)
    return primitives.alter(array, jnp.broadcast_to(operand, ty.batch_shape), "age")


def calibrate(array: MemristiveCrossbarArray, inputs: ArrayLike) -> MemristiveCrossbarArray:
    """Fits the ranges of the array's ADCs to data.

    Each tile's range becomes the largest current that the inputs give there without noise.

    Args:
      array: a crossbar array on a simulated chip with `ADC(range="calibrated")`.
      inputs: (…, in), float32: what the array will be read with.

    Returns:
      The array with its ranges set. A tile in which no current flows keeps its range.

    Raises:
      TypeError: no crossbar on a simulated chip, or inputs that are not float32.
      ValueError: ADCs that are not calibrated; inputs of another length, or none.

    Derivatives: the identity for the effective weights, none for the inputs.
    """
    ty, chip = _one(array, "xb.calibrate")
    if not chip.adc.calibrated:
        raise ValueError(
            'xb.calibrate: expected a chip with adc=xb.ADC(bits=…, range="calibrated"), given '
            f"{chip.adc!r}"
        )
    check_float32("inputs", inputs if hasattr(inputs, "dtype") else np.asarray(inputs))
    given = jnp.asarray(inputs)
    n_in = ty.shape[1]
    if given.ndim == 0 or given.shape[-1] != n_in or given.size == 0:
        raise ValueError(
            f"xb.calibrate: expected inputs (…, {n_in}), at least one, given shape {given.shape}"
        )
    return primitives.alter(array, given.reshape(-1, n_in), "calibrate")


def set_faults(
    array: MemristiveCrossbarArray, stuck_low: ArrayLike, stuck_high: ArrayLike
) -> MemristiveCrossbarArray:
    """The array with a known map of stuck devices, instead of the one drawn when it was made.

    Args:
      array: a crossbar array on a simulated chip with `faults`, such as `xb.Faults()`.
      stuck_low: which devices are stuck at g_min, bool, (planes, rows, in) as `xb.conductances`
        gives them, or anything that broadcasts to it, such as (out, in) where there are no
        reference columns.
      stuck_high: which are stuck at g_max.

    Raises:
      TypeError: no crossbar on a simulated chip, or masks that are not bool.
      ValueError: a chip without faults, masks of another shape; outside of tracing, a device that
        is in both.

    Derivatives: the identity for the effective weights.
    """
    _, chip = _one(array, "xb.set_faults")
    if chip.faults is None:
        raise ValueError(
            "xb.set_faults: this chip has no faults; make it with faults=xb.Faults(), whose shares "
            "of 0 draw none"
        )
    shape = jax.eval_shape(lambda w: primitives.look(w, "fault_map"), array).shape
    low, high = _mask("stuck_low", stuck_low, shape), _mask("stuck_high", stuck_high, shape)
    if _hijax.is_concrete(low) and _hijax.is_concrete(high) and bool(jnp.any(low & high)):
        count = int(jnp.sum(low & high))
        raise ValueError(f"xb.set_faults: {count} devices are both in stuck_low and stuck_high")
    stuck = jnp.where(high, STUCK_HIGH, jnp.where(low, STUCK_LOW, 0)).astype(jnp.int8)
    return primitives.alter(array, stuck, "set_faults")


def conductances(array: MemristiveCrossbarArray) -> Array:
    """The devices' mean conductances at their present age, stuck ones included.

    Returns:
      (*batch, planes, rows, in), in siemens. The planes are those of the mapping: one; G⁺ and
      G⁻ of a differential pair; G⁺ and G⁻ of each bit slice, the least significant first. A plane
      has a row for each output, and behind them the reference columns, one for each row of tiles.
      On an ideal chip these are the weights.

    Raises:
      TypeError: no crossbar on a simulated chip.

    Derivatives: none.
    """
    simulated(array, "xb.conductances")
    return primitives.look(array, "conductances")


def fault_map(array: MemristiveCrossbarArray) -> Array:
    """Which devices are stuck: 0 none, 1 at g_min, 2 at g_max.

    Returns:
      (*batch, planes, rows, in) as `xb.conductances`, int8.

    Raises:
      TypeError: no crossbar on a simulated chip.
    """
    simulated(array, "xb.fault_map")
    return primitives.look(array, "fault_map")


def pulse_step(array: MemristiveCrossbarArray) -> Array:
    """The change of a weight that one mean pulse makes at state 0.

    Returns:
      (*batch, 2), float32: up and down, both positive.

    Raises:
      TypeError: no crossbar on a simulated chip.
      ValueError: its devices do not respond to pulses.
    """
    _, chip = simulated(array, "xb.pulse_step")
    if not isinstance(chip.device, AbstractPulsed):
        raise ValueError(f"xb.pulse_step: {type(chip.device).__name__} does not respond to pulses")
    return primitives.look(array, "pulse_step")


def _mask(name: str, given: Any, shape: tuple[int, ...]) -> Array:
    mask = jnp.asarray(given)
    if mask.dtype != bool:
        raise TypeError(f"xb.set_faults: {name}: expected bool, given {mask.dtype}")
    try:
        return jnp.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"xb.set_faults: {name}: expected shape {shape}, given {mask.shape}"
        ) from None


def simulated(array: Any, use: str) -> tuple[CrossbarType, Chip]:
    """The type and the chip of what must be a crossbar array on a simulated chip.

    Raises:
      TypeError: it is not.
    """
    if not isinstance(array, MemristiveCrossbarArray):
        raise TypeError(f"{use}: expected a MemristiveCrossbarArray, given {type(array).__name__}")
    ty: CrossbarType = jax.typeof(array)
    if not isinstance(ty.chip, Chip):
        raise TypeError(f"{use}: expected an array on a simulated chip, given {ty!r}")
    return ty, ty.chip


def _one(array: Any, use: str) -> tuple[CrossbarType, Chip]:
    ty, chip = simulated(array, use)
    if ty.batch_shape:
        raise ValueError(
            f"{use}: {ty.str_short()} is a batch of arrays; use it inside jax.vmap, which maps "
            "over its first axis"
        )
    return ty, chip
