"""Checks of a driver under xbarax: in programs of JAX."""

import contextlib
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from xbarax.array import MemristiveCrossbarArray
from xbarax.hardware import _load
from xbarax.hardware._c_driver import CDriver
from xbarax.hardware._check._bench import Bench, product
from xbarax.hardware._check._compare import compare
from xbarax.hardware._check._result import DESCRIBED, READS, Checklist, Failed
from xbarax.hardware._driver import AbstractDriver, Description
from xbarax.hardware._driver_chip import DriverChip

programs = Checklist(
    *DESCRIBED, *READS, "describe: stays in its room", "buffers: nothing beside them"
)

_ADVICE = "the checks above say which call is wrong: mend those first"


@contextlib.contextmanager
def _loaded(bench: Bench, driver: Any) -> Iterator[DriverChip]:
    """A chip that is open for as long as the context."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _load.EmulationWarning)
        try:
            chip = _load.load(driver, config=json.loads(bench.config))
        except RuntimeError as error:
            raise Failed(asked="xb.hardware.load", got=str(error), advice=_ADVICE) from None
    assert isinstance(chip, DriverChip)
    try:
        yield chip
    finally:
        _load.close(chip)


def _counting(bench: Bench, calls: Counter[str]) -> type[AbstractDriver]:
    """The driver, with its calls counted and noted."""

    class Counting(AbstractDriver):
        def __init__(self, config: dict[str, Any]):
            self._driver = CDriver(bench.calls.table, config)

        def _call(self, name: str, *arguments: Any) -> Any:
            calls[name] += 1
            bench.calls.note(name)
            result = getattr(self._driver, name)(*arguments)
            bench.calls.note("")
            return result

        def close(self) -> None:
            self._call("close")

        def describe(self) -> Description:
            said: Description = self._call("describe")
            return said

        def allocate(self, outputs: int, inputs: int) -> int:
            array: int = self._call("allocate", outputs, inputs)
            return array

        def release(self, array: int) -> None:
            self._call("release", array)

        def program(self, array: int, weights: np.ndarray) -> None:
            self._call("program", array, weights)

        def read(self, array: int, inputs: np.ndarray) -> np.ndarray:
            return np.asarray(self._call("read", array, inputs))

        def read_transposed(self, array: int, inputs: np.ndarray) -> np.ndarray:
            return np.asarray(self._call("read_transposed", array, inputs))

        def update(self, array: int, deltas: np.ndarray) -> None:
            self._call("update", array, deltas)

        def pulse(self, array: int, pulses: np.ndarray) -> None:
            self._call("pulse", array, pulses)

        def read_out(self, array: int) -> np.ndarray:
            return np.asarray(self._call("read_out", array))

    return Counting


@programs.add(
    "xbarax: load",
    "xb.hardware.load opens the device, and arrays read on it",
    ("read_transposed: one vector",),
)
def _load_it(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(5, 4))
    x, y = bench.vectors(1, weights.shape[1]), bench.vectors(1, len(weights))
    allowed, allowed_back = bench.allow(weights, x), bench.allow(weights.T, y)
    bench.calls.note("a call from xbarax")
    with _loaded(bench, bench.driver) as chip:
        w = MemristiveCrossbarArray(weights, chip)
        forward, back = np.asarray(w @ x[0]), np.asarray(w.T @ y[0])
        del w
    bench.calls.note("")
    compare(forward[None], product(weights, x), allowed, asked="w @ x", advice=_ADVICE)
    compare(back[None], product(weights.T, y), allowed_back, asked="w.T @ y", advice=_ADVICE)


@programs.add(
    "xbarax: generations",
    "an array is programmed anew; its earlier values are refused",
    ("program: stated weight_error", "program: again", "update: adds the deltas"),
)
def _generations(bench: Bench) -> None:
    weights = bench.weights(*bench.shape(5, 4), part=0.4)
    deltas = (bench.weights(*weights.shape, part=0.4) - weights) / np.float32(2)
    x = bench.vectors(1, weights.shape[1])
    allowed = bench.allow(weights, x, programmed=2)
    with _loaded(bench, _counting(bench, Counter())) as chip:
        w = MemristiveCrossbarArray(weights, chip)
        new = w + deltas
        result = np.asarray(new @ x[0])
        try:
            np.asarray(w @ x[0])
        except Exception as error:
            refused = str(error)
        else:
            refused = ""
        del w, new
    asked = "w = xb.MemristiveCrossbarArray(…); (w + d) @ x"
    wanted = product(weights + deltas, x)
    compare(result[None], wanted, allowed, asked=asked, advice=_ADVICE)
    if "generation" not in refused:
        raise Failed(
            asked="a read of w after w + d",
            got=refused or "a result",
            advice="this is for xbarax to mend: please report it, with the driver",
        )


@programs.add("xbarax: jit, scan and vmap", "a read in a compiled program is one call")
def _compiled(bench: Bench) -> str:
    weights = bench.weights(*bench.shape(5, 4))
    inputs = bench.vectors(5, weights.shape[1])
    allowed = bench.allow(weights, inputs)
    calls: Counter[str] = Counter()
    ways: dict[str, tuple[Any, int]] = {
        "jit": (jax.jit(lambda w, xs: (w @ xs.T).T), 1),
        "scan": (jax.jit(lambda w, xs: jax.lax.scan(lambda c, x: (c, w @ x), 0, xs)[1]), 5),
        "vmap": (jax.vmap(lambda w, x: w @ x, in_axes=(None, 0)), 1),
    }
    with _loaded(bench, _counting(bench, calls)) as chip:
        w = MemristiveCrossbarArray(weights, chip)
        for name, (way, wanted) in ways.items():
            calls.clear()
            result = np.asarray(way(w, jnp.asarray(inputs)))
            asked = f"read of 5 vectors by {name}"
            compare(result, product(weights, inputs), allowed, asked=asked, advice=_ADVICE)
            if calls["read"] != wanted:
                raise Failed(
                    asked=asked,
                    got=f"{calls['read']} calls of read, expected {wanted}",
                    advice="this is for xbarax to mend: please report it, with the driver",
                )
        del w
    return "1, 5 and 1 calls"
