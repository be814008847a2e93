"""How programs are timed that take turns."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

_SECONDS = 0.05


def mean_ms(run: Callable[[], Any]) -> float:
    """Of calls one after the other, as in training, after one that brings back what it needs.

    What ran before has filled the caches, and let threads fall asleep.
    """
    run()
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < _SECONDS:
        run()
        calls += 1
    return 1e3 * (time.perf_counter() - begin) / calls


def in_turns(programs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Each program's `mean_ms` in each of the rounds, after two calls that are not timed."""
    for run in programs.values():
        run(), run()
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, run in programs.items():
            times[name].append(mean_ms(run))
    return times


def compiled(function: Callable[..., Any], *operands: Any) -> Callable[[], Any]:
    """A call of a compiled program that waits for its results."""
    program = jax.jit(function).lower(*operands).compile()
    return lambda: jax.block_until_ready(program(*operands))
