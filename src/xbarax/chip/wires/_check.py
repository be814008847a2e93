"""Checks of what circuits are made of."""

import math
from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

_FLOATS = (jnp.dtype(jnp.float32), jnp.dtype(jnp.float64))


def check_conductance(use: str, given: Any, name: str = "conductance") -> Array:
    """The conductances of arrays, (…, M, N), called `name`.

    Raises:
      TypeError: neither float32 nor float64.
      ValueError: fewer than two axes; outside of tracing, one that is negative or not finite.
    """
    conductance = _floats(use, name, given)
    if conductance.ndim < 2:
        raise ValueError(
            f"{use}: expected {name} (…, word lines, bit lines), given shape {conductance.shape}"
        )
    _check_not_negative(use, name, conductance, "siemens")
    return conductance


def check_resistance(use: str, name: str, given: Any, dtype: Any) -> Array:
    """The resistance of a segment of wire, one or a batch.

    Raises:
      TypeError: no number, nor an array of `dtype`.
      ValueError: outside of tracing, one that is negative or not finite.
    """
    if isinstance(given, float | int) and not isinstance(given, bool):
        if not (math.isfinite(given) and given >= 0):
            raise ValueError(
                f"{use}: {name}: expected a finite resistance of at least 0 ohm, given {given!r}"
            )
        return jnp.asarray(given, dtype)
    if isinstance(given, bool | str) or given is None:
        raise TypeError(
            f"{use}: {name}: expected a number or an array of {jnp.dtype(dtype).name}, given "
            f"{given!r}"
        )
    if getattr(given, "weak_type", False):  # a number, under tracing
        given = given.astype(dtype)
    resistance = _floats(use, name, given)
    if resistance.dtype != dtype:
        raise TypeError(
            f"{use}: {name}: expected a number or an array of {jnp.dtype(dtype).name}, as the "
            f"conductance is, given {resistance.dtype.name}"
        )
    _check_not_negative(use, name, resistance, "ohm")
    return resistance


def check_voltage(use: str, given: Any, conductance: Array) -> Array:
    """The voltages of sources, (…, M).

    Raises:
      TypeError: an array of another type than the conductances.
      ValueError: not one for each word line; outside of tracing, one that is not finite.
    """
    voltage = check_source(use, given)
    if voltage.dtype != conductance.dtype:
        raise TypeError(
            f"{use}: voltage: expected {conductance.dtype.name}, as the conductance is, given "
            f"{voltage.dtype.name}"
        )
    n_words = conductance.shape[-2]
    if voltage.ndim == 0 or voltage.shape[-1] != n_words:
        raise ValueError(
            f"{use}: voltage: expected (…, {n_words}), one for each word line of conductance "
            f"{conductance.shape}, given shape {voltage.shape}"
        )
    return voltage


def check_source(use: str, given: Any) -> Array:
    """The voltages of sources, of any shape.

    Raises:
      TypeError: neither float32 nor float64.
      ValueError: outside of tracing, one that is not finite.
    """
    voltage = _floats(use, "voltage", given)
    if not isinstance(voltage, jax.core.Tracer) and not np.all(np.isfinite(voltage)):
        raise ValueError(f"{use}: voltage: expected finite numbers")
    return voltage


def common_batch(use: str, **batches: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all batches broadcast to.

    Raises:
      ValueError: there is none.
    """
    try:
        return np.broadcast_shapes(*batches.values())
    except ValueError:
        given = ", ".join(f"{name} {shape}" for name, shape in batches.items())
        raise ValueError(f"{use}: leading axes that do not broadcast: {given}") from None


def _floats(use: str, name: str, given: Any) -> Array:
    if not hasattr(given, "dtype"):
        raise TypeError(f"{use}: {name}: expected an array, given {type(given).__name__}")
    array = jnp.asarray(given)
    if array.dtype not in _FLOATS:
        raise TypeError(f"{use}: {name}: expected float32 or float64, given {array.dtype.name}")
    return array


def _check_not_negative(use: str, name: str, values: Array, unit: str) -> None:
    if isinstance(values, jax.core.Tracer):
        return
    good = np.isfinite(values) & (np.asarray(values) >= 0)
    if not np.all(good):
        first = np.asarray(values)[~good].flat[0]
        raise ValueError(
            f"{use}: {name}: expected finite numbers of at least 0 {unit}, given "
            f"{np.size(good) - np.count_nonzero(good)} others, the first {first}"
        )
