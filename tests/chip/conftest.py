"""XLA takes long to optimise random numbers, and these tests compile many small programs."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def little_optimisation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
