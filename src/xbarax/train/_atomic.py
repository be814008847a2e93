"""Files that are either as they were or completely new, whenever the process ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".partial"


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces the file by one with `content`, and returns when the disk has it.

    A process killed on the way leaves the old file as it was, and perhaps a hidden file beside it
    (`is_partial`), which the next write replaces.
    """
    partial = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        with naming(path), open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name into the system's errors that lack one, as those of writing do."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def is_partial(path: Path) -> bool:
    """Whether the file is one that `write_atomically` was killed in the middle of."""
    return path.name.startswith(".") and path.name.endswith(_SUFFIX)


def _sync_folder(folder: Path) -> None:
    """Makes the renaming itself last; the file's own sync does not cover it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
