"""Writes a driver to begin with."""

import keyword
import re
from pathlib import Path
from typing import Literal

_TEMPLATES = Path(__file__).parent / "skeleton"

# What is written, and from which template; @NAME@ stands for the name in both.
_FILES = {
    "c": {
        "@NAME@.c": "driver.c.template",
        "CMakeLists.txt": "CMakeLists.txt.template",
        "README.md": "README.c.md.template",
    },
    "python": {
        "@NAME@.py": "driver.py.template",
        "README.md": "README.python.md.template",
    },
}

# CMake keeps some names of targets to itself.
_TAKEN = ("all", "check", "clean", "help", "install", "package", "test")


def write_skeleton(name: str, language: Literal["c", "python"], out: Path) -> list[Path]:
    """Writes a folder with a driver that works in memory, and passes the check.

    Args:
      name: of the driver, its file and its folder.
      language: "c" or "python".
      out: the folder to make that folder in.

    Returns:
      The files that were written.

    Raises:
      ValueError: a name that is no identifier, or that the language's tools keep to themselves.
      FileExistsError: the folder is there already.
      OSError: it cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,49}", name):
        raise ValueError(
            f"name: expected letters, digits and _, no digit first, at most 50, given {name!r}"
        )
    if name in _TAKEN or keyword.iskeyword(name) or name in ("xbarax", "numpy", "itertools"):
        raise ValueError(f"name: expected one that is not taken by other things, given {name!r}")
    if not out.is_dir():
        raise FileNotFoundError(f"{out}: expected a folder that exists")
    folder = out / name
    try:
        folder.mkdir()
    except FileExistsError:
        raise FileExistsError(f"{folder}: expected a folder that is new") from None
    written = []
    for file, template in _FILES[language].items():
        path = folder / file.replace("@NAME@", name)
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        path.write_text(text.replace("@NAME@", name), encoding="utf-8")
        written.append(path)
    return written
