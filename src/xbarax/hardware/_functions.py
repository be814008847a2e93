"""Chips behind a shared library that exports the notebook's three functions."""

import ctypes
import dataclasses
from pathlib import Path
from typing import Any

from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip import AbstractChip, Kind

SYMBOLS = ("user_implementation_mul", "user_implementation_add", "user_implementation_write")


@dataclasses.dataclass(frozen=True)
class FunctionLibraryChip(AbstractChip):
    """A chip whose reads, updates and writes are functions of a shared library.

    Made by `xbarax.hardware.load`. The array's value is what the library works on, `g[out][in]`:
    writing runs once when the array is made, on a fresh copy of the weights that becomes the
    value; an update runs for each programming; a read runs once for each input vector, and a
    transposed read is a read of a transposed copy. All of them are side effects: they run as
    often as the program says, never merged, hoisted or dropped, one at a time for each library.

    The one exception is JAX's: in the reverse-mode derivative of a loop (`scan`, `fori_loop`),
    reads, updates and writes that depend on nothing that the loop changes run once, before it.
    Where the number of calls matters, let them depend on the loop's carry or inputs.

    Args:
      library: the absolute path of the shared library.
    """

    library: str

    @property
    def noisy_read(self) -> bool:
        """The library draws its own noise, if any; no key is needed."""
        return False

    @property
    def noisy_program(self) -> bool:
        """The library draws its own noise, if any; no key is needed."""
        return False

    @property
    def has_side_effects(self) -> bool:
        """Every call counts."""
        return True

    @property
    def clips(self) -> bool:
        """What the library does inside is its own business."""
        return False

    def check(self, weights: Any) -> None:
        """Any finite weights can be written."""

    def drive(self, inputs: Array) -> Array:
        """The library gets the inputs themselves."""
        return inputs

    def inside(self, state: Any, inputs: Array, key: Array | None, *, transpose: bool) -> Array:
        """Never asked, since nothing clips."""
        raise NotImplementedError

    def part(self, state: Any, *, transpose: bool) -> int:
        """Never asked, since nothing clips."""
        raise NotImplementedError

    def program(self, weights: Array, key: Array | None) -> dict[str, Any]:
        """Writes the weights: `user_implementation_write` on a fresh copy."""
        written = _kernels.functions_write(weights, library=self.library)
        return {"conductance": written, "not_finite": _count_bad(weights, written)}

    def read(
        self,
        state: dict[str, Any],
        inputs: Array,
        key: Array | None,
        *,
        transpose: bool,
        kind: Kind,
    ) -> Array:
        """Reads row by row: `user_implementation_mul` for each."""
        conductance = state["conductance"]
        oriented = conductance.T if transpose else conductance
        return _kernels.functions_mul(oriented, inputs, library=self.library)

    def update(self, state: dict[str, Any], delta: Array, key: Array | None) -> dict[str, Any]:
        """Updates the weights: `user_implementation_add`."""
        before = state["conductance"]
        total = _kernels.functions_add(before, delta, library=self.library)
        # A cell that was bad before is counted: only what this update did to the others is new.
        bad = _count_bad(delta, jnp.where(jnp.isfinite(before), total, 0))
        return {"conductance": total, "not_finite": state["not_finite"] + bad}

    def readout(self, state: dict[str, Any]) -> Array:
        """The value itself: no call."""
        return state["conductance"]

    def report(self, state: dict[str, Any]) -> dict[str, Array]:
        """`not_finite` counts bad weights, bad updates, and what the library itself made bad."""
        zero = jnp.zeros((), jnp.int32)
        names = ("saturated", "not_converged", "pulses")
        return {**dict.fromkeys(names, zero), "not_finite": state["not_finite"]}


def load(file: Path) -> FunctionLibraryChip:
    """Opens a shared library that stands for a chip, by its absolute path.

    The library exports C functions with row-major float matrices::

        void user_implementation_mul(const float* g, const float* x, float* y,
                                     unsigned out, unsigned in);
        void user_implementation_add(const float* g, const float* d, float* g_out,
                                     unsigned size);
        void user_implementation_write(float* g, unsigned out, unsigned in);

    Raises:
      OSError: the library cannot be opened.
      AttributeError: a function is missing; the message names it.
      NativeLibraryError: xbarax's own native library, which makes the calls, cannot be used.
    """
    _open(_kernels.library(), str(file))
    return FunctionLibraryChip(str(file))


def _open(native: ctypes.CDLL, path: str) -> None:
    message = ctypes.create_string_buffer(4096)
    failed = native.xbarax_open_functions(
        path.encode(), message, ctypes.c_size_t(ctypes.sizeof(message))
    )
    if not failed:
        return
    text = message.value.decode(errors="replace")
    if missing := [symbol for symbol in SYMBOLS if "does not export" in text and symbol in text]:
        if len(missing) == len(SYMBOLS):
            raise AttributeError(
                f"{path} exports neither xbarax_driver_entry, as a driver does (xbarax/driver.h), "
                f"nor {', '.join(SYMBOLS)}, as libraries of the first xbarax do"
            )
        raise AttributeError(
            f"{path} does not export {', '.join(missing)}; a chip's library exports "
            f"{', '.join(SYMBOLS)}"
        )
    raise OSError(f"{path} cannot be opened: {text}")


def _count_bad(given: Array, made: Array) -> Array:
    """How many entries were given as NaN or infinite, or made so by the library."""
    return jnp.sum(~(jnp.isfinite(given) & jnp.isfinite(made)), dtype=jnp.int32)
