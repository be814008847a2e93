"""The process that runs checks: it may crash or hang at any time, as the driver does."""

import dataclasses
import fcntl
import json
import mmap
import os
import resource
import signal
import sys
import threading
import traceback
from typing import Any

from xbarax.hardware._check._all import CHECKS
from xbarax.hardware._check._bench import Bench
from xbarax.hardware._check._device import Calls
from xbarax.hardware._check._result import DESCRIBED, Check, CheckResult, Failed, NotApplicable
from xbarax.hardware._sources import class_of, table_of
from xbarax.hardware._table import CTable

NOTE_BYTES = 64
"""The size of the file that says which function of the driver is running."""


def main() -> None:
    """Runs the checks that the first argument names, and writes a line for each."""
    task: dict[str, Any] = json.loads(sys.argv[1])
    stdin = _move_away(0)
    os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free: 0
    for end in ("results", "note"):
        task[end] = _move_away(task[end])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who supervises
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, args=[stdin], daemon=True).start()
    page = mmap.mmap(task["note"], NOTE_BYTES)

    def note(name: str) -> None:
        page[:] = name.encode().ljust(NOTE_BYTES, b"\0")

    _say(task, {"ready": True})
    bench = Bench(task["driver"], Calls(CTable(), note), task["config"], task["deadline"])
    bench.failed.update(task["failed"])
    for name in task["names"]:
        _say(task, {"begin": name})
        result = run_check(CHECKS[name], bench)
        if result is None:
            _say(task, {"refused": _refusal(bench)})
            return
        _say(task, {"result": dataclasses.asdict(result)})
    _say(task, {"end": True})
    note("(at the end of the process)")


def _say(task: dict[str, Any], what: dict[str, Any]) -> None:
    os.write(task["results"], json.dumps(what).encode() + b"\n")


def _move_away(file: int) -> int:
    """The same file under a number that a driver does not hit when it uses one that was closed."""
    moved = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(file)
    return moved


def _end_with_parent(stdin: int) -> None:
    while os.read(stdin, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # and what the driver has started


def run_check(check: Check, bench: Bench) -> CheckResult | None:
    """What comes of a check; None: there is no such driver. The bench learns of failures."""
    result = _run(check, bench)
    if result is not None and result.outcome == "fail":
        bench.failed.add(check.name)
    return result


def _run(check: Check, bench: Bench) -> CheckResult | None:
    try:
        bench.require(*check.needs)
        if check.name == "entry" and _refusal(bench):
            return None
        if check.name != "entry" and not bench.calls.table.struct_size:
            bench.calls.table = table_of(bench.driver)
        bench.begin(measures=DESCRIBED[-1] in check.needs)
        return check.result("pass", note=check.run(bench) or "")
    except Failed as failure:
        return check.result("fail", **failure.fields)
    except NotApplicable as reason:
        return check.result("not applicable", note=str(reason))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return check.result(
            "fail",
            asked=check.name,
            got=f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}, "
            f"line {place.lineno})",
            advice="the check itself stumbled over what the driver returned",
        )


def _refusal(bench: Bench) -> str:
    """Why there is no such driver in Python; "" if there is, or if importing it fails."""
    if not bench.is_python:
        return ""
    try:
        class_of(bench.driver)
    except ModuleNotFoundError as error:
        module = bench.driver.partition(":")[0]
        missing = str(error.name)
        return str(error) if module == missing or module.startswith(f"{missing}.") else ""
    except (ImportError, TypeError) as error:
        return str(error) if str(error).startswith(bench.driver) else ""
    except Exception:
        return ""  # the check of the entry tells
    return ""


if __name__ == "__main__":
    main()
