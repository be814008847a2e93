"""What the benchmarks' options take. Needs no JAX."""

import argparse
from pathlib import Path


def count(text: str) -> int:
    """A number of rounds: at least 1."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, given {text!r}")
    return number


def share(text: str) -> float:
    """How often something spikes: between 0 and 1."""
    number = _number(text)
    if not 0 <= number <= 1:  # also where it is NaN
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, given {text!r}")
    return number


def seconds(text: str) -> float:
    """A time: more than 0."""
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of more than 0, given {text!r}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def new_file(text: str) -> Path:
    """A file to write to, in a folder that is there: said before hours of measuring are lost."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder that exists, given {text!r}")
    return path
