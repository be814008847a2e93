"""The tests' own net: annotations are checked at run time."""

import jax
import jaxtyping
import pytest
from jax import numpy as jnp

import xbarax as xb


def test_arguments_are_checked():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'array'"):
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
