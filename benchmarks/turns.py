"""How programs are timed that take turns."""

import time
from collections.abc import Callable
from typing import Any

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
