"""Tests of chips compile many small programs with random numbers in them."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def compile_quickly(little_optimisation):
    """All tests here."""
