"""Drivers in processes of their own: how one is started, and what runs there."""

import ctypes
import json
import sys
from pathlib import Path

from xbarax import _kernels
from xbarax.hardware import _serve
from xbarax.hardware._table import CTable

# As in `native/device/isolated.h`: JSON text has no such character.
_SEPARATOR = "\x1f"


def table() -> CTable:
    """The functions that call a driver in another process."""
    entry = _kernels.library().xbarax_isolated_driver
    entry.restype = ctypes.POINTER(CTable)
    return entry().contents


def launch(driver: str, config: str, deadline: float) -> str:
    """What that table's `open` takes.

    Args:
      driver: a driver's name.
      config: a JSON object as text.
      deadline: how long a call may take, in seconds.

    Raises:
      ValueError: the driver is a class that another process cannot import.
    """
    if driver.startswith("__main__:") or "<locals>" in driver or "#" in driver:
        raise ValueError(
            f"isolated: expected a driver that another process can import, given {driver}: put the "
            "class into a module of its own"
        )
    words = [sys.executable, str(Path(_serve.__file__)), _kernels.library()._name, driver]
    path = json.dumps([str(folder) for folder in sys.path])
    return _SEPARATOR.join([repr(deadline), config, *words, path])
