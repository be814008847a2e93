"""The notebook's read."""

from collections.abc import Callable
from os import PathLike

from jax import Array
from jax.typing import ArrayLike

from xbarax.array import MemristiveCrossbarArray
from xbarax.hardware import load


def get_mcbmm_fn(
    so_filename: str | PathLike,
) -> Callable[[MemristiveCrossbarArray, ArrayLike], Array]:
    """The function that reads an array, `mcbmm(w, x)`: `w @ x`.

    Args:
      so_filename: the chip's shared library; opened to see that it can be.

    Raises:
      FileNotFoundError, OSError, AttributeError: see `xbarax.hardware.load`.
    """
    chip = load(so_filename)

    def mcbmm(array: MemristiveCrossbarArray, x: ArrayLike) -> Array:
        return array @ x

    mcbmm.chip = chip  # type: ignore[attr-defined]  # what set_matmul_fn looks at
    return mcbmm
