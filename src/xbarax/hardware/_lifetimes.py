"""Which arrays' places on a chip are still wanted.

An array is a number on its chip, and many Python objects may stand for it: one for each of its
generations, for copies, for batches. Its place is given back when the last of them is gone.
Finalizers run anywhere, at any time, so that they only take note; what is due is given back by
`settle`, before the next call.
"""

import contextlib
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax import Array

from xbarax.hardware import _native

_numbers = itertools.count()
_living: dict[int, tuple[str, Array, Any]] = {}  # device, handles, the weak reference itself
_gone: deque[tuple[str, Array]] = deque()
_settling = threading.Lock()


def hold(device: str, array: Any, handles: Array) -> None:
    """Keeps the places that `handles` (*batch, 2) name for as long as the object `array` lives."""
    number = next(_numbers)

    def note(_: Any) -> None:
        device, handles, _ = _living.pop(number)
        _gone.append((device, handles))

    _living[number] = device, handles, weakref.ref(array, note)


def settle(wait: bool = False) -> None:
    """Gives back the places that no object stands for any more.

    Args:
      wait: whether to wait for programs that are still running, and may be making the last object
        of an array. Otherwise, what is due may have to wait for the next time.
    """
    # One thread at a time gives a place back; who need not wait leaves it to the other.
    if not (_gone and _settling.acquire(blocking=wait)):
        return
    try:
        _give_back(wait)
    finally:
        _settling.release()


def _give_back(wait: bool) -> None:
    gone = list(_taken())
    if not wait and not all(_is_ready(handles) for _, handles in [*_of_the_living(), *gone]):
        _gone.extendleft(reversed(gone))
        return
    # In this order: what dies in between stays for the next time.
    due = _arrays(gone) - _arrays(_of_the_living())
    if not due:
        return
    wait_for_programs()  # one that reads an array may be running, and nobody wait for it but us
    for device, array in due:
        _native.release(device, array)


def _taken() -> Iterator[tuple[str, Array]]:
    """What is gone, without looking through what finalizers add to."""
    with contextlib.suppress(IndexError):
        while True:
            yield _gone.popleft()


def _of_the_living() -> list[tuple[str, Array]]:
    return [(device, handles) for device, handles, _ in list(_living.values())]


def wait_for_programs() -> None:
    """Waits for the programs that this thread has started; their failures are not ours to tell."""
    with contextlib.suppress(Exception):
        jax.effects_barrier()


def _is_ready(handles: Any) -> bool:
    return handles.is_deleted() or handles.is_ready()


def _arrays(all_handles: list[tuple[str, Array]]) -> set[tuple[str, int]]:
    arrays: set[tuple[str, int]] = set()
    for device, handles in all_handles:
        # Handles that were donated, or that a failed program should have made, name nothing.
        with contextlib.suppress(Exception):
            ids = np.asarray(handles)[..., 0].ravel()
            arrays.update((device, int(array)) for array in ids)
    return arrays
