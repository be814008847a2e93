"""A native library that is missing, broken or too new stops nobody, and never reaches XLA.

Each case is a process of its own, since a library is looked for once.
"""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import xbarax as xb
from xbarax import _kernels
from xbarax._kernels import _library

# What a process does that finds a bad library: what it printed is the result.
PROGRAM = """
import json, warnings

with warnings.catch_warnings(record=True) as at_import:
    warnings.simplefilter("always")
    import xbarax as xb

import jax
import numpy as np

from xbarax import _kernels
from xbarax._kernels import _library

_kernels.__path__ = [{folder!r}]
{prepare}

registered = []
jax.ffi.register_ffi_target = lambda name, *args, **kwargs: registered.append(name)

weights, x = np.arange(15, dtype=np.float32).reshape(3, 5), np.ones(5, np.float32)
with warnings.catch_warnings(record=True) as at_use:
    warnings.simplefilter("always")
    w = xb.MemristiveCrossbarArray(weights)
    results = [w @ x, jax.jit(lambda w: w @ x)(w), xb.readout(w + weights) @ x, w.T @ x[:3]]
    gradient = jax.grad(lambda w: (w @ x).sum())(w)

native = xb.MemristiveCrossbarArray(weights, xb.Chip(implementation="native"))
try:
    native @ x
    error = None
except _kernels.NativeLibraryError as given:
    error = str(given)

print(json.dumps({{
    "warnings at import": [str(w.message) for w in at_import],
    "warnings at use": [[w.category.__name__, str(w.message)] for w in at_use],
    "results": [np.asarray(r).tolist() for r in results],
    "gradient": np.asarray(gradient).tolist(),
    "error": error,
    "registered": registered,
    "XLA still works": float(jax.jit(lambda x: x.sum())(x)),
}}))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What a process says that finds the bad library of a case."""

    @functools.cache
    def run(case):
        folder = tmp_path_factory.mktemp(case.__name__)
        program = PROGRAM.format(folder=str(folder), prepare=case(folder) or "")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return {"folder": str(folder), **json.loads(done.stdout)}

    return run


def the_library():
    return Path(_kernels.library()._name)


def missing(folder):
    pass


def no_library(folder):
    (folder / _library.NAME).write_text("this is no library")


def truncated(folder):
    (folder / _library.NAME).write_bytes(the_library().read_bytes()[:60])


def another_library(folder):
    shutil.copy(xb.hardware.reference_library(), folder / _library.NAME)


def too_new(folder):
    shutil.copy(the_library(), folder)
    major, minor = built()
    return f"_library.running_ffi_version = lambda: ({major}, {minor - 1})"


def built():
    """The FFI version that the library in use was built with."""
    library = _kernels.library()
    return library.xbarax_ffi_api_major(), library.xbarax_ffi_api_minor()


BAD = {
    missing: "was not found in",
    no_library: "cannot be loaded",
    truncated: "cannot be loaded",
    another_library: "cannot be loaded",
    too_new: "was built for XLA FFI",
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.__name__)
def test_a_bad_library_is_one_warning(case, outcome):
    seen = outcome(case)
    assert seen["warnings at import"] == []
    ((category, message),) = seen["warnings at use"]
    assert category == "RuntimeWarning"
    assert message.startswith("xbarax runs without its native kernels: ")
    assert message.endswith("The pure-JAX path is used.")
    assert BAD[case] in message and seen["folder"] in message


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.__name__)
def test_a_bad_library_leaves_the_jax_path(case, outcome):
    seen = outcome(case)
    assert seen["registered"] == []
    assert seen["results"] == [[10, 35, 60], [10, 35, 60], [20, 70, 120], [15, 18, 21, 24, 27]]
    assert seen["gradient"] == [[1] * 5] * 3
    assert seen["XLA still works"] == 5


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.__name__)
def test_native_kernels_that_were_asked_for_are_an_error(case, outcome):
    seen = outcome(case)
    assert BAD[case] in seen["error"] and seen["folder"] in seen["error"]


def test_a_library_for_a_newer_ffi_names_both_versions(outcome):
    error = outcome(too_new)["error"]
    major, minor = built()
    assert f"was built for XLA FFI {major}.{minor}" in error
    assert f"the running jaxlib has {major}.{minor - 1}" in error
    assert "update jaxlib or build xbarax against this one" in error


def test_the_library_fits_the_running_jaxlib():
    (major, minor), running = built(), _library.running_ffi_version()
    assert major == running[0] and minor <= running[1]


@pytest.fixture
def registered(monkeypatch):
    """The names that `load` registers with XLA, which it does not really do."""
    names = []
    register = lambda name, *args, **kwargs: names.append(name)
    monkeypatch.setattr(jax.ffi, "register_ffi_target", register)
    return names


def test_a_library_for_an_older_ffi_is_taken(monkeypatch, registered):
    major, minor = built()
    monkeypatch.setattr(_library, "running_ffi_version", lambda: (major, minor + 1))
    _library.load(the_library())
    assert set(registered) == set(_library.TARGETS)


def test_a_library_for_another_major_version_is_refused(monkeypatch, registered):
    major, minor = built()
    for other in (major - 1, major + 1):
        monkeypatch.setattr(_library, "running_ffi_version", lambda other=other: (other, minor))
        with pytest.raises(
            _kernels.NativeLibraryError, match=f"running jaxlib has {other}.{minor}"
        ):
            _library.load(the_library())
    assert registered == []


def test_a_jaxlib_that_states_no_version_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(jax.ffi, "include_dir", lambda: str(tmp_path))
    with pytest.raises(_kernels.NativeLibraryError, match="FFI version is unknown: .*c_api.h"):
        _library.running_ffi_version()
    header = tmp_path / "xla" / "ffi" / "api" / "c_api.h"
    header.parent.mkdir(parents=True)
    header.write_text("#define XLA_FFI_API_MAJOR 0\n")
    with pytest.raises(_kernels.NativeLibraryError, match="c_api.h states no FFI version"):
        _library.running_ffi_version()
    header.write_text("#define XLA_FFI_API_MAJOR 3\n#define XLA_FFI_API_MINOR 14\n")
    assert _library.running_ffi_version() == (3, 14)


def test_exports_all_handlers():
    library = _kernels.library()
    for symbol in _library.TARGETS.values():
        assert getattr(library, symbol)
