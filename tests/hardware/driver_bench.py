"""Drivers that remember their calls, in C and in Python, behind one interface for tests."""

import abc
import collections
import contextlib
import ctypes
import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import xbarax as xb
from tests.hardware.python_chip import KINDS, Call, PythonChip
from tests.hardware.python_chip import MOST_ARRAYS as MOST_ARRAYS

ALL = 15
"""Every capability: `config={"can": ALL}`; read_transposed 1, update 2, pulse 4, read_out 8."""


class Bench(abc.ABC):
    """A driver, what it was asked, and what it is to do wrong."""

    def __init__(self):
        self._opened = contextlib.ExitStack()

    driver: Any

    @property
    def name(self) -> str:
        """What another process can load."""
        if isinstance(self.driver, type):
            return f"{self.driver.__module__}:{self.driver.__qualname__}"
        return str(self.driver)

    def load(self, **config: Any) -> xb.hardware.DriverChip:
        """Opens the device for one test, whose arrays are to be the only ones."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xb.hardware.EmulationWarning)
            chip = xb.hardware.load(self.driver, config=config)
        self._opened.callback(xb.hardware.close, chip)
        return chip

    def close(self) -> None:
        self._opened.close()
        self.clear()

    def expect(self, function: Callable, *args: Any, **calls: Any) -> Any:
        """Runs a function, and compares the numbers of calls by name; `n` lists reads' vectors."""
        vectors = calls.pop("n", None)
        jax.effects_barrier()
        before = len(self.calls())
        result = function(*args)
        del function, args  # which may hold arrays
        arrays = jax.tree.leaves(result)
        plain = [leaf for leaf in arrays if not isinstance(leaf, xb.MemristiveCrossbarArray)]
        jax.block_until_ready(plain)
        jax.effects_barrier()
        made = self.calls()[before:]
        assert collections.Counter(call.name for call in made) == calls
        if vectors is not None:
            assert [call.n for call in made if call.name.startswith("read")] == vectors
        return result

    @abc.abstractmethod
    def calls(self) -> list[Call]:
        """All calls since the last `clear`."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Forgets calls, failures and delays."""

    @abc.abstractmethod
    def fail(self, name: str, after: int = 0) -> None:
        """Has the call of that name fail that comes after `after` others: "the bench tripped"."""

    @abc.abstractmethod
    def delay(self, seconds: float) -> None:
        """Makes each read take so long."""

    @abc.abstractmethod
    def living(self) -> int:
        """How many arrays there are on the chip."""

    @abc.abstractmethod
    def overlaps(self) -> int:
        """How many calls came while another was being made."""


class CBench(Bench):
    """`counting_driver.c`, compiled."""

    class _Entry(ctypes.Structure):
        _fields_ = (
            ("kind", ctypes.c_int32),
            ("n", ctypes.c_uint32),
            ("array", ctypes.c_uint64),
        )

    def __init__(self, path: Path):
        super().__init__()
        self.driver = path
        self._library = ctypes.CDLL(str(path))
        self._library.counting_entry.restype = ctypes.POINTER(self._Entry)

    def calls(self):
        library = self._library
        entries = library.counting_entry(0)[: library.counting_entries()]
        return [Call(KINDS[entry.kind], entry.array, entry.n) for entry in entries]

    def clear(self):
        self._library.counting_clear()

    def fail(self, name, after=0):
        self._library.counting_fail(
            KINDS.index(name), after, xb.hardware._driver.Status.DEVICE_ERROR
        )

    def delay(self, seconds):
        self._library.counting_delay(ctypes.c_double(seconds))

    def living(self):
        return self._library.counting_living()

    def overlaps(self):
        return self._library.counting_overlaps()


class PythonBench(Bench):
    """`PythonChip`."""

    driver = PythonChip

    def calls(self):
        return list(PythonChip.calls)

    def clear(self):
        PythonChip.calls.clear()
        PythonChip.fault, PythonChip.delay = None, 0.0

    def fail(self, name, after=0):
        PythonChip.fault = (name, after, RuntimeError("the bench tripped"))

    def delay(self, seconds):
        PythonChip.delay = seconds

    def living(self):
        return len(PythonChip.living)

    def overlaps(self):
        return PythonChip.overlaps


def settled(bench: Bench, chip: xb.hardware.DriverChip) -> int:
    """How many arrays are on the chip once those that are due were given back."""
    gc.collect()
    probe = xb.MemristiveCrossbarArray(np.zeros((1, 1), np.float32), chip)
    living = bench.living() - 1
    del probe
    return living


def run_python(
    script: str, *arguments: Any, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own, which finds the drivers of these tests."""
    with start_python("-c", script, *map(str, arguments), **environment) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts such a process."""
    path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
    variables = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        **environment,
    }
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
