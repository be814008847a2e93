"""Opens chips."""

import atexit
import contextlib
import json
import os
import threading
import warnings
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import jax

from xbarax.hardware import _functions, _isolated, _lifetimes, _native, _record, _sources
from xbarax.hardware._driver import CAPABILITIES, AbstractDriver, DriverError
from xbarax.hardware._driver_chip import DriverChip
from xbarax.hardware._functions import FunctionLibraryChip
from xbarax.hardware._table import CTable

# What stands for a capability that a device lacks.
_EMULATION = {
    "read_transposed": "reads back are computed from the weights that are read out",
    "update": "an update reads out, adds and programs",
    "read_out": "what is read out are the weights that were asked for last",
}

_open_chips: set[DriverChip] = set()

# Threads that load one chip at the same time must not open its device twice.
_opening = threading.RLock()


class EmulationWarning(UserWarning):
    """A chip lacks something, which xbarax does from what it has."""


def load(
    driver: str | PathLike | type[AbstractDriver],
    *,
    config: dict[str, Any] | None = None,
    isolated: bool = False,
    deadline: float = 60.0,
    record: str | PathLike | None = None,
) -> DriverChip | FunctionLibraryChip:
    """Opens a chip.

    Args:
      driver: the file of a shared library that exports `xbarax_driver_entry`
        (`xbarax/driver.h`), or the three functions of the first xbarax; a subclass of
        `xbarax.hardware.AbstractDriver`; or `module:Class`, where to import one.
      config: what the driver's `open` gets, a dictionary of what JSON can hold; None: nothing.
      isolated: whether to run the driver in a process of its own. If it crashes or hangs, the
        program gets an exception, and `xbarax.hardware.recover` starts it again.
      deadline: how long a call may take there, in seconds. Opening the device may take 60 s
        whatever it is.
      record: a file to record all calls to, with their data: see `xbarax.hardware.replay`.

    Returns:
      A chip for `xbarax.MemristiveCrossbarArray(weights, chip=…)`, on CPU. Loading the same with
      the same arguments gives the same chip, which stays open until `xbarax.hardware.close`; one
      that was lost is opened again.

    Raises:
      FileNotFoundError, IsADirectoryError: there is no such file.
      OSError: the file is not a shared library for this machine; the recording cannot be made.
      FileExistsError: there is a file where the recording should go.
      AttributeError: a function is missing; the message names it.
      ImportError, TypeError: there is no such class, or it is no driver.
      ValueError: a configuration that JSON cannot hold, a deadline that is not above 0.
      DriverError: the driver is of another version, its device does not open, or says of itself
        what cannot be.
      NativeLibraryError: xbarax's own native library, which makes the calls, cannot be used.
    """
    options = _options(config, isolated, deadline, record)
    name = _sources.name_of(driver)
    if _sources.is_driver(name):
        return open_chip(name, *options)
    if options != _options(None, False, 60.0, None):
        raise ValueError(
            f"{name} does not export {_sources.ENTRY}, the entry of a driver, which config, "
            "isolated, deadline and record are for"
        )
    return _functions.load(Path(name))


def open_chip(
    driver: str, config: str, isolated: bool, deadline: float, record: str | None
) -> DriverChip:
    """Opens the device of a chip with these fields, and returns the chip."""
    chip = DriverChip(driver, config, isolated, deadline, record)
    with _opening:
        if chip in _open_chips:
            with _named(chip):
                _native.open_if_lost(chip.name)
            return chip
        _open(chip)
        _open_chips.add(chip)
    _tell_emulations(chip)
    return chip


def _open(chip: DriverChip) -> None:
    if (platform := jax.default_backend()) != "cpu" and not _cpu_is_default():
        raise ValueError(
            f"a chip's driver works on the CPU, but JAX computes on {platform} here: use "
            'jax.config.update("jax_default_device", jax.devices("cpu")[0]), or JAX_PLATFORMS=cpu'
        )
    with _named(chip), _record.recorded(chip, *_table_of(chip)) as (table, config):
        _native.open_device(chip.name, table, config)


@contextlib.contextmanager
def _named(chip: DriverChip) -> Iterator[None]:
    """Says which driver it was that did not open: before it has, it has no name."""
    try:
        yield
    except DriverError as error:
        raise DriverError(f"{chip.driver}: {error}", error.status) from error.__cause__


def _table_of(chip: DriverChip) -> tuple[CTable, str]:
    """The functions that open and serve the chip's device, and what they open it with."""
    if chip.isolated:
        return _isolated.table(), _isolated.launch(chip.driver, chip.config, chip.deadline)
    return _sources.table_of(chip.driver), chip.config


def close(chip: DriverChip) -> None:
    """Closes a chip's device, after all programs that run; its arrays are gone.

    Devices that are open when the process ends are closed then.

    Raises:
      TypeError: no chip behind a driver.
    """
    if not isinstance(chip, DriverChip):
        raise TypeError(f"close: expected a chip behind a driver, given {chip!r}")
    _lifetimes.wait_for_programs()
    _native.close_device(chip.name)
    _open_chips.discard(chip)


@atexit.register
def close_all() -> None:
    """Closes all devices."""
    for chip in list(_open_chips):
        close(chip)


def _options(
    config: dict[str, Any] | None, isolated: bool, deadline: float, record: str | PathLike | None
) -> tuple[str, bool, float, str | None]:
    """The fields of a chip, checked."""
    given = {} if config is None else config
    if not isinstance(given, dict):
        raise TypeError(f"config: expected a dictionary or None, given {given!r}")
    try:
        text = json.dumps(given, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config: expected what JSON can hold, given {given!r}: {error}") from None
    if not isinstance(isolated, bool):
        raise TypeError(f"isolated: expected True or False, given {isolated!r}")
    if not (isinstance(deadline, int | float) and 0 < deadline < float("inf")):
        raise ValueError(f"deadline: expected seconds above 0, given {deadline!r}")
    path = None if record is None else os.path.abspath(os.path.expanduser(os.fspath(record)))
    return text, isolated, float(deadline), path


def _cpu_is_default() -> bool:
    device = jax.config.values["jax_default_device"]
    return device == "cpu" or getattr(device, "platform", None) == "cpu"


def _tell_emulations(chip: DriverChip) -> None:
    said = chip.description
    missing = [name for name in CAPABILITIES if name not in said.capabilities]
    told = [f"{name} ({_EMULATION[name]})" for name in missing if name in _EMULATION]
    if told:
        warnings.warn(f"{said.name} lacks {'; '.join(told)}", EmulationWarning, stacklevel=4)
