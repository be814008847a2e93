"""What finds and compiles GPU kernels, where there is no GPU."""

import ctypes
import warnings
from pathlib import Path

import jax
import pytest

from xbarax import _kernels
from xbarax._kernels import _cuda, _library

NATIVE = Path(__file__).parents[2] / "native"


class Gpu:
    """As much of a device as is asked for."""

    compute_capability = "9.0"
    local_hardware_id = 0

    class client:
        platform_version = "PJRT C API\ncuda 13000"


@pytest.fixture
def a_gpu(monkeypatch):
    _library.library()  # tests put others in the place of what loads it
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [Gpu])


def asked_anew():
    """Not what was found before."""
    return _cuda.cuda_available.__wrapped__()


def test_a_cpu_is_asked_for_nothing():
    with warnings.catch_warnings(action="error"):
        assert not _kernels.cuda_available()


def test_the_library_has_what_is_compiled():
    texts = _cuda._texts(_library.library())
    assert next(iter(texts)) == b"gpu/kernels.cu"
    for name, text in texts.items():
        assert text.decode() == (NATIVE / name.decode()).read_text()
    included = {
        line.split('"')[1].encode()
        for text in texts.values()
        for line in text.decode().splitlines()
        if line.startswith("#include")
    }
    assert included == set(texts) - {b"gpu/kernels.cu"}


def test_without_a_compiler_there_is_a_warning_and_plain_jax(a_gpu, monkeypatch):
    monkeypatch.setattr(_cuda, "_folders", lambda: iter(()))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: _raise(OSError(name)))
    monkeypatch.setattr(_library, "library", lambda: None)
    with pytest.warns(RuntimeWarning, match=r"without its GPU kernels: .*libnvrtc, was found"):
        assert not asked_anew()


def test_a_device_that_takes_no_code_is_named(a_gpu, monkeypatch):
    """No machine has a device of that number, with a driver or without."""
    monkeypatch.setattr(Gpu, "local_hardware_id", 10**6)
    monkeypatch.setattr(_cuda, "_compiler", lambda: None)
    monkeypatch.setattr(_cuda, "_compile", lambda *given: b"no code")
    with pytest.warns(RuntimeWarning, match=r"class 'tests.kernels.test_cuda.Gpu'>: .*cu"):
        assert not asked_anew()


def test_other_makers_gpus_are_left_to_jax(a_gpu, monkeypatch):
    monkeypatch.setattr(Gpu.client, "platform_version", "rocm 70000")
    with warnings.catch_warnings(action="error"):
        assert not asked_anew()


class Compiler:
    """One that finds an error."""

    nvrtcCreateProgram = nvrtcDestroyProgram = staticmethod(lambda *given: 0)
    nvrtcCompileProgram = staticmethod(lambda *given: 6)

    @staticmethod
    def nvrtcGetProgramLogSize(program, size):  # noqa: N802, NVIDIA's name
        size._obj.value = 20

    @staticmethod
    def nvrtcGetProgramLog(program, log):  # noqa: N802
        log.value = b"line 3: no such\n"


def test_what_the_compiler_says_is_told(a_gpu, monkeypatch):
    monkeypatch.setattr(_cuda, "_compiler", Compiler)
    with pytest.warns(RuntimeWarning, match="were not compiled: line 3: no such. The pure-JAX"):
        assert not asked_anew()


def _raise(error):
    raise error
