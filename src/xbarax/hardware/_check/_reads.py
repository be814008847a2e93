"""Checks of reading."""

from collections.abc import Callable

import numpy as np

from xbarax.hardware._check._bench import Bench, K, product, rounding
from xbarax.hardware._check._buffers import count_unwritten
from xbarax.hardware._check._compare import compare, transposed_guesses
from xbarax.hardware._check._device import Device
from xbarax.hardware._check._result import DESCRIBED, READS, Checklist, Failed

reads = Checklist(*DESCRIBED)

_SUM = "results[k][o] = sum over i of weight[o][i] inputs[k][i], with the chip's noise"
_ADVICE = (
    "compute the sum in this order, or state read_noise, read_error and weight_error as they are"
)
_CONVERTERS = (
    "inputs are any finite numbers: a driver with converters scales each vector to their range "
    "and back; read_noise and read_error are for an input vector of length 1, and scale with it"
)


def _read(device: Device, array: int, inputs: np.ndarray, name: str) -> np.ndarray:
    """Reads into zeros: what adds to them is found by the check for that, not everywhere."""
    to = device.shapes[array][name == "read_transposed"]
    zeros = np.zeros((len(inputs), to), np.float32)
    return device.read_into(array, inputs, zeros, name)[1].numbers


def _compare(
    bench: Bench,
    device: Device,
    array: int,
    weights: np.ndarray,
    inputs: np.ndarray,
    asked: str,
    name: str = "read",
    advice: str = _ADVICE,
) -> float:
    """Compares a read with what it should give; `weights` as `name` sees them."""
    guesses = transposed_guesses(weights, inputs)
    if name == "read_transposed" and inputs.shape[1] == len(weights):
        guesses = {"like read, not transposed": product(weights.T, inputs)} | guesses
    return compare(
        _read(device, array, inputs, name),
        product(weights, inputs),
        bench.allow(weights, inputs),
        asked=asked,
        advice=advice,
        guesses=guesses,
    )


def check_one_vector(bench: Bench, name: str) -> None:
    """Refuses reads of one vector, by `read` or `read_transposed`, that are wrong."""
    for shape in dict.fromkeys(bench.shape(*s) for s in ((5, 3), (3, 5), (4, 4), (1, 7), (7, 1))):
        weights = bench.weights(*shape)
        seen = weights if name == "read" else weights.T
        with bench.device() as device:
            array = device.place(weights)
            for each in np.eye(seen.shape[1], dtype=np.float32)[:, None]:
                asked = (
                    f"{name} of a {shape[0]}×{shape[1]} array by unit vector {int(each.argmax())}"
                )
                _compare(bench, device, array, seen, each, asked, name)
            inputs = bench.vectors(1, seen.shape[1])
            asked = f"{name} of a {shape[0]}×{shape[1]} array by a vector of length 1"
            _compare(bench, device, array, seen, inputs, asked, name)


def check_batch(bench: Bench, name: str) -> str:
    """Refuses reads of many vectors, by `read` or `read_transposed`, that are wrong."""
    shape = bench.shape(6, 4)
    weights = bench.weights(*shape)
    seen = weights if name == "read" else weights.T
    with bench.device() as device:
        array = device.place(weights)
        for n in (2, 7, 100, 1, 3):
            inputs = bench.vectors(n, seen.shape[1])
            asked = f"{name} of {n} vectors, array {shape[0]}×{shape[1]}"
            _compare(bench, device, array, seen, inputs, asked, name)
        batch = _read(device, array, inputs, name)
        loop = np.concatenate([_read(device, array, x[None], name) for x in inputs])
        # The same weights: what programming did to them is no excuse.
        compare(
            batch,
            loop.astype(np.float64),
            2 * bench.allow(seen, inputs, programmed=0),
            asked=f"{name} of 3 vectors at once, and of each of them",
            advice="treat the vectors of a batch as each of them alone",
        )
    return "n = 1, 2, 3, 7, 100"


@reads.add("read: one vector", _SUM)
def _read_one(bench: Bench) -> None:
    check_one_vector(bench, "read")


@reads.add("read: batch", f"{_SUM}; n is at least 1", READS[:1])
def _read_batch(bench: Bench) -> str:
    return check_batch(bench, "read")


@reads.add("read: whatever results held", "results: the caller's buffer, to be written", READS[:2])
def _held(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(6, 4))
    inputs = bench.vectors(3, weights.shape[1])
    with bench.device() as device:
        array = device.place(weights)
        for held in (0.0, 1.0, 1e6, float("nan")):
            before = np.full((3, len(weights)), held, np.float32)
            result = device.read_into(array, inputs, before)[1].numbers
            compare(
                result,
                product(weights, inputs),
                bench.allow(weights, inputs),
                asked=f"read into a buffer that holds {held:g}",
                advice="begin each sum with 0, not with what results holds",
                guesses={"added to what the buffer held": product(weights, inputs) + held},
            )


def _check_length(bench: Bench, length: float, what: str) -> str:
    weights = bench.weights(*bench.shape(6, 5))
    with bench.device() as device:
        array = device.place(weights)
        inputs = bench.vectors(5, weights.shape[1], length)
        asked = f"read of vectors of length {length:g}{what}"
        advice = "scale each vector to the converters' range, and its result back; clip nothing"
        part = _compare(bench, device, array, weights, inputs, asked, advice=advice)
    return part_of(part)


def part_of(part: float) -> str:
    """A note that says how close it was."""
    return f"largest error {part:.2g} of what is allowed"


@reads.add("read: zeros", _SUM, READS)
def _zeros(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(6, 5))
    with bench.device() as device:
        array = device.place(weights)
        inputs = np.zeros((3, weights.shape[1]), np.float32)
        compare(
            device.read(array, inputs),
            np.zeros((3, len(weights))),
            K * bench.noise + bench.said.read_error + 1e-30,
            asked="read of vectors of zeros",
            advice="where vectors are scaled to a range, mind 0/0; and measure the offset away",
        )


@reads.add("read: negative inputs", _SUM, READS)
def _negative(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(6, 5))
    with bench.device() as device:
        array = device.place(weights)
        inputs = -np.abs(bench.vectors(3, weights.shape[1]))
        asked = "read of vectors of negative numbers"
        result, wanted = device.read(array, inputs), product(weights, inputs)
        guesses = {
            "like the inputs' magnitudes": -wanted,
            "like zeros for negative inputs": 0 * wanted,
        }
        compare(
            result,
            wanted,
            bench.allow(weights, inputs),
            asked=asked,
            advice="read the positive and the negative part, and subtract",
            guesses=guesses,
        )


@reads.add("read: large inputs", _CONVERTERS, READS)
def _large(bench: Bench) -> str:
    return _check_length(bench, 1e3, "")


@reads.add("read: tiny inputs", _CONVERTERS, READS)
def _tiny(bench: Bench) -> str:
    weights = bench.weights(*bench.shape(6, 5))
    inputs = bench.vectors(2, weights.shape[1], 1e-3)
    with bench.device() as device:
        array = device.place(weights)
        mean, error, spread = _repeat(bench, device, array, inputs)
    # The noise that is found, not the stated one: all drivers make less of small vectors.
    allowed = _bias_allowed(bench, weights, inputs) + error
    compare(
        mean,
        product(weights, inputs),
        allowed,
        asked="read of vectors of length 0.001, many times; the mean",
        advice="scale each vector to the converters' range, and its result back; clip nothing",
    )
    if spread > 2 * bench.noise * 1e-3 + bench.said.read_error * 1e-3 + 1e-12:
        return f"hint: noise {spread:.2g} for length 0.001 is not in proportion to the length"
    return ""


@reads.add("read: vectors of many sizes", _CONVERTERS, READS)
def _sizes(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(6, 5))
    inputs = bench.vectors(4, weights.shape[1]) * np.array([[1], [1e3], [10], [100]], np.float32)
    with bench.device() as device:
        array = device.place(weights)
        asked = "one read of vectors of lengths 1, 1000, 10, 100"
        advice = "scale each vector of a batch by its own largest number, not the batch's"
        _compare(bench, device, array, weights, inputs, asked, advice=advice)


@reads.add("read: linear", _SUM, READS[1:])
def _linear(bench: Bench) -> str:
    weights = bench.weights(*bench.shape(8, 6))
    first, second = (bench.vectors(4, weights.shape[1]) for _ in range(2))
    both = (np.float32(2) * first - np.float32(0.5) * second).astype(np.float32)
    with bench.device() as device:
        array = device.place(weights)
        a, b, c = (device.read(array, x).astype(np.float64) for x in (first, second, both))
    # The weights need not be what was programmed: programming's error is no part of this.
    allow = lambda x: bench.allow(weights, x, programmed=0)
    part = compare(
        c,
        2 * a - 0.5 * b,
        allow(both) + 2 * allow(first) + 0.5 * allow(second),
        asked="reads of x, of y and of 2 x - y/2",
        advice="correct the chip's curve in the driver, or state read_error as large as it is",
        contract="results are linear in the inputs, within read_noise and read_error",
    )
    return part_of(part)


@reads.add(
    "read: leaves weights alone",
    "nothing but programming, updates and pulses changes weights",
    READS,
)
def _alone(bench: Bench) -> str:
    weights = bench.weights(*bench.shape(6, 4))
    inputs = bench.vectors(4, weights.shape[1])
    with bench.device() as device:
        array = device.place(weights)
        first = [device.read(array, inputs) for _ in bench.repeat(8)]
        count = 0
        for _ in bench.repeat(400):
            count += 1
            device.read(array, bench.vectors(4, weights.shape[1]))
            if "read_transposed" in bench.said.capabilities:
                device.read(array, bench.vectors(4, len(weights)), "read_transposed")
            if "read_out" in bench.said.capabilities:
                device.read_out(array)
        last = [device.read(array, inputs) for _ in bench.repeat(8)]
    noise = 2 * (K * bench.noise / np.sqrt(8) + bench.said.read_error)
    compare(
        np.asarray(np.mean(last, axis=0, dtype=np.float64)),
        np.asarray(np.mean(first, axis=0, dtype=np.float64)),
        2 * rounding(weights, inputs) + noise,
        asked=f"the same read before and after {count} others",
        advice="read below the voltage that programs; undo what a read disturbs; share no buffers",
    )
    return f"after {count} reads"


def _repeat(
    bench: Bench, device: Device, array: int, inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Reads the same often: the mean, how far noise may have moved it, and the noise."""
    results = [device.read(array, inputs) for _ in bench.repeat(64)]
    with np.errstate(all="ignore"):
        spread = np.std(results, axis=0, ddof=1, dtype=np.float64)
        mean = np.asarray(np.mean(results, axis=0, dtype=np.float64))
        noise = float(np.sqrt(np.mean(spread**2)))
    return mean, K * np.maximum(spread, noise) / np.sqrt(len(results)), noise


def _bias_allowed(bench: Bench, weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(inputs, axis=1, keepdims=True).astype(np.float64)
    sums = np.abs(inputs).sum(1, keepdims=True, dtype=np.float64)
    stated = bench.said.read_error * length + bench.said.weight_error * sums
    return np.asarray(rounding(weights, inputs) + stated)


@reads.add(
    "read: stated read_error",
    "read_error: a result's largest error besides noise, for an input vector of length 1",
    READS,
)
def _stated_error(bench: Bench) -> str:
    weights = bench.weights(*bench.shape(12, 10))
    inputs = bench.vectors(4, weights.shape[1])
    with bench.device() as device:
        array = device.place(weights)
        mean, error, _ = _repeat(bench, device, array, inputs)
    part = compare(
        mean,
        product(weights, inputs),
        _bias_allowed(bench, weights, inputs) + error,
        asked="the same read of 4 vectors of length 1, 64 times; the mean",
        advice="state read_error (and weight_error) as large as they are",
    )
    return part_of(part)


@reads.add(
    "read: stated read_noise",
    "read_noise: standard deviation of a result for an input vector of length 1",
    READS,
)
def _stated_noise(bench: Bench) -> str:
    weights = bench.weights(*bench.shape(12, 10))
    inputs = bench.vectors(4, weights.shape[1])
    with bench.device() as device:
        array = device.place(weights)
        results = [device.read(array, inputs) for _ in bench.repeat(64)]
    spread = np.std(results, axis=0, ddof=1, dtype=np.float64)  # (4, outputs)
    each = np.sqrt(np.mean(spread**2, axis=0))
    small = float(rounding(weights, inputs).max())
    stated = float(np.hypot(bench.said.read_noise, bench.said.read_error))
    freedom = 4 * (len(results) - 1)
    most = 1.1 * stated * (1 + K / np.sqrt(2 * freedom)) + small
    found = float(np.sqrt(np.mean(each**2)))
    if not float(np.max(each)) <= most:
        raise Failed(
            asked=f"the same read of 4 vectors of length 1, {len(results)} times",
            got=f"a standard deviation of {found:.3g}, of the noisiest output {np.max(each):.3g}; "
            f"read_noise is {bench.said.read_noise:.3g}",
            advice="state read_noise as large as it is for the noisiest output",
        )
    if bench.said.read_noise > 2 * found + small:
        return (
            f"hint: {found:.2g} was found, less than half of the stated {bench.said.read_noise:.2g}"
        )
    return f"{found:.2g} found, {bench.said.read_noise:.2g} stated"


@reads.add("read: writes all results", "results [n][outputs]: all are written", READS)
def _all_written(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(6, 4))
    can = bench.said.capabilities
    calls: dict[str, Callable[[Device, int], np.ndarray]] = {
        "read": lambda device, array: device.read(array, bench.vectors(5, weights.shape[1])),
        "read_transposed": lambda device, array: device.read(
            array, bench.vectors(5, len(weights)), "read_transposed"
        ),
        "read_out": lambda device, array: device.read_out(array),
    }
    with bench.device() as device:
        array = device.place(weights)
        for name in ("read", *(c for c in ("read_transposed", "read_out") if c in can)):
            result = calls[name](device, array)
            if count := count_unwritten(result):
                raise Failed(
                    asked=f"{name} into a buffer with a pattern",
                    got=f"{count} of {result.size} results were not written",
                    advice="mind n, and write every result, also zeros",
                )
