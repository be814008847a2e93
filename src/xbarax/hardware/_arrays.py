"""What arrays behind drivers can do beyond other arrays: be programmed anew, pulsed, recovered."""

from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax.array import MemristiveCrossbarArray
from xbarax.array import _primitives as primitives
from xbarax.array._type import CrossbarType, make_value
from xbarax.array._value import as_array, check_finite, check_float32
from xbarax.hardware import _lifetimes
from xbarax.hardware._driver_chip import DriverChip


def program(array: MemristiveCrossbarArray, weights: ArrayLike) -> MemristiveCrossbarArray:
    """Programs all weights of an array anew, also inside of compiled programs.

    Args:
      array: an array on a chip behind a driver.
      weights: (out, in), float32. What lies beyond the chip's range is set to its end, and counts
        as `saturated` in `xbarax.report`; outside of tracing it is refused.

    Returns:
      The array's new value; `array` is stale.

    Raises:
      TypeError: no array on a chip behind a driver, or weights that are not float32.
      ValueError: weights of another shape; outside of tracing, weights that are NaN, infinite or
        beyond the range.

    Derivatives: straight through, from effective weights to `weights`; none to `array`.
    """
    ty, chip = _on_driver(array, "xb.hardware.program")
    check_float32("weights", weights)
    _check_shape("xb.hardware.program: weights", ty, as_array("weights", weights))
    if not isinstance(weights, jax.core.Tracer):
        check_finite("weights", weights)
        chip.check(np.asarray(weights))
    return primitives.change(array, jnp.asarray(weights), "write")


def pulse(array: MemristiveCrossbarArray, pulses: ArrayLike) -> MemristiveCrossbarArray:
    """Applies programming pulses to an array's devices.

    What they do to the weights is the chip's affair: read them out.

    Args:
      array: an array on a chip behind a driver that takes pulses.
      pulses: (out, in), int32: how many pulses each weight's devices get, above 0 upwards, below 0
        downwards.

    Returns:
      The array's new value; `array` is stale.

    Raises:
      TypeError: no array on a chip behind a driver, or pulses that are not int32.
      ValueError: pulses of another shape; a chip that takes none.

    Derivatives: the identity for the effective weights.
    """
    ty, chip = _on_driver(array, "xb.hardware.pulse")
    given = as_array("pulses", pulses)
    if not hasattr(pulses, "dtype") and given.dtype.kind == "i":
        given = given.astype(np.int32)  # lists of numbers
    if given.dtype != np.int32:
        raise TypeError(f"xb.hardware.pulse: expected int32 pulses, given {given.dtype}")
    _check_shape("xb.hardware.pulse: pulses", ty, given)
    if "pulse" not in (said := chip.description).capabilities:
        raise ValueError(f"xb.hardware.pulse: {said.name} takes no pulses")
    return primitives.change(array, jnp.asarray(given), "pulse")


def recover(tree: Any) -> Any:
    """Current values of arrays whose values are stale, or whose chip failed.

    After an error in the middle of a program the chip may be ahead of every value that the program
    was given. A chip that was lost (its driver's process ended, or it said so) is opened anew.
    Arrays whose weights are in doubt are programmed with the weights that were last asked for or,
    after pulses, read out; xbarax keeps them. If there were pulses after that, they are lost, and a
    `PulsesLostWarning` says so.

    Args:
      tree: an array, or a tree with arrays, such as a network's parameters; leaves that are not on
        a chip behind a driver stay as they are.

    Returns:
      The same with current values.

    Raises:
      DriverError: the chip cannot be opened, or has failed again.
      TypeError: an array is traced: recover outside of compiled programs.
    """
    is_ours = lambda leaf: (
        isinstance(leaf, MemristiveCrossbarArray) and isinstance(jax.typeof(leaf).chip, DriverChip)
    )
    if any(is_ours(x) and isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree)):
        raise TypeError("xb.hardware.recover: expected concrete arrays, given a traced one")
    _lifetimes.wait_for_programs()
    return jax.tree.map(lambda leaf: _recover(leaf) if is_ours(leaf) else leaf, tree)


def _recover(array: MemristiveCrossbarArray) -> MemristiveCrossbarArray:
    chip = array.chip
    assert isinstance(chip, DriverChip)
    return make_value(array._type, chip.recover(array._state), array._key)


def _on_driver(array: Any, use: str) -> tuple[CrossbarType, DriverChip]:
    if not isinstance(array, MemristiveCrossbarArray):
        raise TypeError(f"{use}: expected a MemristiveCrossbarArray, given {type(array).__name__}")
    ty: CrossbarType = jax.typeof(array)
    if not isinstance(ty.chip, DriverChip):
        raise TypeError(f"{use}: expected an array on a chip behind a driver, given {ty!r}")
    if ty.batch_shape:
        raise ValueError(
            f"{use}: {ty.str_short()} is a batch of arrays; use it inside jax.vmap, which maps "
            "over its first axis"
        )
    return ty, ty.chip


def _check_shape(what: str, ty: CrossbarType, given: Any) -> None:
    if given.shape != ty.shape:
        raise ValueError(f"{what}: expected the shape of {ty.str_short()}, given {given.shape}")
