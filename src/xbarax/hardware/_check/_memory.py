"""Checks of a driver's memory: what it keeps, and what it loses."""

import ctypes
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from xbarax.hardware._check._bench import Bench, product
from xbarax.hardware._check._buffers import Buffer
from xbarax.hardware._check._compare import compare
from xbarax.hardware._check._device import Device
from xbarax.hardware._check._result import DESCRIBED, READS, Checklist, Failed

memory = Checklist(*DESCRIBED)

_BUFFERS = "all buffers are the caller's: they are valid during the call alone"
_TOLERATED = 256 * 1024
"""Bytes by which a process may grow for reasons of its own."""


def _resident() -> int:
    """The process's memory in bytes; where the system does not say, its most so far."""
    gc.collect()
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class _Mallinfo(ctypes.Structure):
    """What glibc says of its memory."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _allocated() -> int:
    """The bytes that `malloc` gave and nobody freed; 0 where the C library does not say."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return 0
    mallinfo.restype = _Mallinfo
    said = mallinfo()
    return int(said.uordblks + said.hblkhd)


def _check_constant(bench: Bench, what: str, turn: Callable[[], None], most: int) -> str:
    """Refuses a process that grows from turn to turn, once it has warmed up."""
    warm = 0
    for _ in bench.repeat(most // 4):
        turn()
        warm += 1
    before = _resident(), _allocated()
    count = 3 * warm
    for _ in range(count):
        turn()
    grown, lost = _resident() - before[0], _allocated() - before[1]
    # Pages that lay about may hide what is lost, and Python takes some of its own.
    if lost > 4 * count and lost > _TOLERATED // 16:
        grown = max(grown, lost)
    elif grown <= _TOLERATED:
        return f"{count:,} times"
    raise Failed(
        asked=f"{what}, {count:,} times",
        got=f"the process grew by {grown / 1024:,.0f} KiB: {grown / count:,.0f} bytes a time",
        advice="free what each call makes; valgrind or AddressSanitizer name the place",
    )


@memory.add("memory: allocate and release", "release gives the room back")
def _cycles(bench: Bench) -> str:
    shape = bench.shape(64, 64)
    with bench.device() as device:
        weights = Buffer(bench.weights(*shape))

        def turn() -> None:
            array = device.allocate(*shape)
            device.must("program", "program", array, weights.pointer)
            device.release(array)

        def small() -> None:
            device.release(device.allocate(1, 1))

        _check_constant(bench, "allocate {}×{}, program, release".format(*shape), turn, 1200)
        return _check_constant(bench, "allocate 1×1, release", small, 16_000)


@memory.add("memory: open and close", "close closes the device, with all its arrays")
def _opens(bench: Bench) -> str:
    weights = Buffer(bench.weights(*bench.shape(64, 64)))

    def turn() -> None:
        with bench.device() as device:
            device.must(
                "program", "program", device.allocate(*weights.given.shape), weights.pointer
            )

    return _check_constant(bench, "open, allocate, program, close", turn, 800)


@memory.add("memory: calls", "calls on an array take no memory that stays")
def _calls(bench: Bench) -> str:
    shape = bench.shape(16, 12)
    names = ["program", "read"]
    names += [n for n in ("read_transposed", "update", "read_out") if n in bench.said.capabilities]
    weights, deltas = Buffer(bench.weights(*shape)), _zeros(*shape)
    forward, back = Buffer(bench.vectors(4, shape[1])), Buffer(bench.vectors(4, shape[0]))
    to_out, to_in = _zeros(4, shape[0]), _zeros(4, shape[1])
    out = _zeros(*shape)
    with bench.device() as device:
        array = device.allocate(*shape)
        arguments = {
            "program": (weights.pointer,),
            "read": (4, forward.pointer, to_out.pointer),
            "read_transposed": (4, back.pointer, to_in.pointer),
            "update": (deltas.pointer,),
            "read_out": (out.pointer,),
        }

        def turn() -> None:
            for name in names:
                device.must(name, name, array, *arguments[name])

        return _check_constant(bench, ", ".join(names), turn, 6000)


@memory.add("buffers: not used after the call", _BUFFERS, READS)
def _after(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(4, 3))
    inputs = bench.vectors(3, weights.shape[1])
    with bench.device() as device:
        array = device.allocate(*weights.shape)
        _forget(device.program(array, weights), np.float32(bench.said.weight_high))
        asked = "program; overwrite the buffer with the weights; read"
        _compare_kept(bench, device, array, weights, inputs, asked)
        read_from, results = device.read_into(array, inputs, None)
        _forget(read_from, np.float32("nan"))
        before = results.numbers
        asked = "read; overwrite the buffer with the inputs; read others"
        _compare_kept(bench, device, array, weights, bench.vectors(3, weights.shape[1]), asked)
        if results.numbers.tobytes() != before.tobytes():
            raise Failed(
                asked="read twice, into two buffers",
                got="the second read wrote into the first one's results",
                advice="forget results when read returns",
            )
        if "update" in bench.said.capabilities:
            deltas = bench.weights(*weights.shape) * np.float32(0)
            _forget(device.update(array, deltas), np.float32("nan"))
            asked = "update by zeros; overwrite the buffer with the deltas; read"
            _compare_kept(bench, device, array, weights, inputs, asked, programmed=2)


def _forget(buffer: Buffer, number: np.float32) -> None:
    buffer.inside[:] = number


def _compare_kept(
    bench: Bench,
    device: Device,
    array: int,
    weights: np.ndarray,
    inputs: np.ndarray,
    asked: str,
    programmed: int = 1,
) -> None:
    high = np.full_like(weights, bench.said.weight_high)
    compare(
        device.read(array, inputs),
        product(weights, inputs),
        bench.allow(weights, inputs, programmed=programmed),
        asked=asked,
        advice="copy what you keep: the pointer is not valid after the call",
        guesses={"like what the buffer held after the call": product(high, inputs)},
    )


@memory.add("buffers: nothing beside them", "a driver writes into its results alone, all of them")
def _beside(bench: Bench) -> str:
    tried = []
    for shape in dict.fromkeys(bench.shape(*s) for s in ((1, 1), (5, 3), (3, 5), (1, 9), (9, 1))):
        weights = bench.weights(*shape)
        for n in (1, 2, 9):
            with bench.device() as device:
                tried = _call_all(bench, device, weights, n)
                asked = "{}×{}, n = {}".format(*shape, n)
                for name, buffer, is_input in tried:
                    _check_buffer(name, buffer, is_input, asked)
    return ", ".join(dict.fromkeys(name for name, _, _ in tried))


def _call_all(
    bench: Bench, device: Device, weights: np.ndarray, n: int
) -> list[tuple[str, Buffer, bool]]:
    """Calls all that there is; the buffers of each, and whether they are inputs."""
    array = device.allocate(*weights.shape)
    used = [("program", device.program(array, weights), True)]
    can = bench.said.capabilities
    for name in ["read"] + [c for c in ("read_transposed",) if c in can]:
        size = weights.shape[0 if name == "read_transposed" else 1]
        given, results = device.read_into(array, bench.vectors(n, size), None, name)
        used += [(name, given, True), (name, results, False)]
    if "update" in can:
        used.append(("update", device.update(array, np.zeros_like(weights)), True))
    if "pulse" in can:
        used.append(("pulse", device.pulse(array, np.zeros(weights.shape, np.int32)), True))
    if "read_out" in can:
        device.read_out(array)
        used.append(("read_out", device.kept[-1], False))
    return used


def _check_buffer(name: str, buffer: Buffer, is_input: bool, asked: str) -> None:
    which = "inputs" if is_input else "results"
    if found := buffer.overrun():
        raise Failed(
            asked=f"{name}, {asked}",
            got=f"wrote {found} of its {which}",
            contract="all buffers are the caller's, and as large as their brackets say",
            advice=f"check the bounds of the loops in {name}: n, outputs, inputs",
        )
    if is_input and (count := buffer.changed()):
        raise Failed(
            asked=f"{name}, {asked}",
            got=f"{count} of the {buffer.given.size} numbers it was given have changed",
            contract="inputs, weights, deltas and pulses are const",
            advice="scale or round a copy",
        )


def _zeros(*shape: int) -> Buffer:
    return Buffer(np.zeros(shape, np.float32))
