"""Reads measured response curves."""

import csv
import math
from pathlib import Path

import numpy as np

_COLUMNS = ("up", "down")


def read_response_csv(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a response curve from a CSV file.

    The file's first line names its columns; those named `up` and `down` are read, others are not.
    Each line below is a pulse. Where the branches differ in length, the cells of the shorter one
    are empty or `nan` at its end.

    Args:
      path: the file, in UTF-8.

    Returns:
      The conductances of the branch up and of the branch down, in siemens, float64.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is no such table: a column is missing, a cell is no number, or a branch has a
        gap. How the numbers must be is `fit_response`'s business.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(row, reader.line_num) for reader in [csv.reader(file)] for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8, given {error}") from error
    lines = [(row, number) for row, number in lines if any(cell.strip() for cell in row)]
    names = [cell.strip() for cell in lines[0][0]] if lines else []
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise ValueError(
            f"{path}: expected columns named up and down in the first line, given "
            f"{', '.join(map(repr, names)) or 'an empty file'}"
        )
    up, down = (_column(path, lines[1:], name, names.index(name)) for name in _COLUMNS)
    return up, down


def _column(
    path: str | Path, lines: list[tuple[list[str], int]], name: str, position: int
) -> np.ndarray:
    """The numbers of one column, up to where its empty cells begin."""
    values: list[float] = []
    ended_at = None
    for row, number in lines:
        text = row[position].strip() if position < len(row) else ""
        try:
            value = float(text) if text else math.nan
        except ValueError:
            raise ValueError(
                f"{path}, line {number}, column {name}: expected a number, given {text!r}"
            ) from None
        if math.isnan(value):
            ended_at = ended_at or number
        elif ended_at:
            raise ValueError(
                f"{path}, line {ended_at}, column {name}: expected a number, given none; only the "
                "end of a column may be empty"
            )
        else:
            values.append(value)
    return np.array(values)
