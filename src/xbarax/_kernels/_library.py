"""Finds, checks, loads and registers the native library.

Nothing here runs at import: the library is loaded when a kernel is first asked for. A library that
is missing, broken or built for a newer FFI than the running jaxlib's never reaches XLA, which
would otherwise lose its whole CPU backend; there is one warning, and the pure-JAX path is used.
"""

import ctypes
import functools
import re
import sys
import warnings
from pathlib import Path

import jax

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
NAME = f"libxbarax_native{_SUFFIX}"

TARGETS = {
    "xbarax_read": "XbaraxRead",
    "xbarax_read_transposed": "XbaraxReadTransposed",
    "xbarax_analog_read": "XbaraxAnalogRead",
    "xbarax_update": "XbaraxUpdate",
    "xbarax_pulse": "XbaraxPulse",
    "xbarax_pulse_changes": "XbaraxPulseChanges",
    "xbarax_pulse_restart": "XbaraxPulseRestart",
    "xbarax_uniform": "XbaraxUniform",
    "xbarax_normal": "XbaraxNormal",
    "xbarax_paired_normal": "XbaraxPairedNormal",
    "xbarax_fold_in": "XbaraxFoldIn",
    "xbarax_split": "XbaraxSplit",
    "xbarax_effective_conductance_f32": "XbaraxEffectiveConductanceF32",
    "xbarax_effective_conductance_f64": "XbaraxEffectiveConductanceF64",
    "xbarax_pull_effective_conductance_f32": "XbaraxPullEffectiveConductanceF32",
    "xbarax_pull_effective_conductance_f64": "XbaraxPullEffectiveConductanceF64",
    "xbarax_cell_currents_f32": "XbaraxCellCurrentsF32",
    "xbarax_cell_currents_f64": "XbaraxCellCurrentsF64",
    "xbarax_lif_forward": "XbaraxLifForward",
    "xbarax_lif_backward": "XbaraxLifBackward",
    "xbarax_lif_loop_forward": "XbaraxLifLoopForward",
    "xbarax_lif_loop_backward": "XbaraxLifLoopBackward",
    "xbarax_functions_mul": "XbaraxFunctionsMul",
    "xbarax_functions_add": "XbaraxFunctionsAdd",
    "xbarax_functions_write": "XbaraxFunctionsWrite",
    "xbarax_device_program": "XbaraxDeviceProgram",
    "xbarax_device_update": "XbaraxDeviceUpdate",
    "xbarax_device_pulse": "XbaraxDevicePulse",
    "xbarax_device_read": "XbaraxDeviceRead",
    "xbarax_device_read_transposed": "XbaraxDeviceReadTransposed",
    "xbarax_device_read_out": "XbaraxDeviceReadOut",
    "xbarax_device_after": "XbaraxDeviceAfter",
}
"""Names under which XLA knows the handlers, and the handlers' symbols."""


class NativeLibraryError(RuntimeError):
    """The native library cannot be used; the message says why."""


def find(folders: list[str]) -> Path:
    """The library's path in the first of `folders` that has it."""
    for folder in folders:
        if (path := Path(folder) / NAME).is_file():
            return path
    raise NativeLibraryError(f"{NAME} was not found in {', '.join(folders)}")


def running_ffi_version() -> tuple[int, int]:
    """The FFI version (major, minor) of the running jaxlib, from the header that it ships."""
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    try:
        text = header.read_text()
    except OSError as error:
        raise NativeLibraryError(f"the running jaxlib's FFI version is unknown: {error}") from error
    found = [re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR")]
    if not all(found):
        raise NativeLibraryError(f"{header} states no FFI version")
    major, minor = (int(match[1]) for match in found if match)
    return major, minor


def load(path: Path) -> ctypes.CDLL:
    """Loads the library at `path`, and registers its handlers if its version fits."""
    try:
        library = ctypes.CDLL(str(path))
        built = (library.xbarax_ffi_api_major(), library.xbarax_ffi_api_minor())
        handlers = {name: getattr(library, symbol) for name, symbol in TARGETS.items()}
    except (OSError, AttributeError) as error:
        raise NativeLibraryError(f"{path} cannot be loaded: {error}") from error
    running = running_ffi_version()
    if built[0] != running[0] or built[1] > running[1]:
        raise NativeLibraryError(
            f"{path} was built for XLA FFI {built[0]}.{built[1]}, the running jaxlib has "
            f"{running[0]}.{running[1]}; an equal or newer minor version is needed: update jaxlib "
            "or build xbarax against this one"
        )
    for name, handler in handlers.items():
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
    return library


@functools.cache
def _load_once() -> ctypes.CDLL | NativeLibraryError:
    from xbarax import _kernels

    try:
        return load(find(list(_kernels.__path__)))
    except NativeLibraryError as error:
        return error


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        f"xbarax runs without its native kernels: {_load_once()}. The pure-JAX path is used.",
        RuntimeWarning,
        stacklevel=2,
    )


def available() -> bool:
    """Whether the native library is loaded; warns once if it cannot be."""
    if isinstance(_load_once(), NativeLibraryError):
        _warn_once()
        return False
    return True


def library() -> ctypes.CDLL:
    """The loaded library.

    Raises:
      NativeLibraryError: it cannot be used.
    """
    loaded = _load_once()
    if isinstance(loaded, NativeLibraryError):
        raise NativeLibraryError(str(loaded))
    return loaded
