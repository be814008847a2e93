"""Reads measured response curves."""

import csv
import io
import math
from pathlib import Path

import numpy as np

_COLUMNS = ("up", "down")
_SEPARATORS = (",", ";", "\t")

Lines = list[tuple[list[str], int]]


def read_response_csv(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a response curve from a CSV file.

    The file's first line names its columns, between commas, semicolons or tabs; those named `up`
    and `down`, in letters of either case, are read, others are not. Each line below is a pulse.
    Where the branches differ in length, the cells of the shorter one are empty or `nan` at its end.

    Args:
      path: the file, in UTF-8.

    Returns:
      The conductances of the branch up and of the branch down, in siemens, float64.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is no such table: a column is missing or there twice, a line has more cells
        than the first, a cell is no number or has a decimal comma, or a branch has a gap. How the
        numbers must be is `fit_response`'s business.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            text = file.read()
        tables = [_lines(text, separator) for separator in _SEPARATORS]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8, given {error}") from error
    lines = max(tables, key=lambda lines: len(lines[0][0]) if lines else 0)
    given = [cell.strip() for cell in lines[0][0]] if lines else []
    names = [name.lower() for name in given]
    if any(names.count(name) != 1 for name in _COLUMNS):
        raise ValueError(
            f"{path}: expected one column named up and one named down in the first line, given "
            f"{', '.join(map(repr, given)) or 'an empty file'}"
        )
    _check_widths(path, lines[1:], len(names))
    up, down = (_column(path, lines[1:], name, names.index(name)) for name in _COLUMNS)
    return up, down


def _lines(text: str, separator: str) -> Lines:
    """The cells of the lines that are not empty, and the lines' numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [(row, reader.line_num) for row in reader if any(cell.strip() for cell in row)]


def _check_widths(path: str | Path, lines: Lines, width: int) -> None:
    """Refuses decimal commas that would pass for separators."""
    for row, number in lines:
        if any(cell.strip() for cell in row[width:]):
            raise ValueError(
                f"{path}, line {number}: expected {width} cells, as in the first line, given "
                f"{len(row)}; decimals need a point, not a comma"
            )


def _column(path: str | Path, lines: Lines, name: str, position: int) -> np.ndarray:
    """The numbers of one column, up to where its empty cells begin."""
    values: list[float] = []
    ended_at = None
    for row, number in lines:
        text = row[position].strip() if position < len(row) else ""
        try:
            value = float(text) if text else math.nan
        except ValueError:
            decimal = " with a decimal point" if "," in text else ""
            raise ValueError(
                f"{path}, line {number}, column {name}: expected a number{decimal}, given {text!r}"
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
