"""What a check is, and what comes of it."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

from xbarax.hardware._driver import Status

DESCRIBED = ("entry", "table", "open", "describe", "describe: capabilities")
"""The checks without which there is nothing to call."""

READS = ("read: one vector", "read: batch", "read: whatever results held")
"""The checks without which results tell nothing."""

Outcome = Literal["pass", "fail", "not applicable"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What came of one check of a driver.

    Args:
      name: of the check.
      outcome: "pass", "fail" or "not applicable".
      note: of a pass, what was measured or could be better; else why the check does not apply.
      asked: of a failure, what the driver was asked.
      got: what came back.
      contract: what the contract says.
      advice: what to do about it.
    """

    name: str
    outcome: Outcome
    note: str = ""
    asked: str = ""
    got: str = ""
    contract: str = ""
    advice: str = ""


class Failed(Exception):
    """The driver breaks the contract.

    Args:
      asked: what the driver was asked.
      got: what came back.
      advice: what to do about it.
      contract: what the contract says; "": what the check is about.
    """

    def __init__(self, *, asked: str, got: str, advice: str, contract: str = ""):
        super().__init__(got)
        self.fields = {"asked": asked, "got": got, "advice": advice}
        if contract:
            self.fields["contract"] = contract


class NotApplicable(Exception):
    """This driver has not what a check is about; the text says what."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Args:
      name: of the check; no other has it.
      contract: the part of the contract that it is about.
      needs: the checks without which it tells nothing new.
      run: checks what it is given, a bench: returns a note or "", raises what it finds.
    """

    name: str
    contract: str
    needs: tuple[str, ...]
    run: Callable[[Any], str | None]

    def result(self, outcome: Outcome, **fields: str) -> CheckResult:
        """What came of it."""
        if outcome == "fail":
            fields = {"contract": self.contract, **fields}
        return CheckResult(name=self.name, outcome=outcome, **fields)


class Checklist:
    """The checks of a file, in the order in which they are run.

    Args:
      needs: what all of them need.
    """

    def __init__(self, *needs: str):
        self._needs = needs
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)

    def add(self, name: str, contract: str, needs: tuple[str, ...] = ()) -> Callable:
        """Puts the decorated function on the list."""

        def put(run: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
            self._checks.append(Check(name, contract, (*self._needs, *needs), run))
            return run

        return put


def status_name(status: int) -> str:
    """A status as the header spells it."""
    if status in Status.__members__.values():
        return "XBARAX_OK" if status == 0 else f"XBARAX_{Status(status).name}"
    return f"{status}, which is no status,"
