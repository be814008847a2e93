"""Checks of reading from the outputs to the inputs."""

import numpy as np

from xbarax.hardware._check._bench import Bench, product
from xbarax.hardware._check._compare import compare
from xbarax.hardware._check._reads import check_batch, check_one_vector, part_of
from xbarax.hardware._check._result import DESCRIBED, READS, Checklist

transposed = Checklist(*DESCRIBED)

_BACK = "results[k][i] = sum over o of weight[o][i] inputs[k][o], inputs [n][outputs]"


@transposed.add("read_transposed: one vector", _BACK, READS)
def _back_one(bench: Bench) -> None:
    bench.need("read_transposed")
    check_one_vector(bench, "read_transposed")


@transposed.add(
    "read_transposed: batch", f"{_BACK}; n is at least 1", (*READS, "read_transposed: one vector")
)
def _back_batch(bench: Bench) -> str:
    bench.need("read_transposed")
    return check_batch(bench, "read_transposed")


@transposed.add(
    "read_transposed: transpose of read", "both reads are of the same weights", READS[1:]
)
def _adjoint(bench: Bench) -> str:
    bench.need("read_transposed")
    weights = bench.weights(*bench.shape(6, 5))
    x, y = bench.vectors(8, weights.shape[1]), bench.vectors(8, len(weights))
    with bench.device() as device:
        array = device.place(weights)
        forward = device.read(array, x).astype(np.float64)
        back = device.read(array, y, "read_transposed").astype(np.float64)
    allowed = (bench.allow(weights, x, programmed=0) * np.abs(y)).sum(1)
    allowed += (bench.allow(weights.T, y, programmed=0) * np.abs(x)).sum(1)
    part = compare(
        (back * x).sum(1),
        (forward * y).sum(1),
        allowed,
        asked="y·read(x) and x·read_transposed(y), which are equal",
        advice="read the same devices both ways, with the same mapping",
    )
    return part_of(part)


@transposed.add(
    "read_transposed: whatever results held",
    "results: the caller's buffer, to be written",
    (*READS, "read_transposed: one vector"),
)
def _back_held(bench: Bench) -> None:
    bench.need("read_transposed")
    weights = bench.weights(*bench.shape(4, 6))
    inputs = bench.vectors(3, len(weights))
    with bench.device() as device:
        array = device.place(weights)
        for held in (1.0, float("nan")):
            before = np.full((3, weights.shape[1]), held, np.float32)
            result = device.read_into(array, inputs, before, "read_transposed")[1].numbers
            compare(
                result,
                product(weights.T, inputs),
                bench.allow(weights.T, inputs),
                asked=f"read_transposed into a buffer that holds {held:g}",
                advice="begin each sum with 0, not with what results holds",
                guesses={"added to what the buffer held": product(weights.T, inputs) + held},
            )
