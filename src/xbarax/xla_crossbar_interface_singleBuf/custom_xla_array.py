"""The notebook's array.

The notebook sets one library for the whole program, by three calls in any order; they must name
the same one, since a read, an update and a write concern one chip.
"""

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from xbarax import array
from xbarax.array import MemristiveCrossbarArray as _MemristiveCrossbarArray
from xbarax.chip import AbstractChip
from xbarax.hardware import load

_chips: dict[str, AbstractChip] = {}  # by the call that set it: write, matmul, add


def set_memristive_crossbar_array_device_put_handler(so_filename: str | PathLike) -> None:
    """Makes arrays by writing to the chip behind `so_filename`.

    Raises:
      FileNotFoundError, OSError, AttributeError: see `xbarax.hardware.load`.
    """
    _chips["write"] = load(so_filename)


class AbstractMemristiveCrossbarArray:
    """Where the notebook sets what `w @ x` and `w + dw` call."""

    @staticmethod
    def set_matmul_fn(mcbmm: Callable[..., Any]) -> None:
        """Sets what `w @ x` calls: a function from `get_mcbmm_fn`.

        Raises:
          TypeError: it is another function.
        """
        _chips["matmul"] = _chip_of(mcbmm, "get_mcbmm_fn")

    @staticmethod
    def set_add_fn(mcbadd: Callable[..., Any]) -> None:
        """Sets what `w + dw` calls: a function from `get_mcbadd_fn`.

        Raises:
          TypeError: it is another function.
        """
        _chips["add"] = _chip_of(mcbadd, "get_mcbadd_fn")


class _ArrayMeta(type):
    """An instance is an `xbarax.MemristiveCrossbarArray`, concrete or traced."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _MemristiveCrossbarArray)


class MemristiveCrossbarArray(metaclass=_ArrayMeta):
    """An `xbarax.MemristiveCrossbarArray` on the chip that the notebook's calls have set.

    Args:
      weights: (out, in), float32.

    Raises:
      RuntimeError: no library is set, or the calls name different ones.
      TypeError, ValueError: see `xbarax.MemristiveCrossbarArray`.
    """

    def __new__(cls, weights: ArrayLike | np.ndarray) -> Any:
        """Writes `weights` to the chip."""
        return array.MemristiveCrossbarArray(weights, chip=_the_chip())


def _the_chip() -> AbstractChip:
    if "write" not in _chips:
        raise RuntimeError(
            "no chip is set: call set_memristive_crossbar_array_device_put_handler(so_filename) "
            "before making an array"
        )
    if len(set(_chips.values())) > 1:
        named = ", ".join(f"{call}: {chip!r}" for call, chip in _chips.items())
        raise RuntimeError(f"write, matmul and add are set to different libraries: {named}")
    return _chips["write"]


def _chip_of(function: Callable[..., Any], maker: str) -> AbstractChip:
    chip = getattr(function, "chip", None)
    if not isinstance(chip, AbstractChip):
        raise TypeError(f"expected a function from {maker}(so_filename), given {function!r}")
    return chip
