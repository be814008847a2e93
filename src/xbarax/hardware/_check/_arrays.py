"""Checks of arrays: allocating, releasing, their number and sizes."""

import numpy as np

from xbarax.hardware._check._bench import Bench, product
from xbarax.hardware._check._compare import compare, transposed_guesses
from xbarax.hardware._check._device import Device
from xbarax.hardware._check._result import (
    DESCRIBED,
    READS,
    Checklist,
    Failed,
    NotApplicable,
    status_name,
)
from xbarax.hardware._driver import Status

arrays = Checklist(*DESCRIBED, *READS)

_LARGEST = 4_000_000
"""The most weights to try at once."""

_NO_SPACE = "XBARAX_NO_SPACE: the chip has no room for another array of this size"


def check_reads(bench: Bench, device: Device, array: int, weights: np.ndarray, asked: str) -> None:
    """Refuses an array that does not read as its weights say."""
    inputs = bench.vectors(2, weights.shape[1])
    compare(
        device.read(array, inputs),
        product(weights, inputs),
        bench.allow(weights, inputs),
        asked=asked,
        advice="compute addresses from the array's own outputs and inputs",
        guesses=transposed_guesses(weights, inputs),
    )


@arrays.add("allocate: shapes", "an array may have any size from 1×1 to max_outputs×max_inputs")
def _shapes(bench: Bench) -> str:
    said = bench.said
    wanted = [(1, 1), (1, said.max_inputs), (said.max_outputs, 1), (7, 5), (2, 33), (64, 3)]
    shapes = dict.fromkeys(bench.shape(min(o, 300), min(i, 300)) for o, i in wanted)
    with bench.device() as device:
        for shape in shapes:
            weights = bench.weights(*shape)
            array = device.place(weights)
            asked = f"allocate {shape[0]}×{shape[1]}, program, read 2 vectors"
            check_reads(bench, device, array, weights, asked)
            device.release(array)
    return ", ".join(f"{o}×{i}" for o, i in shapes)


@arrays.add("allocate: the largest", "max_outputs and max_inputs: of one array")
def _largest(bench: Bench) -> str:
    most_out, most_in = bench.said.max_outputs, bench.said.max_inputs
    if most_out * most_in <= _LARGEST:
        shapes = [(most_out, most_in)]
    else:
        small = min(most_out, _LARGEST), min(most_in, _LARGEST)
        shapes = [(small[0], 1), (1, small[1])]
    with bench.device() as device:
        for shape in shapes:
            weights = bench.weights(*shape)
            array = device.place(weights)
            asked = f"allocate {shape[0]}×{shape[1]}, program, read 2 vectors"
            check_reads(bench, device, array, weights, asked)
            device.release(array)
    return ", ".join(f"{o}×{i}" for o, i in shapes)


@arrays.add("allocate: beyond the largest", "XBARAX_INVALID_ARGUMENT: a size that cannot be")
def _beyond(bench: Bench) -> str:
    most_out, most_in = bench.said.max_outputs, bench.said.max_inputs
    shapes = [s for s in ((most_out + 1, 1), (1, most_in + 1)) if max(s) <= _LARGEST]
    if not shapes:
        raise NotApplicable(f"arrays of {_LARGEST:,} weights are within the limits")
    accepted = []
    with bench.device() as device:
        for shape in shapes:
            status, array = device.try_allocate(*shape)
            asked = f"allocate {shape[0]}×{shape[1]}, beyond {most_out}×{most_in}"
            if status != Status.OK:
                check_refusal(device, asked, status)
                continue
            # xbarax never asks; but a driver that grants it must mean it.
            weights = bench.weights(*shape)
            device.program(array, weights)
            check_reads(bench, device, array, weights, f"{asked}, which was granted; read it")
            device.release(array)
            accepted.append(f"{shape[0]}×{shape[1]}")
        weights = bench.weights(*bench.shape(2, 2))
        check_reads(bench, device, device.place(weights), weights, "an array after these requests")
    return f"hint: grants {', '.join(accepted)}, which is beyond its limits" if accepted else ""


def check_refusal(device: Device, asked: str, status: int) -> None:
    """Refuses a refusal that is not a clean one: another status, or no text."""
    if status not in Status.__members__.values():
        raise Failed(
            asked=asked,
            got=status_name(status),
            contract="a function returns XBARAX_OK or another of the XBARAX_ statuses",
            advice="return a status of driver.h",
        )
    if status == Status.LOST:
        raise Failed(
            asked=asked,
            got=f"XBARAX_LOST: {device.text()!r}",
            contract="XBARAX_LOST: the chip and all its arrays are gone until it is opened anew",
            advice="return XBARAX_INVALID_ARGUMENT: nothing is lost by a wrong argument",
        )
    if not device.text():
        raise Failed(
            asked=asked,
            got=f"{status_name(status)}, and last_error says nothing",
            contract="last_error: what went wrong in the last call that failed",
            advice="set the text before each return of an error",
        )


@arrays.add("allocate: until it is full", f"max_arrays: at one time; {_NO_SPACE}")
def _full(bench: Bench) -> str:
    stated = bench.said.max_arrays
    if stated > 4096:
        raise NotApplicable(f"the device states {stated:,} arrays, too many to try")
    with bench.device() as device:
        found = []
        for count in range(stated + 1 if stated else 64):
            status, array = device.try_allocate(1, 1)
            if status == Status.OK:
                found.append(array)
                continue
            _check_full(device, stated, count, status)
            device.release(found.pop(len(found) // 2))
            device.allocate(1, 1)  # there is room again
            return f"room for {count} arrays of 1×1, and again after a release"
        if stated:
            raise Failed(
                asked=f"{stated + 1} arrays of 1×1 at one time",
                got="XBARAX_OK for each of them",
                advice="count arrays, and refuse what is too much; or describe max_arrays as it is",
            )
        if len(set(found)) < len(found):
            raise Failed(
                asked=f"{len(found)} arrays at one time",
                got=f"{len(set(found))} different numbers for them",
                contract="xbarax_array: any number, for as long as the array lives",
                advice="give each array that lives a number of its own",
            )
    return "no limit is stated; 64 arrays have room"


def _check_full(device: Device, stated: int, count: int, status: int) -> None:
    asked = f"array {count + 1} of 1×1 at one time"
    check_refusal(device, asked, status)
    if count < max(stated, 1):
        raise Failed(
            asked=f"{asked}; max_arrays is {stated}",
            got=f"{status_name(status)}: {device.text()!r}",
            advice="describe as many arrays as there is room for, or 0",
        )
    if status != Status.NO_SPACE:
        raise Failed(
            asked=asked,
            got=f"{status_name(status)}: {device.text()!r}",
            advice="return XBARAX_NO_SPACE where the chip is full",
        )


@arrays.add("arrays: independent", "an array's weights change by its own programming alone")
def _independent(bench: Bench) -> None:
    shapes = [bench.shape(5, 4), bench.shape(5, 4), bench.shape(3, 6)]
    weights = [bench.weights(*shape) for shape in shapes]
    with bench.device() as device:
        found = [device.allocate(*shapes[0])]
        found += [bench.second_array(device, *shapes[1])]
        if len(set(found)) < 2:
            raise Failed(
                asked="two arrays at one time",
                got=f"the number {found[0]} for both",
                contract="xbarax_array: any number, for as long as the array lives",
                advice="give each array that lives a number of its own",
            )
        for array, w in zip(found, weights, strict=False):
            device.program(array, w)
        asked = "program two arrays, read both"
        _reads_as(bench, device, found[0], weights[0], weights[1], asked)
        _reads_as(bench, device, found[1], weights[1], weights[0], asked)
        device.release(found[0])
        asked = "release an array, allocate and program another; read the one that stayed"
        _reads_as(bench, device, found[1], weights[1], weights[0], asked)
        third = device.place(weights[2])
        _reads_as(bench, device, found[1], weights[1], weights[2], asked)
        asked = "read the array that was allocated in a released one's place"
        _reads_as(bench, device, third, weights[2], weights[0], asked)


def _reads_as(
    bench: Bench, device: Device, array: int, own: np.ndarray, other: np.ndarray, asked: str
) -> None:
    inputs = bench.vectors(2, own.shape[1])
    like = {} if other.shape != own.shape else {"like another array's": product(other, inputs)}
    compare(
        device.read(array, inputs),
        product(own, inputs),
        bench.allow(own, inputs),
        asked=asked,
        advice="look weights up by the array's number, and give every array its own place",
        guesses=like,
    )
