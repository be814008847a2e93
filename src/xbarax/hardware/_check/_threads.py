"""Checks of several devices, and of calls from several threads."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from xbarax.hardware._check._arrays import check_reads
from xbarax.hardware._check._bench import Bench, product
from xbarax.hardware._check._compare import compare
from xbarax.hardware._check._device import Device
from xbarax.hardware._check._entry import check_open_refusal
from xbarax.hardware._check._errors import in_thread
from xbarax.hardware._check._result import DESCRIBED, READS, Checklist, Failed, NotApplicable
from xbarax.hardware._driver import Status

threads = Checklist(*DESCRIBED, *READS)


@threads.add("two devices at once", "calls into one device do not touch another")
def _two(bench: Bench) -> None:
    with bench.device() as first:
        status, pointer = bench.calls.open(bench.config)
        if status != Status.OK:
            check_open_refusal(bench, f"{bench.config}, while a device is open", status, pointer)
            raise NotApplicable(f"a second device does not open: {bench.calls.text(None)}")
        bench.calls("close", pointer)
        weights = [bench.weights(*bench.shape(4, 3)) for _ in range(2)]
        x = bench.vectors(2, weights[0].shape[1])
        try:
            results = _read_both(bench, first, weights, x)
        except Failed as failure:
            failure.fields["asked"] += ", after another device was opened and closed"
            failure.fields["advice"] = "keep all state in what *device points to, none in statics"
            raise
    for result, mine, its in zip(results, [0, 1, 0], [1, 0, 1], strict=True):
        compare(
            result,
            product(weights[mine], x),
            bench.allow(weights[mine], x),
            asked="two devices open at once, an array with its own weights on each; read both, "
            "close the second, read the first",
            advice="keep all state in what *device points to, none in static variables",
            guesses={"like the other device's weights": product(weights[its], x)},
        )


def _read_both(
    bench: Bench, first: Device, weights: list[np.ndarray], inputs: np.ndarray
) -> list[np.ndarray]:
    """Reads on a device, on a second one, and on the first after the second is closed."""
    array = first.place(weights[0])
    with bench.device() as second:
        other = second.place(weights[1])
        results = [first.read(array, inputs), second.read(other, inputs)]
    return [*results, first.read(array, inputs)]


@threads.add("threads: one after the other", "xbarax makes one call at a time, from any thread")
def _turns(bench: Bench) -> str:
    weights = bench.weights(*bench.shape(5, 4))
    made: dict[str, Any] = {}
    asked = "open, allocate, program and read in a thread each"

    def opened() -> None:
        made["device"] = Device(bench.calls, bench.config)

    in_thread(opened)
    device: Device = made["device"]
    try:
        in_thread(lambda: made.update(array=device.allocate(*weights.shape)))
        in_thread(lambda: device.program(made["array"], weights))
        for _ in range(3):
            in_thread(lambda: check_reads(bench, device, made["array"], weights, asked))
        check_reads(bench, device, made["array"], weights, asked)
        in_thread(lambda: device.release(made["array"]))
    except Failed as failure:
        failure.fields["asked"] += ", each call in a thread of its own"
        failure.fields["contract"] = "xbarax makes one call at a time, from any thread"
        raise
    finally:
        in_thread(device.close)
    return "open, allocate, program, read, release, close"


@threads.add(
    "threads: two devices",
    "calls into different devices of a library can be made at the same time",
    ("program: again",),
)
def _parallel(bench: Bench) -> str:
    with bench.device() as first:
        status, pointer = bench.calls.open(bench.config)
        if status != Status.OK:
            raise NotApplicable(f"a second device does not open: {bench.calls.text(None)}")
        bench.calls("close", pointer)
        with bench.device() as second:
            jobs = [_job(bench, device) for device in (first, second)]
            counts = _at_once(jobs)
    return f"{sum(counts)} rounds of program and read"


def _job(bench: Bench, device: Device) -> Callable[[], int]:
    """Programs and reads as often as there is time; numbers are drawn before, in one thread."""
    rounds = [bench.weights(*bench.shape(24, 20)) for _ in range(4)]
    inputs = bench.vectors(8, rounds[0].shape[1])
    allowed = [bench.allow(weights, inputs) for weights in rounds]

    def run() -> int:
        count = 0
        array = device.allocate(*rounds[0].shape)
        for count in bench.repeat(300):
            k = count % len(rounds)
            device.program(array, rounds[k])
            compare(
                device.read(array, inputs),
                product(rounds[k], inputs),
                allowed[k],
                asked="program and read, on two devices from two threads at the same time",
                advice="keep all buffers in the device or on the stack, none in static variables",
            )
        return count + 1

    return run


def _at_once(jobs: list[Callable[[], int]]) -> list[int]:
    """Runs jobs in a thread each; what the first of them raises is raised here."""
    counts: list[int] = []
    raised: list[BaseException] = []
    begin = threading.Barrier(len(jobs))

    def run(job: Callable[[], int]) -> None:
        begin.wait()
        try:
            counts.append(job())
        except BaseException as error:
            raised.append(error)

    workers = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if raised:
        raise raised[0]
    return counts


@threads.add("threads: errors of two devices", "last_error: of the device that it is asked about")
def _two_errors(bench: Bench) -> None:
    with bench.device() as first:
        status, pointer = bench.calls.open(bench.config)
        if status != Status.OK:
            raise NotApplicable(f"a second device does not open: {bench.calls.text(None)}")
        bench.calls("close", pointer)
        array = first.place(bench.weights(*bench.shape(2, 2)))
        first.release(array)
        if first.status("release", array) == Status.OK:
            raise NotApplicable("no call fails: see `errors: released array`")
        with bench.device() as second:
            inputs = np.zeros((1, bench.shape(2, 2)[1]), np.float32)
            second.read(second.place(bench.weights(*bench.shape(2, 2))), inputs)
            if not first.text():
                raise Failed(
                    asked="a call that fails on one device, calls that work on another; the text "
                    "of the first",
                    got='""',
                    advice="keep the text in the device, not in a static variable",
                )
