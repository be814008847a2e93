"""Refuses to compile calls into drivers for anything but the CPU, where drivers are."""

from collections.abc import Iterable
from typing import Any

from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir


def on_cpu(handle: Array, chip: Any) -> Array:
    """The same handle, in programs for the CPU; others are not compiled.

    Args:
      handle: any array.
      chip: the chip that its driver's errors name.
    """
    return _on_cpu.bind(handle, chip=chip)


def _run(handle: Array, *, chip: Any) -> Array:
    _refuse_others({device.platform for device in handle.devices()}, chip)
    return handle


def _lower(context: Any, handle: Any, *, chip: Any) -> list[Any]:
    _refuse_others(context.module_context.platforms, chip)
    return [handle]


def _refuse_others(platforms: Iterable[str], chip: Any) -> None:
    if others := sorted(set(platforms) - {"cpu"}):
        raise ValueError(
            f"{chip!r}: a chip's driver works on the CPU, but this program is compiled for "
            f"{', '.join(others)}: run it with jax.default_device(jax.devices('cpu')[0]), or with "
            "JAX_PLATFORMS=cpu"
        )


_on_cpu = Primitive("on_cpu")
_on_cpu.def_impl(_run)
_on_cpu.def_abstract_eval(lambda handle, chip: handle)
batching.defvectorized(_on_cpu)
mlir.register_lowering(_on_cpu, _lower)
