"""The check finds what is wrong with a driver where it is wrong, and passes good drivers."""

import json
from pathlib import Path

import pytest

import xbarax as xb
from tests.hardware.conftest import compile_library
from xbarax.hardware import _sources
from xbarax.hardware._check._all import CHECKS
from xbarax.hardware._check._bench import Bench
from xbarax.hardware._check._child import run_check
from xbarax.hardware._check._device import Calls
from xbarax.hardware._table import CTable

HERE = Path(__file__).parent
PYTHON = "tests.hardware.misbehaving"

# Each bug, and the check that finds it before all others do.
FOUND_BY = {
    "NO_TABLE": "entry",
    "VERSION_MAJOR": "table",
    "VERSION_MINOR": "table",
    "STRUCT_SIZE": "table",
    "NO_READ_FUNCTION": "table",
    "NO_DEVICE": "open",
    "NULL_TEXT": "open",
    "SETS_DEVICE_ON_FAILURE": "open: odd configurations",
    "SILENT_OPEN": "open: odd configurations",
    "THREAD_LOCAL_OPEN_ERROR": "open: odd configurations",
    "UNTERMINATED_NAME": "describe",
    "RANGE_UPSIDE_DOWN": "describe",
    "NAN_NOISE": "describe",
    "FORGETS_A_MEMBER": "describe",
    "CAPABILITY_NULL": "describe: capabilities",
    "DESCRIBES_WHAT_IS_LEFT": "describe: the same while open",
    "DESCRIBES_BEYOND": "describe: stays in its room",
    "STATIC_STATE": "two devices at once",
    "TRANSPOSED_WEIGHTS": "read: one vector",
    "NAN_RESULT": "read: one vector",
    "IGNORES_SIGN": "read: one vector",
    "NOT_LINEAR": "read: one vector",
    "READ_OUT_OF_WISHES": "read: one vector",
    "TRANSPOSED_RESULTS": "read: batch",
    "IGNORES_N": "read: batch",
    "ACCUMULATES": "read: whatever results held",
    "SKIPS_ZEROS": "read: zeros",
    "CLIPS_INPUTS": "read: large inputs",
    "DROPS_TINY_INPUTS": "read: tiny inputs",
    "ONE_SCALE_FOR_A_BATCH": "read: vectors of many sizes",
    "BIASED": "read: tiny inputs",
    "NOISE_LARGER": "read: stated read_noise",
    "READ_CHANGES_STATE": "read: leaves weights alone",
    "TRANSPOSED_READ_IS_READ": "read_transposed: one vector",
    "TRANSPOSED_READ_SCALED": "read_transposed: one vector",
    "COARSE_WEIGHTS": "program: stated weight_error",
    "PROGRAM_ADDS": "program: again",
    "ENDS_OUT_OF_REACH": "program: ends of the range",
    "UPDATE_TWICE": "update: adds the deltas",
    "UPDATE_SUBTRACTS": "update: adds the deltas",
    "UPDATE_BEYOND": "update: stops at the ends",
    "UPDATE_DROPS_SMALL": "update: many",
    "PULSE_BACKWARDS": "pulse: direction",
    "PULSE_NOTHING": "pulse: direction",
    "PULSE_TRANSPOSED": "pulse: the right weights",
    "PULSE_ZERO_MOVES": "pulse: none",
    "SMALLER_THAN_STATED": "allocate: shapes",
    "FEWER_ARRAYS": "allocate: until it is full",
    "MORE_ARRAYS": "allocate: until it is full",
    "WRONG_STATUS_WHEN_FULL": "allocate: until it is full",
    "NO_ROOM_AGAIN": "allocate: until it is full",
    "SHARED_WEIGHTS": "arrays: independent",
    "SAME_NUMBER": "arrays: independent",
    "KEEPS_WEIGHTS": "buffers: not used after the call",
    "KEEPS_INPUTS": "buffers: not used after the call",
    "KEEPS_RESULTS": "buffers: not used after the call",
    "OVERRUN": "buffers: nothing beside them",
    "UNDERRUN": "buffers: nothing beside them",
    "CHANGES_INPUTS": "buffers: nothing beside them",
    "OK_FOR_UNKNOWN": "errors: unknown array",
    "LOST_FOR_WRONG_ARRAY": "errors: unknown array",
    "UNKNOWN_STATUS": "errors: unknown array",
    "NO_TEXT": "errors: unknown array",
    "OK_FOR_RELEASED": "errors: released array",
    "THREAD_LOCAL_TEXT": "errors: text",
    "UNDESCRIBED_WORKS": "errors: what is not described",
    "THREAD_AFFINITY": "threads: one after the other",
    "STATIC_BUFFER": "threads: two devices",
    "LEAKS_ARRAYS": "memory: allocate and release",
    "LEAKS_A_LITTLE": "memory: allocate and release",
    "LEAKS_DEVICES": "memory: open and close",
    "LEAKS_IN_READ": "memory: calls",
}

# What is found on the way, and is a part of the same.
ALSO = {
    "NO_TEXT": {"allocate: beyond the largest", "allocate: until it is full"},
    "UNKNOWN_STATUS": {"allocate: beyond the largest", "allocate: until it is full"},
    "LOST_FOR_WRONG_ARRAY": {"allocate: beyond the largest", "allocate: until it is full"},
    "READ_CHANGES_STATE": {"read: tiny inputs"},
    "PULSE_ZERO_MOVES": {"pulse: the right weights"},
    "COARSE_WEIGHTS": {"read: stated read_error"},  # which is at its edge, with the noise
}

# What the result must say, where it can be told.
SAYS = {
    "TRANSPOSED_WEIGHTS": "looks transposed: weights taken as [inputs][outputs]",
    "TRANSPOSED_RESULTS": "looks transposed: results given as [outputs][n]",
    "IGNORES_N": "looks like the first vector's results",
    "NAN_RESULT": "numbers are NaN or infinite",
    "ACCUMULATES": "looks added to what the buffer held",
    "UPDATE_TWICE": "looks like the deltas added twice",
    "PROGRAM_ADDS": "looks like the sum of both",
    "STATIC_STATE": "no such array",
    "OVERRUN": "4 bytes past the end",
    "UNDERRUN": "4 bytes before the begin",
    "KEEPS_WEIGHTS": "looks like what the buffer held after the call",
    "CAPABILITY_NULL": "NULL for pulse",
    "NO_READ_FUNCTION": "NULL for read",
    "VERSION_MAJOR": "2.0",
}


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory):
    """Compiles the driver with a bug."""
    folder = tmp_path_factory.mktemp("misbehaving")
    include = f"-I{xb.hardware.include_dir()}"

    def make(bug):
        flags = ("-std=gnu99", "-O1", "-shared", include, f"-DBUG={bug}")
        return compile_library(HERE / "misbehaving.c", folder / f"{bug}.so", *flags, "-lm")

    return make


def run(driver, names):
    """Runs checks here: for drivers that crash nothing."""
    bench = Bench(_sources.name_of(driver), Calls(CTable(), lambda _: None), "{}", 4.0)
    return [run_check(CHECKS[name], bench) for name in names]


def until(expected):
    """The check that should find something, and those before it, but for slow ones."""
    slow = lambda name: name.startswith(("memory:", "xbarax:", "threads: two"))
    names = list(CHECKS)
    before = names[: names.index(expected)]
    return [name for name in before if not slow(name)] + [expected]


def failures(results):
    return [result for result in results if result.outcome == "fail"]


@pytest.mark.parametrize("bug", FOUND_BY)
def test_a_bug_is_found_by_the_right_check(bug, misbehaving):
    found = failures(run(misbehaving(bug), until(FOUND_BY[bug])))
    first = [result for result in found if result.name not in ALSO.get(bug, ())]
    assert first, found
    assert first[0].name == FOUND_BY[bug], first[0].got
    assert SAYS.get(bug, "") in first[0].got
    for result in found:
        assert all((result.asked, result.got, result.contract, result.advice))


@pytest.mark.parametrize(
    ("name", "check", "says"),
    [
        ("ForgetsMethod", "describe: capabilities", "none in the class for pulse"),
        ("FailsToClose", "open and close, again", "OSError: the port is gone"),
        ("ReturnsRow", "read: one vector", "expected float32 of shape (1, 5)"),
        ("RemembersArrays", "memory: allocate and release", "bytes a time"),
    ],
)
def test_a_bug_in_python_is_found(name, check, says):
    first = failures(run(f"{PYTHON}:{name}", until(check)))[0]
    assert first.name == check and says in first.got


def test_the_driver_without_a_bug_passes(misbehaving):
    names = [name for name in CHECKS if not name.startswith(("memory:", "xbarax:"))]
    results = run(misbehaving("GOOD"), names)
    assert not failures(results)
    passed = {result.name for result in results if result.outcome == "pass"}
    assert set(names) - passed == {"errors: what is not described"}


def test_noise_below_the_stated_is_a_hint(misbehaving):
    results = {r.name: r for r in run(misbehaving("NOISE_SMALLER"), until("two devices at once"))}
    noise = results["read: stated read_noise"]
    assert noise.outcome == "pass" and "hint" in noise.note and not failures(results.values())


def test_a_device_that_opens_once_is_none_the_worse(misbehaving):
    results = {r.name: r for r in run(misbehaving("OPENS_ONCE"), until("two devices at once"))}
    assert not failures(results.values())
    two = results["two devices at once"]
    assert two.outcome == "not applicable" and "the device is in use" in two.note


@pytest.mark.parametrize("good", ["reference", "simulated", "Python"])
def test_good_drivers_pass(good):
    drivers = {
        "reference": xb.hardware.reference_driver,
        "simulated": xb.hardware.simulated_driver,
        "Python": lambda: f"{PYTHON}:Good",
    }
    shown = []
    results = xb.hardware.check(drivers[good](), on_result=shown.append)
    assert failures(results) == []
    assert results == shown
    assert [result.name for result in results] == [*CHECKS, "end of the process"]


@pytest.mark.parametrize(
    ("bug", "name", "says", "deadline"),
    [
        ("CRASH_ON_OPEN", "open", "the process ended by SIGSEGV in `open`", 20.0),
        ("EXITS", "pulse: direction", "ended with exit code 0 in `pulse`", 20.0),
        ("HANG_ON_THIRD", "read: one vector", "no end within 4 s in `read`", 4.0),
        ("CRASH_AT_END", "end of the process", "SIGSEGV in `(at the end", 20.0),
    ],
)
def test_the_check_outlives_the_driver(bug, name, says, deadline, misbehaving):
    results = xb.hardware.check(misbehaving(bug), deadline=deadline)
    first = failures(results)[0]
    assert first.name == name and says in first.got
    assert {result.name for result in results} >= set(CHECKS)


def test_a_configuration_reaches_the_driver():
    (refused,) = failures(xb.hardware.check(f"{PYTHON}:Good", config={"sead": 1}))
    assert refused.name == "open" and "expected seed, given sead" in refused.got
    assert json.dumps({"sead": 1}) in refused.asked


@pytest.mark.parametrize(
    ("driver", "error", "message"),
    [
        ("libnone.so", FileNotFoundError, "no such file"),
        (f"{PYTHON}:None", ImportError, "has no None"),
        ("no_such_module:Driver", ImportError, "no_such_module"),
        (f"{PYTHON}:NotADriver", ImportError, "expected a subclass of AbstractDriver"),
    ],
)
def test_what_is_no_driver_is_refused(driver, error, message):
    with pytest.raises(error, match=message):
        xb.hardware.check(driver)


def test_arguments_are_checked():
    class Local(xb.hardware.AbstractDriver):
        pass

    with pytest.raises(ValueError, match="another process can import"):
        xb.hardware.check(Local)
    with pytest.raises(ValueError, match="deadline: expected seconds above 0"):
        xb.hardware.check(f"{PYTHON}:Good", deadline=0.0)
    with pytest.raises(ValueError, match="config: expected what JSON can hold"):
        xb.hardware.check(f"{PYTHON}:Good", config={"x": float("nan")})
