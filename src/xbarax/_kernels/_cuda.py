"""Compiles the native library's GPU kernels, for the NVIDIA GPUs that JAX runs on.

Their text is in the library; NVIDIA's run-time compiler, which JAX brings with it, makes machine
code of it when it is first needed. That takes a second. Without the compiler there is one warning,
and plain JAX is used.
"""

import ctypes
import functools
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from xbarax._kernels import _library

TARGETS = {
    "xbarax_uniform": "XbaraxUniformCuda",
    "xbarax_normal": "XbaraxNormalCuda",
    "xbarax_paired_normal": "XbaraxPairedNormalCuda",
    "xbarax_fold_in": "XbaraxFoldInCuda",
    "xbarax_lif_loop_forward": "XbaraxLifLoopForwardCuda",
    "xbarax_lif_loop_backward": "XbaraxLifLoopBackwardCuda",
}
"""Names under which XLA knows the handlers for GPUs, and the handlers' symbols."""


@functools.cache
def cuda_available() -> bool:
    """Whether kernels run on JAX's default devices, NVIDIA GPUs; warns once if they should."""
    if jax.default_backend() != "gpu" or not _library.available():
        return False
    devices = jax.local_devices()
    if "cuda" not in devices[0].client.platform_version.lower():
        return False  # another maker's
    try:
        _load(_library.library(), devices)
    except (_library.NativeLibraryError, OSError) as error:
        warnings.warn(
            f"xbarax runs without its GPU kernels: {error}. The pure-JAX path is used.",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def _load(library: Any, devices: list[Any]) -> None:
    compiler, texts = _compiler(), _texts(library)
    codes: dict[str, bytes] = {}
    error = ctypes.create_string_buffer(1024)
    for device in devices:
        capability = device.compute_capability.replace(".", "")
        if capability not in codes:
            codes[capability] = _compile(compiler, texts, capability)
        ordinal, size = ctypes.c_int(device.local_hardware_id), ctypes.c_size_t(len(error))
        if library.xbarax_cuda_load(ordinal, codes[capability], error, size):
            raise _library.NativeLibraryError(f"{device}: {error.value.decode()}")
    for name, symbol in TARGETS.items():
        handler = jax.ffi.pycapsule(getattr(library, symbol))
        jax.ffi.register_ffi_target(name, handler, platform="CUDA")


def _texts(library: Any) -> dict[bytes, bytes]:
    """What is compiled, by name; the first includes the others."""
    name_of, text_of = library.xbarax_gpu_text_name, library.xbarax_gpu_text
    name_of.restype = text_of.restype = ctypes.c_char_p
    texts: dict[bytes, bytes] = {}
    while (name := name_of(ctypes.c_size_t(len(texts)))) is not None:
        texts[name] = text_of(ctypes.c_size_t(len(texts)))
    return texts


def _compiler() -> ctypes.CDLL:
    """NVIDIA's run-time compiler."""
    tried: list[str] = []
    for folder in _folders():
        # It looks for these by name alone, and finds them where they are loaded already.
        for builtins in sorted(folder.glob("libnvrtc-builtins.so.*")):
            ctypes.CDLL(str(builtins))
        tried += map(str, sorted(folder.glob("libnvrtc.so.*")))
    for name in [*tried, "libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise _library.NativeLibraryError(
        "NVIDIA's run-time compiler, libnvrtc, was found neither in Python's packages "
        "(nvidia-cuda-nvrtc) nor by the system's loader"
    )


def _folders() -> Iterator[Path]:
    """Where NVIDIA's packages for Python have it, of CUDA 13 and 12."""
    found = importlib.util.find_spec("nvidia")
    for root in (found.submodule_search_locations or []) if found else []:
        for name in ("cu13/lib", "cuda_nvrtc/lib"):
            yield Path(root) / name


def _compile(compiler: Any, texts: dict[bytes, bytes], capability: str) -> bytes:
    """Machine code for a compute capability, "90" for 9.0."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = [
        f"--gpu-architecture=sm_{capability}".encode(),
        b"--std=c++17",
        b"--device-as-default-execution-space",
    ]
    (name, main), *headers = texts.items()
    strings = lambda given: (ctypes.c_char_p * len(given))(*given)
    names, bodies = (strings(column) for column in zip(*headers, strict=True))
    _check(
        compiler,
        compiler.nvrtcCreateProgram(ctypes.byref(program), main, name, len(headers), bodies, names),
    )
    try:
        failed = compiler.nvrtcCompileProgram(program, len(options), strings(options))
        if failed:
            compiler.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            compiler.nvrtcGetProgramLog(program, log)
            why = log.value.decode(errors="replace").strip()
            raise _library.NativeLibraryError(f"the kernels were not compiled: {why}")
        _check(compiler, compiler.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        code = ctypes.create_string_buffer(size.value)
        _check(compiler, compiler.nvrtcGetCUBIN(program, code))
        return code.raw
    finally:
        compiler.nvrtcDestroyProgram(ctypes.byref(program))


def _check(compiler: Any, result: int) -> None:
    if result:
        compiler.nvrtcGetErrorString.restype = ctypes.c_char_p
        why = compiler.nvrtcGetErrorString(result).decode()
        raise _library.NativeLibraryError(f"NVIDIA's run-time compiler failed: {why}")
