"""How much memory a process takes: what is resident now, and the most that was.

XLA's own figure (`memory_analysis`) knows only what XLA allocates. Kernels that allocate for
themselves, compilers and other frameworks show in the process alone. Needs only Python.
"""

import ctypes
import gc
import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def settle() -> int:
    """Gives back what is free, forgets the peak where the system can (Linux), returns `now()`."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)
        try:
            _CLEAR.write_text("5")  # proc(5): resets the peak resident set
        except OSError:
            pass  # then the peak is that since the process began
    return now()


def now() -> int:
    """Bytes resident now; where the system doesn't say, the peak."""
    return _from_status("VmRSS") or peak()


def peak() -> int:
    """The most bytes that were resident since `settle`, or since the process began.

    Not `getrusage` where it can be helped: Linux hands its figure on from the parent.
    """
    in_status = _from_status("VmHWM")
    if in_status is not None:
        return in_status
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _from_status(field: str) -> int | None:
    if not _STATUS.exists():
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else None
