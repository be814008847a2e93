"""Mappings onto a range of conductances: which magnitude of weights stands for the whole of it."""

import abc
import math
from typing import Any, Literal, final, get_args

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice
from xbarax.chip.device._check import check_real, check_scale
from xbarax.chip.mapping._mapping import AbstractMapping

Subtraction = Literal["digital", "analog"]
"""Where the currents of a pair are subtracted: behind their converters, or before one for both."""


class AbstractRanged(AbstractMapping):
    """A mapping onto the range of a device's conductances.

    The magnitude of weights at the whole range is `weight_range` or, where that is None, the
    largest magnitude programmed, times `headroom`. Subclasses have both as fields.
    """

    @property
    @abc.abstractmethod
    def weight_range(self) -> float | None:
        """The magnitude of weights at the whole range; None: data say."""

    @property
    @abc.abstractmethod
    def headroom(self) -> float:
        """How much larger than the first data weights may become; 1 where the range is given."""

    @property
    @final
    def fixed_range(self) -> float | None:
        """As given."""
        return self.weight_range

    @property
    @final
    def bounded(self) -> bool:
        """By the device's range."""
        return True

    @final
    def check(self, device: AbstractDevice) -> None:
        """Refuses devices without a range."""
        low, high = device.conductance_range
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(
                f"{type(self).__name__} needs a device with a range of conductances, given "
                f"{device!r}; Ideal(g_min=…, g_max=…) has one"
            )

    @final
    def largest(self, weights: Array) -> Array:
        """The given range, or that of the weights with headroom."""
        if self.weight_range is not None:
            return jnp.full((), self.weight_range, jnp.float32)
        most = jnp.max(jnp.abs(weights))
        # All-zero weights have no scale of their own.
        return jnp.where(most > 0, self.headroom * most, 1.0)

    def _check_weight_range(self) -> None:
        """Refuses a range or a headroom that cannot be."""
        name, given = type(self).__name__, self.weight_range
        check_real(f"{name}(headroom=…)", self.headroom, "at least 1", lambda x: x >= 1)
        if given is None:
            return
        check_scale(f"{name}(weight_range=…)", given, "above 0, or None", lambda x: x > 0)
        if self.headroom != 1:
            raise ValueError(
                f"{name}: headroom={self.headroom} is for a range taken from the data; with "
                f"weight_range={given} it must be 1"
            )


def check_subtraction(name: str, given: Any) -> None:
    """Refuses unknown words."""
    if not isinstance(given, str) or given not in get_args(Subtraction):
        raise ValueError(f"{name}(subtract=…): expected 'digital' or 'analog', given {given!r}")
