"""Where drivers come from: shared libraries and Python classes, found, named and opened.

A driver's name is the absolute path of its library, or `module:Class`: what a process needs to find
it again.
"""

import ctypes
import importlib
import itertools
import os
from os import PathLike
from pathlib import Path
from typing import Any

from xbarax.hardware import _elf
from xbarax.hardware._c_driver import CDriver
from xbarax.hardware._driver import AbstractDriver, DriverError
from xbarax.hardware._python_table import PythonTable
from xbarax.hardware._table import CTable

ENTRY = "xbarax_driver_entry"
"""What a driver's library exports."""

# Classes that were given as such, which need no import, and may not have a module to import.
_classes: dict[str, type[AbstractDriver]] = {}

# Tables must outlive the devices that are opened with them.
_tables: dict[type[AbstractDriver], PythonTable] = {}


def name_of(driver: str | PathLike | type[AbstractDriver]) -> str:
    """The name of what was given: a file's path, `module:Class`, or a class.

    Raises:
      FileNotFoundError, IsADirectoryError: there is no such file.
      OSError: the file is not a shared library for this machine.
      TypeError: a class that is no driver.
    """
    if isinstance(driver, type):
        if not issubclass(driver, AbstractDriver):
            raise TypeError(
                f"driver: expected a path or a subclass of AbstractDriver, given {driver!r}"
            )
        return _name_of_class(driver)
    given = os.fspath(driver)
    if ":" in given and not Path(given).exists():
        return given
    file = find_file(Path(given).expanduser())
    _elf.check(file)
    return str(file)


def _name_of_class(driver: type[AbstractDriver]) -> str:
    """`module:Class`, with a number where other classes of that name were given before.

    So it is in a notebook where a cell ran again: arrays of the earlier class stay with it.
    """
    name = first = f"{driver.__module__}:{driver.__qualname__}"
    for number in itertools.count(2):
        if _classes.setdefault(name, driver) is driver:
            break
        name = f"{first}#{number}"
    return name


def find_file(given: Path) -> Path:
    """The absolute path of a file, without links; messages name what was given."""
    file = Path(os.path.realpath(given))  # unlike Path.resolve, also for links in a circle
    if file.is_dir():
        raise IsADirectoryError(f"{given} is a directory; expected a chip's shared library, a file")
    if file.is_file():
        return file
    where = f" ({given} is a link to {file})" if given.is_symlink() else ""
    raise FileNotFoundError(f"{given}: no such file; expected a chip's shared library{where}")


def is_driver(name: str) -> bool:
    """Whether `name` is a driver's, not that of a library of the notebook's generation.

    Libraries are looked at, not loaded: what they do then must not happen here if they are to be
    isolated.
    """
    return not os.path.isabs(name) or ENTRY.encode() + b"\0" in Path(name).read_bytes()


def class_of(name: str) -> type[AbstractDriver]:
    """The driver that `module:Class` names.

    Raises:
      ImportError: there is no such module or class.
      TypeError: it is no driver.
    """
    if name in _classes:
        return _classes[name]
    module, _, path = name.partition("#")[0].partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        if not hasattr(found, part):
            raise ImportError(f"{name}: {found!r} has no {part}")
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, AbstractDriver)):
        raise TypeError(f"{name}: expected a subclass of AbstractDriver, given {found!r}")
    return found


def table_of(name: str) -> CTable:
    """A driver's functions.

    Raises:
      AttributeError, DriverError: a library that has no entry, or one that returns no table.
      ImportError, TypeError: no such class.
    """
    if os.path.isabs(name):
        entry = getattr(ctypes.CDLL(name), ENTRY)
        entry.restype = ctypes.POINTER(CTable)
        address = entry()
        if not address:
            raise DriverError(f"{name}: {ENTRY} returned no table")
        return address.contents
    made = class_of(name)
    if made not in _tables:
        _tables[made] = PythonTable(made)
    return _tables[made].table


def open_driver(name: str, config: str) -> AbstractDriver:
    """A driver's device as a Python object, whichever language the driver is in.

    Args:
      name: the driver's name.
      config: a JSON object as text.

    Raises:
      DriverError: it does not open.
    """
    return CDriver(table_of(name), config)
