"""The program that runs a driver in a process of its own.

It is run as a file, so that a driver in C starts without Python's packages.

Usage: _serve.py NATIVE_LIBRARY DRIVER SYS_PATH
"""

import ctypes
import json
import os
import signal
import sys


def main() -> None:
    """Serves the driver until xbarax closes it."""
    native, driver, path = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which closes us
    sys.path[:] = json.loads(path)
    serve = ctypes.CDLL(native).xbarax_serve_driver
    try:
        table = _table(driver)
    except Exception as error:
        serve(None, f"{type(error).__name__}: {error}".encode(errors="replace"))
    else:
        serve(table, b"")


def _table(driver: str) -> ctypes.c_void_p:
    if not os.path.isabs(driver):
        from xbarax.hardware import _sources

        return ctypes.cast(ctypes.pointer(_sources.table_of(driver)), ctypes.c_void_p)
    entry = ctypes.CDLL(driver).xbarax_driver_entry
    entry.restype = ctypes.c_void_p
    address = entry()
    if address is None:
        raise RuntimeError(f"{driver}: xbarax_driver_entry returned no table")
    return ctypes.c_void_p(address)


if __name__ == "__main__":
    main()
