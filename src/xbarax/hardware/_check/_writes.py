"""Checks of programming, updates, pulses and reading out."""

import numpy as np

from xbarax.hardware._check._bench import Bench, product
from xbarax.hardware._check._compare import compare
from xbarax.hardware._check._device import Device
from xbarax.hardware._check._result import DESCRIBED, READS, Checklist, Failed, NotApplicable

writes = Checklist(*DESCRIBED)

_ERROR = "weight_error: programming and updates leave weights at most this far from the asked"
_UPDATE = "update adds deltas[outputs][inputs] to the weights"


def _float32(number: np.ndarray) -> np.ndarray:
    """How far a number may be off that float32 holds."""
    return np.asarray(8 * np.finfo(np.float32).eps * np.abs(number))


def _compare_weights(
    bench: Bench,
    device: Device,
    array: int,
    wanted: np.ndarray,
    *,
    asked: str,
    advice: str,
    guesses: dict[str, np.ndarray] | None = None,
    times: int = 1,
    contract: str = "",
) -> str:
    """Compares an array's weights with what they should be after so many programmings."""
    found, off = bench.measure(device, array)
    how = "read_out" if "read_out" in bench.said.capabilities else "reading by unit vectors"
    part = compare(
        found,
        wanted.astype(np.float64),
        off + times * bench.said.weight_error + float(np.max(_float32(wanted))),
        asked=f"{asked}; then the weights, by {how}",
        advice=advice,
        guesses=guesses,
        contract=contract,
    )
    return f"largest error {part:.2g} of what is allowed"


def _turned(weights: np.ndarray) -> dict[str, np.ndarray]:
    other = weights.reshape(weights.shape[1], weights.shape[0]).T
    return {"transposed: weights taken as [inputs][outputs], not [outputs][inputs]": other}


@writes.add("program: stated weight_error", _ERROR)
def _program(bench: Bench) -> str:
    note = ""
    for shape in dict.fromkeys(bench.shape(*s) for s in ((6, 4), (3, 8), (16, 16))):
        with bench.device() as device:
            weights = bench.weights(*shape)
            array = device.place(weights)
            note = _compare_weights(
                bench,
                device,
                array,
                weights,
                asked="program {}×{}".format(*shape),
                advice="state weight_error as large as it is",
                guesses=_turned(weights),
            )
    return note


@writes.add("program: again", "program: all weights", ("program: stated weight_error",))
def _again(bench: Bench) -> None:
    first, second = (bench.weights(*bench.shape(6, 4)) for _ in range(2))
    with bench.device() as device:
        array = device.place(first)
        device.program(array, second)
        _compare_weights(
            bench,
            device,
            array,
            second,
            asked="program, and program others",
            advice="program sets weights: it adds nothing, and leaves none as it was",
            guesses={"like the first weights": first, "like the sum of both": first + second},
        )


@writes.add(
    "program: ends of the range",
    "each weight within weight_low and weight_high",
    ("program: stated weight_error",),
)
def _ends(bench: Bench) -> str:
    low, high = np.float32(bench.said.weight_low), np.float32(bench.said.weight_high)
    shape = bench.shape(6, 4)
    weights = np.where(bench.random.random(shape) < 0.5, low, high).astype(np.float32)
    with bench.device() as device:
        array = device.place(weights)
        return _compare_weights(
            bench,
            device,
            array,
            weights,
            asked=f"program weights of {low:g} and {high:g}",
            advice="describe a range all of which can be programmed",
            guesses=_turned(weights),
        )


@writes.add("read_out: as reads see them", "read_out: the weights as they are", READS)
def _read_out(bench: Bench) -> str:
    bench.need("read_out")
    weights = bench.weights(*bench.shape(6, 5))
    with bench.device() as device:
        array = device.place(weights)
        found, off = bench.measure(device, array)
        inputs = bench.vectors(6, weights.shape[1])
        result = device.read(array, inputs)
    sums = np.abs(inputs).sum(1, keepdims=True)
    part = compare(
        result,
        product(found, inputs),
        bench.allow(weights, inputs, programmed=0) + off * sums,
        asked="read_out, and a read, of the same weights",
        advice="read out what the devices have, not what was asked for",
    )
    return f"largest error {part:.2g} of what is allowed"


def _deltas(bench: Bench, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Weights in the middle of the range, and deltas that stay inside."""
    weights = bench.weights(*shape, part=0.3)
    low, high = bench.range
    step = (high - low) / 8
    sizes = bench.random.uniform(0.3 * step, step, shape) * bench.random.choice([-1, 1], shape)
    return weights, sizes.astype(np.float32)


@writes.add("update: adds the deltas", f"{_UPDATE}; {_ERROR}", ("program: stated weight_error",))
def _update(bench: Bench) -> str:
    bench.need("update")
    note = ""
    for shape in dict.fromkeys(bench.shape(*s) for s in ((6, 4), (3, 8))):
        with bench.device() as device:
            weights, deltas = _deltas(bench, shape)
            array = device.place(weights)
            device.update(array, deltas)
            turned = deltas.reshape(shape[1], shape[0]).T
            note = _compare_weights(
                bench,
                device,
                array,
                weights + deltas,
                asked="program, update {}×{}".format(*shape),
                advice="add each delta to its weight, once",
                guesses={
                    "like the deltas added twice": weights + 2 * deltas,
                    "like the deltas subtracted": weights - deltas,
                    "like the deltas alone": deltas,
                    "like the weights before": weights,
                    "transposed: deltas taken as [inputs][outputs]": weights + turned,
                },
                times=2,
            )
    return note


@writes.add("update: zeros", _UPDATE, ("program: stated weight_error",))
def _update_zeros(bench: Bench) -> None:
    bench.need("update")
    weights = bench.weights(*bench.shape(6, 4))
    with bench.device() as device:
        array = device.place(weights)
        device.update(array, np.zeros_like(weights))
        _compare_weights(
            bench,
            device,
            array,
            weights,
            asked="program, update by zeros",
            advice="a delta of 0 leaves a weight as it is",
            times=2,
        )


@writes.add(
    "update: stops at the ends",
    "update: what would leave the range stays at its end",
    ("program: stated weight_error", "update: adds the deltas"),
)
def _update_ends(bench: Bench) -> str:
    bench.need("update")
    low, high = bench.said.weight_low, bench.said.weight_high
    if (low, high) != bench.range:
        raise NotApplicable(f"the range, {low:g} to {high:g}, is wider than any chip's")
    shape = bench.shape(6, 4)
    up = bench.random.random(shape) < 0.5
    near = bench.weights(*shape, part=0.1) + np.where(up, 1, -1) * (high - low) * np.float32(0.35)
    deltas = (np.where(up, 1, -1) * (high - low) * 0.5).astype(np.float32)
    with bench.device() as device:
        array = device.place(near.astype(np.float32))
        device.update(array, deltas)
        return _compare_weights(
            bench,
            device,
            array,
            np.where(up, high, low),
            asked=f"program near the ends of {low:g} to {high:g}, update beyond them",
            advice="clip the sum to the range, in the driver or as the devices do",
            guesses={
                "like weights beyond the range": near + deltas,
                "like the weights before": near,
            },
            times=2,
        )


@writes.add(
    "update: many",
    f"{_UPDATE}; {_ERROR}",
    ("program: stated weight_error", "update: adds the deltas"),
)
def _update_many(bench: Bench) -> str:
    bench.need("update")
    shape = bench.shape(6, 4)
    weights, deltas = _deltas(bench, shape)
    count = 8
    with bench.device() as device:
        array = device.place(weights)
        for _ in range(count):
            device.update(array, (deltas / np.float32(count)).astype(np.float32))
        return _compare_weights(
            bench,
            device,
            array,
            weights + deltas,
            asked=f"program, {count} updates by an eighth of the deltas",
            advice="round each update to the nearest level, or at random; drop no small ones",
            times=count + 1,
        )


@writes.add(
    "pulse: direction",
    "pulses above 0 move weights upwards, below 0 downwards",
    ("program: stated weight_error",),
)
def _pulse(bench: Bench) -> str:
    bench.need("pulse")
    shape = bench.shape(6, 4)
    weights = bench.weights(*shape, part=0.2)
    signs = bench.random.choice([-1, 1], shape).astype(np.int32)
    with bench.device() as device:
        array = device.place(weights)
        before, off = bench.measure(device, array)
        for count in (1, 10, 100, 1000):
            device.pulse(array, signs * np.int32(count))
            after, off_after = bench.measure(device, array)
            moved = (after - before) * signs
            least = (off + off_after) / np.sqrt(moved.size)  # of the mean
            if float(np.mean(moved)) < -least:
                raise Failed(
                    asked=f"pulses of ±{count} to weights in the middle of the range",
                    got=f"weights moved by {np.mean(moved):.3g} on average along the pulses' signs",
                    advice="a positive number of pulses raises the weight, not one device of it",
                )
            if float(np.mean(moved)) > max(least, 1e-6 * (bench.range[1] - bench.range[0])):
                break
        else:
            raise Failed(
                asked="1, 10, 100 and 1000 pulses to weights in the middle of the range",
                got="the weights did not move",
                advice="apply the pulses, or leave XBARAX_CAN_PULSE out",
            )
    return f"{np.mean(moved):.2g} by ±{count} pulses"


@writes.add(
    "pulse: the right weights",
    "pulses[outputs][inputs] to the weights' devices",
    ("program: stated weight_error",),
)
def _pulse_place(bench: Bench) -> str:
    bench.need("pulse")
    shape = bench.shape(5, 3)
    if 1 in shape:
        raise NotApplicable("the device holds no matrices, only rows or columns")
    weights = bench.weights(*shape, part=0.2)
    pulses = np.zeros(shape, np.int32)
    pulses[0, -1] = 1000
    with bench.device() as device:
        array = device.place(weights)
        before, off = bench.measure(device, array)
        device.pulse(array, pulses)
        after, off_after = bench.measure(device, array)
    moved = np.abs(after - before)
    allowed = off + off_after + bench.said.weight_error
    others = np.argwhere((moved > allowed) & (pulses == 0))
    if len(others):
        o, i = map(int, others[0])
        turned = pulses.reshape(shape[1], shape[0]).T
        look = "; looks transposed" if turned[o, i] else ""
        raise Failed(
            asked=f"1000 pulses to weight [0][{shape[1] - 1}] alone of a {shape[0]}×{shape[1]}",
            got=f"weight [{o}][{i}] moved by {after[o, i] - before[o, i]:.3g}{look}",
            advice="pulses are [outputs][inputs], row-major; a weight that gets none stays",
        )
    return ""


@writes.add(
    "pulse: none", "pulses: 0 leaves a weight's devices alone", ("program: stated weight_error",)
)
def _pulse_none(bench: Bench) -> None:
    bench.need("pulse")
    weights = bench.weights(*bench.shape(6, 4))
    with bench.device() as device:
        array = device.place(weights)
        for _ in range(10):
            device.pulse(array, np.zeros(weights.shape, np.int32))
        _compare_weights(
            bench,
            device,
            array,
            weights,
            asked="program, then ten times 0 pulses",
            advice="skip weights that get no pulses",
        )
