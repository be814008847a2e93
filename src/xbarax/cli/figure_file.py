"""Writes figures where the user wants them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from xbarax.cli.errors import UserError

FigureFile = Annotated[
    Path | None, tyro.conf.arg(metavar="FILE.png", help_behavior_hint="(default: none)")
]
"""The type of an option that says where to draw something, if anywhere."""


def check_figure_file(option: str, path: Path) -> None:
    """Refuses files that no figure can be written to, before the work of drawing it.

    Raises:
      UserError: the folder does not exist, or the name does not say a format that is known.
    """
    from matplotlib.figure import Figure

    known = sorted(Figure().canvas.get_supported_filetypes())
    if path.suffix.removeprefix(".").lower() not in known:
        raise UserError(f"{option}: expected a file name like figure.png, given {str(path)!r}")
    if not path.parent.is_dir():
        raise UserError(f"{option}: expected a folder that exists, given {str(path.parent)!r}")


def write_figure(option: str, path: Path, draw: Callable[[], Any]) -> None:
    """Draws a figure, writes it and says where it is.

    Raises:
      UserError: the file cannot be written.
    """
    figure = draw()
    try:
        figure.savefig(path)
    except OSError as error:
        raise UserError(f"{option}: {error}") from error
    print(f"figure written to {path}")
