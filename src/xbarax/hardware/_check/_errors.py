"""Checks of what a driver does when it is asked what it cannot do."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from xbarax.hardware._check._arrays import check_reads, check_refusal
from xbarax.hardware._check._bench import Bench
from xbarax.hardware._check._buffers import Buffer, unwritten
from xbarax.hardware._check._device import Device
from xbarax.hardware._check._result import (
    DESCRIBED,
    READS,
    Checklist,
    Failed,
    NotApplicable,
    status_name,
)
from xbarax.hardware._driver import CAPABILITIES, Status

errors = Checklist(*DESCRIBED)

_INVALID = "XBARAX_INVALID_ARGUMENT: an array that cannot be"
_TEXT = "last_error: what went wrong in the last call that failed: text, valid until the next call"


def _calls(bench: Bench, shape: tuple[int, int]) -> dict[str, tuple[Any, ...]]:
    """The arguments, after the array, of all functions that take one and that there are."""
    outputs, inputs = shape
    weights = Buffer(bench.weights(*shape))
    calls = {
        "program": (weights,),
        "read": (2, Buffer(bench.vectors(2, inputs)), unwritten(2, outputs)),
        "read_transposed": (2, Buffer(bench.vectors(2, outputs)), unwritten(2, inputs)),
        "update": (Buffer(np.zeros(shape, np.float32)),),
        "pulse": (Buffer(np.zeros(shape, np.int32)),),
        "read_out": (unwritten(*shape),),
        "release": (),
    }
    return {n: a for n, a in calls.items() if n not in CAPABILITIES or n in bench.said.capabilities}


def _call(device: Device, name: str, array: int, arguments: tuple[Any, ...]) -> int:
    device.kept += [a for a in arguments if isinstance(a, Buffer)]
    given = (a.pointer if isinstance(a, Buffer) else a for a in arguments)
    return device.status(name, array, *given)


def _check_refused(bench: Bench, device: Device, array: int, what: str) -> None:
    """Refuses a device that takes an array that it does not have."""
    for name, arguments in _calls(bench, bench.shape(4, 3)).items():
        status = _call(device, name, array, arguments)
        asked = f"{name} of {what}"
        if status == Status.OK:
            raise Failed(
                asked=asked,
                got="XBARAX_OK",
                advice="look the array's number up, and return XBARAX_INVALID_ARGUMENT if there is "
                "none (any more)",
            )
        check_refusal(device, asked, status)


def _check_usable(bench: Bench, device: Device, array: int, weights: np.ndarray) -> None:
    if bench.failed.intersection(READS):
        return  # it is not these calls' doing
    check_reads(bench, device, array, weights, "read of an array, after calls that were refused")


@errors.add("errors: unknown array", _INVALID)
def _unknown(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(4, 3))
    with bench.device() as device:
        array = device.place(weights)
        _check_refused(bench, device, array ^ 0x7FFF_5A5A_0000, "an array that never was")
        _check_usable(bench, device, array, weights)


@errors.add("errors: released array", _INVALID)
def _released(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(4, 3))
    with bench.device() as device:
        array = device.place(weights)
        device.release(array)
        _check_refused(bench, device, array, "an array that was released")
        again = device.place(weights)
        _check_usable(bench, device, again, weights)


@errors.add("errors: what is not described", "XBARAX_UNSUPPORTED: a capability not described")
def _undescribed(bench: Bench) -> str:
    lacking = [name for name in CAPABILITIES if name not in bench.said.capabilities]
    there = [name for name in lacking if getattr(bench.calls.table, name)]
    if not there:
        raise NotApplicable("the table has no function beyond what is described")
    shape = bench.shape(4, 3)
    weights = bench.weights(*shape)
    with bench.device() as device:
        array = device.place(weights)
        for name in there:
            status = _call(device, name, array, _undescribed_arguments(bench, name, shape))
            if status != Status.UNSUPPORTED:
                raise Failed(
                    asked=f"{name}, which the device does not describe",
                    got=status_name(status),
                    advice="describe the capability, return XBARAX_UNSUPPORTED, or leave the "
                    "function NULL (in Python: do not define it)",
                )
            check_refusal(device, name, status)
        _check_usable(bench, device, array, weights)
    return ", ".join(there)


def _undescribed_arguments(bench: Bench, name: str, shape: tuple[int, int]) -> tuple[Any, ...]:
    outputs, inputs = shape
    if name == "read_transposed":
        return 1, Buffer(bench.vectors(1, outputs)), unwritten(1, inputs)
    if name == "read_out":
        return (unwritten(*shape),)
    kind = np.int32 if name == "pulse" else np.float32
    return (Buffer(np.zeros(shape, kind)),)


@errors.add("errors: text", _TEXT)
def _text(bench: Bench) -> str:
    with bench.device() as device:
        array = device.place(bench.weights(*bench.shape(2, 2)))
        device.release(array)
        status: list[int] = []
        in_thread(lambda: status.append(device.status("release", array)))
        if status[0] == Status.OK:
            raise NotApplicable("no call fails: see `errors: released array`")
        found: list[int | None] = []
        in_thread(lambda: found.append(bench.calls("last_error", device.pointer)))
        (address,) = found
        if address is None:
            raise _silent(status[0], "NULL")
        first = ctypes.string_at(address)
        if not first:
            raise _silent(status[0], 'an empty text, "", in another thread than the call\'s')
        _ = [np.full(1000, 7, np.uint8) for _ in range(200)]  # takes memory that was just freed
        if ctypes.string_at(address) != first:
            raise Failed(
                asked="an error's text, twice, with no call in between",
                got="two texts",
                advice="keep the text in the device, not on the stack",
            )
    return f"for example: {first.decode(errors='replace')!r}"


def _silent(status: int, got: str) -> Failed:
    return Failed(
        asked="release of an array that was released, then last_error",
        got=f"{status_name(status)}, and last_error gave {got}",
        advice="keep a text in each device (not in each thread) wherever a call returns an error",
    )


def in_thread(call: Callable[[], Any]) -> None:
    """Makes a call in a thread of its own; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    worker.join()
    if raised:
        raise raised[0]
