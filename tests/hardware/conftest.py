"""Compiles small chip libraries with the C++ compiler that the build needs anyway."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import xbarax as xb
from tests.hardware.driver_bench import Bench, CBench, PythonBench

HERE = Path(__file__).parent


def compile_library(source: Path, target: Path, *flags: str) -> Path:
    compiler = os.environ.get("CXX", "c++")
    subprocess.run(
        [compiler, "-x", "c", "-fPIC", *flags, str(source), "-o", str(target)],
        check=True,
    )
    return target


class Counting:
    """The counting chip's library: its path, and how often it was called."""

    def __init__(self, path: Path):
        self.path = path
        self._library = ctypes.CDLL(str(path))

    def calls(self) -> dict[str, int]:
        library = self._library
        return {
            "mul": library.count_muls(),
            "add": library.count_adds(),
            "write": library.count_writes(),
        }

    def overlaps(self) -> int:
        return self._library.count_overlaps()


@pytest.fixture(scope="session")
def counting(tmp_path_factory) -> Counting:
    target = tmp_path_factory.mktemp("counting") / "libcounting.so"
    return Counting(compile_library(HERE / "counting.c", target, "-shared"))


@pytest.fixture
def make_library(tmp_path):
    """Compiles C text to a shared library, or what other flags make of it."""

    def make(text: str, *flags: str) -> Path:
        source = tmp_path / "chip.c"
        source.write_text(text)
        return compile_library(source, tmp_path / "libchip.so", *(flags or ["-shared"]))

    return make


@pytest.fixture(scope="session")
def counting_driver(tmp_path_factory) -> Path:
    """`counting_driver.c`, compiled."""
    target = tmp_path_factory.mktemp("driver") / "libcounting_driver.so"
    include = f"-I{xb.hardware.include_dir()}"
    return compile_library(HERE / "counting_driver.c", target, "-shared", "-std=gnu99", include)


@pytest.fixture(params=["C", "Python"])
def bench(request) -> Iterator[Bench]:
    """A driver that remembers its calls, in C or in Python."""
    if request.param == "C":
        made: Bench = CBench(request.getfixturevalue("counting_driver"))
    else:
        made = PythonBench()
    made.clear()
    yield made
    made.close()
