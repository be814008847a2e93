"""The chips' libraries that come with the package."""

from pathlib import Path

from xbarax import _kernels


def include_dir() -> Path:
    """The folder to include `xbarax/driver.h` from, the interface that a driver in C implements.

    Raises:
      FileNotFoundError: this installation has none.
    """
    folder = Path(__file__).parent / "include"
    if not (header := folder / "xbarax" / "driver.h").is_file():
        raise FileNotFoundError(f"{header}: this installation lacks its header")
    return folder


def reference_library() -> Path:
    """The path of a library with the notebook's three functions, which computes exactly.

    Raises:
      FileNotFoundError: this installation has none.
      NativeLibraryError: xbarax's own native library, which lies beside it, cannot be used.
    """
    return _find("reference")


def reference_driver() -> Path:
    """The path of the reference driver: a chip that computes exactly, in memory.

    Its source, `native/drivers/reference_driver.c`, is the shortest whole driver there is.

    Raises:
      FileNotFoundError, NativeLibraryError: as for `reference_library`.
    """
    return _find("reference_driver")


def simulated_driver() -> Path:
    """The path of a driver that simulates a chip, with noise, latency and faults on demand.

    Its source, `native/drivers/simulated_driver.c`, says what its configuration holds.

    Raises:
      FileNotFoundError, NativeLibraryError: as for `reference_library`.
    """
    return _find("simulated_driver")


def _find(name: str) -> Path:
    suffix = Path(_kernels.library()._name).suffix
    file = Path(__file__).parent / f"libxbarax_{name}{suffix}"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: this installation lacks its library {name}")
    return file
