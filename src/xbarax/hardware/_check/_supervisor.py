"""Who supervises the checks: they run in another process, and outlive it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from os import PathLike
from typing import IO, Any

from xbarax.hardware import _sources
from xbarax.hardware._check._result import Check, CheckResult
from xbarax.hardware._driver import AbstractDriver

_START_SECONDS = 120.0
_MOST_HANGS = 3

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])["path"]
from xbarax.hardware._check import _child
_child.main()
"""


def check(
    driver: str | PathLike | type[AbstractDriver],
    *,
    config: dict[str, Any] | None = None,
    deadline: float = 20.0,
    on_result: Callable[[CheckResult], None] | None = None,
) -> list[CheckResult]:
    """Checks whether a driver keeps the contract of `xbarax/driver.h`.

    The checks run in a process of their own, which a driver may crash or hang: that is a failure
    of the check at which it happens, and the others go on in a fresh process. They open and close
    the device many times, and program it with random weights. Results are compared within what the
    device describes as its errors and 8 standard deviations of its noise: a driver whose noise is
    Gaussian fails by chance with a probability below 1e-6.

    Args:
      driver: as for `xbarax.hardware.load`; a class must be one that another process can import,
        from the current directory or `sys.path`.
      config: what the driver's `open` gets, a dictionary of what JSON can hold; None: nothing.
      deadline: how long each check may take, in seconds.
      on_result: called with each result as it comes.

    Returns:
      A result for each check; their order is that in which to mend what failed.

    Raises:
      FileNotFoundError, IsADirectoryError: there is no such file.
      OSError: the file is not a shared library for this machine.
      ImportError, TypeError: there is no such class, or it is no driver.
      ValueError: a class that another process cannot import, a configuration that JSON cannot
        hold, a deadline that is not above 0.
    """
    name = _sources.name_of(driver)
    if name.startswith("__main__:") or "<locals>" in name or "#" in name:
        raise ValueError(
            f"driver: expected a class that another process can import, given {name}: put it into "
            "a module of its own"
        )
    if not (isinstance(deadline, int | float) and 0 < deadline < float("inf")):
        raise ValueError(f"deadline: expected seconds above 0, given {deadline!r}")
    return _Supervisor(name, _text_of(config), float(deadline), on_result or (lambda _: None)).run()


def _text_of(config: dict[str, Any] | None) -> str:
    given = {} if config is None else config
    if not isinstance(given, dict):
        raise TypeError(f"config: expected a dictionary or None, given {given!r}")
    try:
        return json.dumps(given, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config: expected what JSON can hold, given {given!r}: {error}") from None


class _Supervisor:
    """Runs all checks of a driver, in as many processes as it takes."""

    def __init__(
        self, name: str, config: str, deadline: float, on_result: Callable[[CheckResult], None]
    ):
        from xbarax.hardware._check._all import CHECKS

        self._checks = CHECKS
        self._task = {"driver": name, "config": config, "deadline": deadline}
        self._deadline = deadline
        self._on_result = on_result
        self._results: list[CheckResult] = []
        self._hangs = 0

    def run(self) -> list[CheckResult]:
        """All results."""
        pending = list(self._checks)
        while pending:
            before = len(self._results)
            with _Process({**self._task, "names": pending, "failed": self._failed()}) as process:
                self._follow(process)
            if len(self._results) == before:
                raise RuntimeError(f"the process for the checks did not start: {process.words()}")
            done = {result.name for result in self._results}
            pending = [name for name in pending if name not in done]
            if self._hangs >= _MOST_HANGS:
                note = f"not run: {_MOST_HANGS} checks did not end in time; mend those first"
                for name in pending:
                    self._tell(self._checks[name].result("not applicable", note=note))
                pending = []
        return self._results

    def _failed(self) -> list[str]:
        return [result.name for result in self._results if result.outcome == "fail"]

    def _tell(self, result: CheckResult) -> None:
        self._results.append(result)
        self._on_result(result)

    def _follow(self, process: "_Process") -> None:
        """Takes a process's results until it ends, by itself or by force."""
        running: Check | None = None
        for message in process.messages(_START_SECONDS, self._deadline):
            if "refused" in message:
                raise ImportError(message["refused"])
            if "begin" in message:
                running = self._checks[message["begin"]]
            elif "result" in message:
                self._tell(CheckResult(**message["result"]))
                running = None
            elif "end" in message:
                self._tell(_end_result(process, self._deadline))
                return
        if running is not None:
            self._hangs += process.hung
            self._tell(_died(running, process, self._deadline))


_END = Check(
    "end of the process", "no exit or crash by a driver, also when it is unloaded", (), str
)


def _end_result(process: "_Process", deadline: float) -> CheckResult:
    """What comes of the process's end, after all checks."""
    process.wait(deadline)
    if process.hung or process.code != 0:
        return _died(_END, process, deadline)
    words = process.words()
    return _END.result("pass", note=f"it prints, which users see: {words}" if words else "")


def _died(check: Check, process: "_Process", deadline: float) -> CheckResult:
    """The failure of a check whose process did not survive it."""
    name = process.note()
    inside = f" in `{name}`" if name else " outside of the driver's functions"
    words = f"; its last words: {process.words()}" if process.words() else ""
    asked = f"{check.name}, in a process that ended here"
    if process.hung:
        return check.result(
            "fail",
            asked=check.name,
            got=f"no end within {deadline:g} s{inside}",
            contract="XBARAX_TIMEOUT: a driver does not wait for its chip for ever",
            advice="give up waiting, and return XBARAX_TIMEOUT; for a chip that is slow, but not "
            "stuck, see --deadline",
        )
    if (code := process.code) is not None and code >= 0:
        return check.result(
            "fail",
            asked=asked,
            got=f"the process ended with exit code {code}{inside}{words}",
            contract="no exception, longjmp or exit may leave a driver",
            advice="return a status instead",
        )
    return check.result(
        "fail",
        asked=asked,
        got=f"the process ended by {_signal_name(code)}{inside}{words}",
        contract="errors are returned as a status; a driver does not end the process",
        advice="run the driver under a debugger, or built with -fsanitize=address; a crash outside "
        "of the call that caused it comes from memory that was overwritten",
    )


def _signal_name(code: int | None) -> str:
    try:
        return signal.Signals(-(code or 0)).name
    except ValueError:
        return f"signal {-(code or 0)}"


class _Process:
    """A process that runs checks."""

    def __init__(self, task: dict[str, Any]):
        from xbarax.hardware._check._child import NOTE_BYTES

        self.hung = False
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._notes: IO[bytes] = tempfile.TemporaryFile()
        self._notes.truncate(NOTE_BYTES)
        self._results, write = os.pipe()
        task = {**task, "results": write, "note": self._notes.fileno(), "path": _path()}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(task)],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(write, self._notes.fileno()),
                start_new_session=True,
                # A faulthandler would tell in its way what is told here.
                env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONFAULTHANDLER": ""},
            )
        finally:
            os.close(write)

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._last_words = self.words()
        os.close(self._results)
        self._log.close()
        self._notes.close()

    def messages(self, first: float, next_: float) -> Iterator[dict[str, Any]]:
        """What the process says, until it ends or, for so many seconds, says nothing."""
        text = b""
        until = time.monotonic() + first
        while True:
            line, newline, rest = text.partition(b"\n")
            if newline:
                text = rest
                with contextlib.suppress(ValueError):  # a driver may write there, too
                    yield json.loads(line)
                until = time.monotonic() + next_
                continue
            if not self._wait_for_results(until):
                self.wait(0.0 if time.monotonic() >= until else next_)
                return
            more = os.read(self._results, 1 << 16)
            if not more:
                self.wait(next_)
                return
            text += more

    def _wait_for_results(self, until: float) -> bool:
        """Whether more can be read; else the process is late, or has ended.

        A process that a driver has started may keep the pipe open.
        """
        while True:
            ended = self._process.poll() is not None
            left = 0.0 if ended else min(max(until - time.monotonic(), 0), 0.2)
            if select.select([self._results], [], [], left)[0]:
                return True
            if ended or time.monotonic() >= until:
                return False

    def wait(self, seconds: float) -> None:
        """Waits for the process's end; one that has none is ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.hung = True
            self._kill()

    def _kill(self) -> None:
        """Ends the process, and what the driver has started in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def code(self) -> int | None:
        """The exit code, or minus the signal."""
        return self._process.returncode

    def note(self) -> str:
        """Which function of the driver was running."""
        self._notes.seek(0)
        return self._notes.read().rstrip(b"\0").decode(errors="replace")

    def words(self) -> str:
        """The last line that the process printed."""
        if self._log.closed:
            return self._last_words
        self._log.seek(max(self._log.seek(0, os.SEEK_END) - 2000, 0))
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines()]
        printed = "".join(c for c in next(filter(None, reversed(lines)), "") if c.isprintable())
        return printed[:300]


def _path() -> list[str]:
    """Where the process finds modules: in the current directory, and where this one does."""
    return [os.getcwd(), *(folder for folder in sys.path if folder)]
