"""Checks of how a driver begins: its table, opening, what it says of itself."""

import ctypes
import dataclasses
import math
import threading
from typing import Any

from xbarax.hardware._check._bench import Bench
from xbarax.hardware._check._device import CANARY
from xbarax.hardware._check._result import Checklist, Failed, status_name
from xbarax.hardware._driver import CAPABILITIES, AbstractDriver, Description, Status
from xbarax.hardware._sources import class_of, table_of
from xbarax.hardware._table import VERSION, CDescription, CTable

entry = Checklist()
opening = Checklist("entry", "table")
describing = Checklist("entry", "table", "open", "describe")

_REQUIRED = ("open", "close", "last_error", "describe", "allocate", "release", "program", "read")


@entry.add(
    "entry", "a driver exports xbarax_driver_entry, which returns its table, always the same"
)
def _entry(bench: Bench) -> None:
    bench.calls.note("xbarax_driver_entry")
    try:
        first = table_of(bench.driver)
    except Exception as error:
        raise Failed(
            asked=f"load {bench.driver} and call xbarax_driver_entry",
            got=f"{type(error).__name__}: {error}",
            advice="export xbarax_driver_entry with C linkage and default visibility, link all "
            "libraries that the driver needs, and return a table that is not NULL",
        ) from None
    second = table_of(bench.driver)
    bench.calls.note("")
    if ctypes.addressof(first) != ctypes.addressof(second) or bytes(first) != bytes(second):
        raise Failed(
            asked="xbarax_driver_entry twice",
            got="two tables",
            advice="return the address of one table that is static and const",
        )


@entry.add("table", "version_major 1, version_minor 0, struct_size, eight functions", ("entry",))
def _table(bench: Bench) -> None:
    table = bench.calls.table
    version = table.version_major, table.version_minor
    if version != VERSION:
        raise Failed(
            asked="the table's version",
            got="{}.{}".format(*version),
            contract="version_major and version_minor are XBARAX_DRIVER_VERSION_MAJOR and _MINOR, "
            "{} and {} here".format(*VERSION),
            advice="set both by these names, and compile with this xbarax's driver.h",
        )
    if table.struct_size != (size := ctypes.sizeof(CTable)):
        raise Failed(
            asked="the table's struct_size",
            got=f"{table.struct_size} bytes",
            contract=f"struct_size is sizeof(xbarax_driver), {size} bytes here",
            advice="write .struct_size = sizeof(xbarax_driver)",
        )
    if missing := [name for name in _REQUIRED if not getattr(table, name)]:
        raise Failed(
            asked="the functions that every driver has",
            got=f"NULL for {', '.join(missing)}",
            contract=f"no driver goes without {', '.join(_REQUIRED)}",
            advice=f"implement {', '.join(missing)}, and put them into the table",
        )


@opening.add("open", "open sets *device on success; last_error never returns NULL")
def _open(bench: Bench) -> None:
    if bench.calls.text(None) is None:
        raise _null_text("last_error(NULL) before any open")
    with bench.device() as device:
        if device.text() is None:
            raise _null_text("last_error(device) before any error")


def _null_text(asked: str) -> Failed:
    return Failed(
        asked=asked,
        got="NULL",
        contract="last_error never returns NULL",
        advice='return "" where nothing went wrong yet',
    )


_ODD_CONFIGS = (
    '{"xbarax-check: no driver knows this": [1, -2.5e300, null, {"deep": [[[]]]}]}',
    '{"xbarax-check: long": "' + "x" * 65536 + '"}',
    '{"xbarax-check: \\u00e9\\"\\\\": "\u00e9\\n"}',
)


@opening.add(
    "open: odd configurations",
    "open returns a status and, where it fails, leaves *device alone and says why",
    ("open",),
)
def _odd(bench: Bench) -> str:
    refused = 0
    for config in _ODD_CONFIGS:
        found: list[tuple[int, int | None]] = []
        # A driver may keep the text for each thread; who asks for it may be in another.
        worker = threading.Thread(target=lambda c=config, f=found: f.append(bench.calls.open(c)))
        worker.start()
        worker.join()
        ((status, pointer),) = found
        if status == Status.OK:
            bench.calls("close", pointer)
            continue
        refused += 1
        check_open_refusal(bench, config[:60], status, pointer)
    return f"{refused} of {len(_ODD_CONFIGS)} refused, the others ignored"


def check_open_refusal(bench: Bench, config: str, status: int, pointer: int | None) -> None:
    asked = f"open, in another thread, with {config}"
    if pointer not in (None, CANARY):
        raise Failed(
            asked=asked,
            got=f"{status_name(status)}, but *device was set",
            contract="sets *device on success, and only then",
            advice="free what was made, and leave *device as it is",
        )
    if not bench.calls.text(None):
        raise Failed(
            asked=asked,
            got=f"{status_name(status)}, and last_error(NULL) says nothing",
            contract="with NULL: what went wrong in the last open, of any thread",
            advice="keep the reason in a static buffer, not one of each thread",
        )
    _check_status("open", status)


def _check_status(name: str, status: int) -> None:
    if status not in Status.__members__.values():
        raise Failed(
            asked=name,
            got=status_name(status),
            contract="a function returns XBARAX_OK or another of the XBARAX_ statuses",
            advice="return a status of driver.h",
        )


@opening.add("open and close, again", "a device can be closed and opened anew", ("open",))
def _again(bench: Bench) -> str:
    before = bytes(bench.calls.table)
    count = 0
    for _ in bench.repeat(20, least=3):
        count += 1
        error = bench.calls.text(None)
        with bench.device() as device:
            device.describe()
        if bench.is_python and (now := bench.calls.text(None)) != error:
            raise Failed(asked="close", got=f"{now}", advice="close without an exception")
    if bytes(bench.calls.table) != before:
        raise Failed(
            asked="the table, after devices were opened and closed",
            got="another one than before",
            contract="the table never changes",
            advice="make the table const",
        )
    return f"{count} times"


@opening.add("describe", "name, limits, range and errors of the device", ("open",))
def _describe(bench: Bench) -> str:
    with bench.device() as device:
        said, raw = _described(device)
    if b"\0" not in raw or raw[:1] == b"\0":
        raise Failed(
            asked="describe: name",
            got=repr(raw[:64]),
            contract="char name[64]: of the chip, ended by a zero",
            advice="write 1 to 63 bytes and a zero, as snprintf does",
        )
    for name, got, contract in _wrong_fields(said):
        raise Failed(
            asked=f"describe: {name}",
            got=got,
            contract=contract,
            advice=f"set {name} in describe (all members that you do not set hold garbage)",
        )
    text = raw.split(b"\0")[0].decode(errors="replace")
    return (
        f"{text!r}, at most {said.max_outputs}×{said.max_inputs}, weights {said.weight_low:g} to "
        f"{said.weight_high:g}"
    )


def _described(device: Any, filled: int = 0xA5) -> tuple[CDescription, bytes]:
    """What `describe` writes over garbage, and the bytes of the name."""
    room = (ctypes.c_char * (ctypes.sizeof(CDescription) + 256))()  # some write beyond it
    ctypes.memset(room, filled, len(room))
    said = CDescription.from_buffer(room)
    said.struct_size = ctypes.sizeof(CDescription)
    device.must("describe", "describe", ctypes.byref(said))
    begin = CDescription.name.offset
    return said, bytes(room)[begin : begin + 64]


def _wrong_fields(said: CDescription) -> list[tuple[str, str, str]]:
    """Members that cannot be: name, what is there, what should be."""
    wrong = []
    for name in ("max_outputs", "max_inputs"):
        if (number := getattr(said, name)) == 0xA5A5A5A5:  # what was there before
            wrong.append((name, "not written", f"{name}: of one array"))
        elif number == 0:
            wrong.append((name, "0", f"{name}: of one array; at least 1"))
    if said.max_arrays == 0xA5A5A5A5:
        wrong.append(("max_arrays", "not written", "max_arrays: at one time; 0: not known"))
    if said.capabilities >> len(CAPABILITIES):
        wrong.append(("capabilities", hex(said.capabilities), "capabilities: XBARAX_CAN_… bits"))
    low, high = said.weight_low, said.weight_high
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        wrong.append(("weight_low and weight_high", f"{low:g} and {high:g}", "finite, low < high"))
    garbage = CDescription.from_buffer_copy(b"\xa5" * ctypes.sizeof(CDescription)).weight_low
    for name in ("weight_low", "weight_high", "weight_error", "read_noise", "read_error"):
        if (x := getattr(said, name)) == garbage:
            wrong.append((name, "not written", "describe says what the device is"))
        elif "weight_e" in name or "read" in name:
            if not (math.isfinite(x) and x >= 0):
                wrong.append((name, f"{x:g}", f"{name}: finite, at least 0"))
    return wrong


@describing.add("describe: capabilities", "what the device describes as its capabilities is there")
def _capabilities(bench: Bench) -> str:
    said = bench.said.capabilities
    if missing := [name for name in said if not getattr(bench.calls.table, name)]:
        raise Failed(
            asked="the functions of the capabilities that describe names",
            got=f"NULL for {', '.join(sorted(missing))}",
            advice="implement them, or leave their XBARAX_CAN_… bits out",
        )
    if bench.is_python and (missing := _inherited(bench)):
        raise Failed(
            asked="the methods of the capabilities that describe names",
            got=f"none in the class for {', '.join(missing)}",
            advice="implement them, or leave them out of capabilities",
        )
    return ", ".join(name for name in CAPABILITIES if name in said) or "none beyond reading"


def _inherited(bench: Bench) -> list[str]:
    made = class_of(bench.driver)
    said = sorted(bench.said.capabilities)
    return [name for name in said if getattr(made, name) is getattr(AbstractDriver, name)]


@describing.add("describe: the same while open", "describe: the same for as long as it is open")
def _stable(bench: Bench) -> None:
    with bench.device() as device:
        first = device.describe()
        device.allocate(1, 1)
        later = device.describe()
    if changes := _changes(first, later):
        raise Failed(
            asked="describe, before and after an array was allocated",
            got=", ".join(changes),
            advice="describe the whole device, not what is left of it",
        )


def _changes(first: Description, later: Description) -> list[str]:
    """The fields that differ."""
    before, after = dataclasses.asdict(first), dataclasses.asdict(later)
    return [f"{k} was {before[k]}, then {after[k]}" for k in before if before[k] != after[k]]


@describing.add("describe: stays in its room", "struct_size: write no member that lies beyond it")
def _room(bench: Bench) -> None:
    size = ctypes.sizeof(CDescription)
    with bench.device() as device:
        for extra in (0, 40):  # a newer xbarax has more members
            room = (ctypes.c_ubyte * (size + extra + 256))(*[0xC3] * (size + extra + 256))
            said = CDescription.from_buffer(room)
            said.struct_size = size + extra
            device.must("describe", "describe", ctypes.byref(said))
            past = [i for i, byte in enumerate(room[size + extra :]) if byte != 0xC3]
            if past:
                raise Failed(
                    asked=f"describe with a struct_size of {size + extra} bytes",
                    got=f"{past[-1] + 1} bytes past its end were written",
                    advice="write members by name, and the name with a bound of 64 bytes",
                )
