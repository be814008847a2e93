"""The tests' own net: annotations are checked at run time."""

import jax
import jaxtyping
import pytest
from jax import numpy as jnp
from jaxtyping import Float

import xbarax as xb
from tests import runtime_types


def test_arguments_are_checked():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter array='no array'"):
        xb.readout("no array")


def test_fields_are_checked():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'backward'"):
        xb.Chip(backward="sideways")


def test_a_traced_array_is_an_array():
    w = xb.MemristiveCrossbarArray(jnp.ones((2, 3)))
    assert jax.jit(xb.readout)(w).shape == (2, 3)


def test_users_get_the_packages_own_answer(as_users_call):
    with pytest.raises(TypeError, match="expected a MemristiveCrossbarArray, given str"):
        xb.readout("no array")


def test_an_axis_has_one_length():
    @jaxtyping.jaxtyped(typechecker=runtime_types.check)  # as the import hook decorates
    def add(x: Float[jax.Array, "out in"], y: Float[jax.Array, "out in"]) -> jax.Array:
        return x + y

    assert add(jnp.ones((2, 3)), jnp.ones((2, 3))).shape == (2, 3)
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'y'"):
        add(jnp.ones((2, 3)), jnp.ones((2, 1)))


def test_results_are_checked():
    @jaxtyping.jaxtyped(typechecker=runtime_types.check)
    def half(n: int) -> int:
        return n / 2

    with pytest.raises(jaxtyping.TypeCheckError, match="return 1.0"):
        half(2)
