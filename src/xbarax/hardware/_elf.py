"""Looks at a shared library's file before the system's loader does.

The loader reports a library for another machine in riddles, and dies on one that is cut short.
"""

import platform
import struct
import sys
from pathlib import Path

# e_machine of the ELF header (System V ABI), by the names that `platform.machine` gives.
_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "x86", "i686": "x86"}

_BYTE_ORDERS = {1: "little", 2: "big"}  # EI_DATA
_SHARED_LIBRARY = 3  # e_type ET_DYN
_OTHER_TYPES = {
    1: "an object file, not a shared library: link it with -shared",
    2: "a program, not a shared library: link it with -shared",
    4: "a memory dump, not a shared library",
}
_PROGRAM_HEADER = 56  # bytes, of a 64-bit file


def check(file: Path) -> None:
    """Refuses what the loader of this machine cannot load; other formats than ELF pass unseen.

    Raises:
      OSError: on Linux, not an ELF file; built for another machine; an object file or a program;
        cut short, or otherwise damaged.
    """
    content = file.read_bytes()
    if content[:4] != b"\x7fELF" or len(content) < 64:
        if platform.system() == "Linux":
            raise OSError(f"{file} is not a shared library (no ELF header)")
        return
    _check_machine(file, content)
    (kind,) = struct.unpack_from("=H", content, 16)
    if kind != _SHARED_LIBRARY:
        what = _OTHER_TYPES.get(kind, f"of ELF type {kind}, not a shared library")
        raise OSError(f"{file} is {what}")
    if content[4] == 2 and (end := _end_of_segments(file, content)) > len(content):
        raise OSError(
            f"{file} is cut short: it has {len(content)} bytes, its segments end at {end}"
        )


def _check_machine(file: Path, content: bytes) -> None:
    """Refuses another machine's file; what passes has this machine's byte order."""
    here = platform.machine().lower()
    here = _ALIASES.get(here, here)
    order = _BYTE_ORDERS.get(content[5], "unknown")
    (machine,) = struct.unpack_from(">H" if order == "big" else "<H", content, 18)
    built = _MACHINES.get(machine, f"ELF machine {machine}")
    if order != sys.byteorder:
        built, this = f"{order}-endian {built}", f"{sys.byteorder}-endian {here}"
    elif built != here:
        this = here
    else:
        return
    raise OSError(f"{file} is built for {built}, this machine is {this}: compile it for {here}")


def _end_of_segments(file: Path, content: bytes) -> int:
    """Where the last segment of a 64-bit ELF file ends, by its program headers."""
    (table,) = struct.unpack_from("=Q", content, 32)
    entry_size, entries = struct.unpack_from("=HH", content, 54)
    if entry_size != _PROGRAM_HEADER:
        raise OSError(
            f"{file} is damaged: its program headers have {entry_size} bytes each, expected "
            f"{_PROGRAM_HEADER}"
        )
    end = table + entry_size * entries
    if end > len(content):
        return end
    for entry in range(table, end, entry_size):
        offset, _, _, size = struct.unpack_from("=4Q", content, entry + 8)
        end = max(end, offset + size)
    return end
