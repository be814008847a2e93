"""What the benchmarks' options take. Needs no JAX."""

import argparse
from pathlib import Path


def count(text: str) -> int:
    """A number of rounds: at least 1."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, given {text!r}")
    return number


def new_file(text: str) -> Path:
    """A file to write to, in a folder that is there: said before hours of measuring are lost."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder that exists, given {text!r}")
    return path
