"""What tests of several folders use."""

from typing import Any

import jax
import jax.monitoring
import numpy as np

import xbarax as xb


def normal(seed: int, *shape: int) -> np.ndarray:
    """Numbers of a standard normal distribution, float32, the same in every run."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def weights_of(array: Any) -> Any:
    """The weights of a crossbar array as a plain array, or the plain array itself."""
    return xb.readout(array) if isinstance(array, xb.MemristiveCrossbarArray) else array


def assert_close(actual: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-5) -> None:
    """Checks that two trees of plain arrays have the same structure, shapes, types and values."""
    for one, other in _leaves_of_both(actual, expected):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol, strict=True)


def assert_equal(actual: Any, expected: Any) -> None:
    """Checks that two trees of plain arrays are exactly the same."""
    for one, other in _leaves_of_both(actual, expected):
        np.testing.assert_array_equal(one, other, strict=True)


def _leaves_of_both(actual: Any, expected: Any) -> Any:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    return zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)


class Compilations:
    """Counts XLA's compilations in this process from its making on."""

    def __init__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration: float, **_: Any) -> None:
        self.count += event == "/jax/core/compile/backend_compile_duration"
