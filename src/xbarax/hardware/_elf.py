"""Looks at a shared library's file before the system's loader does.

The loader reports a library for another machine in riddles, and dies on one that is cut short.
"""

import platform
import struct
from pathlib import Path

# e_machine of the ELF header (System V ABI), by the names that `platform.machine` gives.
_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "x86", "i686": "x86"}


def check(file: Path) -> None:
    """Refuses what the loader of this machine cannot load; other formats than ELF pass unseen.

    Raises:
      OSError: on Linux, not an ELF file; built for another machine; or cut short.
    """
    content = file.read_bytes()
    if content[:4] != b"\x7fELF" or len(content) < 64:
        if platform.system() == "Linux":
            raise OSError(f"{file} is not a shared library (no ELF header)")
        return
    order = "<" if content[5] == 1 else ">"
    (machine,) = struct.unpack_from(f"{order}H", content, 18)
    here = platform.machine().lower()
    here = _ALIASES.get(here, here)
    built = _MACHINES.get(machine, f"ELF machine {machine}")
    if built != here:
        raise OSError(f"{file} is built for {built}, this machine is {here}: compile it for {here}")
    if content[4] == 2 and (end := _end_of_segments(content, order)) > len(content):
        raise OSError(
            f"{file} is cut short: it has {len(content)} bytes, its segments end at {end}"
        )


def _end_of_segments(content: bytes, order: str) -> int:
    """Where the last segment of a 64-bit ELF file ends, by its program headers."""
    (table,) = struct.unpack_from(f"{order}Q", content, 32)
    entry_size, entries = struct.unpack_from(f"{order}HH", content, 54)
    end = table + entry_size * entries
    if end > len(content):
        return end
    for entry in range(table, end, entry_size):
        offset, _, _, size = struct.unpack_from(f"{order}4Q", content, entry + 8)
        end = max(end, offset + size)
    return end
