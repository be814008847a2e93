"""What pyproject.toml promises about the package, against the package and the JAX it runs on."""

import importlib.resources
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import jax
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())


def _requirement(name: str, lines: list[str]) -> Requirement:
    (found,) = (r for r in map(Requirement, lines) if r.name == name)
    return found


@pytest.fixture
def supported() -> Requirement:
    return _requirement("jax", PYPROJECT["project"]["dependencies"])


def test_builds_against_the_oldest_supported_jaxlib(supported):
    (oldest,) = (s.version for s in supported.specifier if s.operator == ">=")
    headers = _requirement("jaxlib", PYPROJECT["build-system"]["requires"])
    assert str(headers.specifier) == f"=={oldest}"


def test_runs_on_a_supported_jax(supported):
    assert Version(jax.__version__) in supported.specifier


def test_does_not_take_the_first_jax_that_nobody_tested(supported):
    assert any(s.operator == "<" for s in supported.specifier)


def test_command_is_a_function_of_the_package():
    (name, target), *others = PYPROJECT["project"]["scripts"].items()
    assert (name, others) == ("xbarax", [])
    assert callable(EntryPoint(name, target, "console_scripts").load())


def test_types_are_for_users_too():
    assert (importlib.resources.files("xbarax") / "py.typed").is_file()
