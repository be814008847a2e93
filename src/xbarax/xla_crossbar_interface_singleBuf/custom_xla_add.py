"""The notebook's update."""

from collections.abc import Callable
from os import PathLike

from jax.typing import ArrayLike

from xbarax.array import MemristiveCrossbarArray
from xbarax.hardware import load


def get_mcbadd_fn(
    so_filename: str | PathLike,
) -> Callable[[MemristiveCrossbarArray, ArrayLike], MemristiveCrossbarArray]:
    """The function that programs an array, `mcbadd(w, dw)`: `w + dw`.

    Args:
      so_filename: the chip's shared library; opened to see that it can be.

    Raises:
      FileNotFoundError, OSError, AttributeError: see `xbarax.hardware.load`.
    """
    chip = load(so_filename)

    def mcbadd(array: MemristiveCrossbarArray, delta: ArrayLike) -> MemristiveCrossbarArray:
        return array + delta

    mcbadd.chip = chip  # type: ignore[attr-defined]  # what set_add_fn looks at
    return mcbadd
