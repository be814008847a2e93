"""What a recording holds, and what is refused before or while it is written."""

import contextlib
import ctypes
import os
import pickle
import resource
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import xbarax as xb
from tests.hardware.faulty_chip import FaultyChip
from xbarax.hardware._driver import Status

W = np.random.default_rng(0).integers(-2, 3, (3, 5)).astype(np.float32)
X = np.arange(10, dtype=np.float32).reshape(2, 5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.xbr"


@pytest.fixture
def load():
    """Loads drivers, and closes them."""
    opened = contextlib.ExitStack()

    def load(*args, **options):
        chip = xb.hardware.load(*args, **options)
        opened.callback(xb.hardware.close, chip)
        return chip

    with opened:
        yield load


def names(path):
    return [call.call for call in xb.hardware.read_recording(path)]


@pytest.mark.parametrize("kind", ["C", "Python"])
def test_every_call_is_there_with_its_data_and_times(kind, load, path):
    driver = xb.hardware.reference_driver() if kind == "C" else FaultyChip
    chip = load(driver, config={"port": 3}, record=path)
    description = chip.description
    w = xb.MemristiveCrossbarArray(W, chip)
    xb.read(w, X)
    xb.read(w, X[:, :3], transpose=True)
    w = xb.hardware.program(w + W, 3 * W)
    xb.readout(w)
    other = jax.block_until_ready(xb.MemristiveCrossbarArray(W.T, chip))
    del other
    xb.read(w, X[:1])
    xb.hardware.close(chip)

    recording = xb.hardware.read_recording(path)
    assert recording.driver == chip.driver and recording.isolated is False
    calls = {call.number: call for call in recording}
    assert list(calls) == list(range(1, len(recording) + 1))
    assert [call.call for call in recording] == [
        *("open", "describe", "allocate", "program", "read", "read_transposed", "update"),
        *("program", "read_out", "allocate", "program", "release", "read", "close"),
    ]
    assert calls[1].config == {"port": 3} and calls[2].description == description
    assert [calls[k].array for k in (1, 2, 3, 9, 10, 12, 13)] == [None, None, 1, 1, 2, 2, 1]
    assert [calls[k].n for k in (4, 5, 6, 13)] == [None, 2, 2, 1]
    assert calls[3].shape == (3, 5) and calls[10].shape == (5, 3)
    numbers = {
        4: (W, None),
        5: (X, X @ W.T),
        6: (X[:, :3], X[:, :3] @ W),
        7: (W, None),
        8: (3 * W, None),
        9: (None, 3 * W),
        13: (X[:1], X[:1] @ (3 * W).T),
        14: (None, None),
    }
    for number, (given, returned) in numbers.items():
        np.testing.assert_array_equal(calls[number].given, given)
        np.testing.assert_array_equal(calls[number].returned, returned)
    assert all(call.status == Status.OK and call.error == "" for call in recording)
    ends = [call.seconds + call.duration for call in recording]
    starts = [call.seconds for call in recording]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert all(call.duration > 0 for call in recording)


class PulsedChip(FaultyChip):
    """Each pulse is a step of 0.5."""

    def describe(self):
        said = super().describe()
        return xb.hardware.Description(
            **{**vars(said), "capabilities": {"pulse", "read_out", "read_transposed", "update"}}
        )

    def pulse(self, array, pulses):
        self._weights[array] = self._weights[array] + 0.5 * pulses


def test_pulses_are_integers(load, path):
    chip = load(PulsedChip, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    pulses = np.arange(-7, 8, dtype=np.int32).reshape(3, 5)
    w = xb.hardware.pulse(w, pulses)
    np.testing.assert_array_equal(xb.readout(w), W + 0.5 * pulses)
    (call,) = [call for call in xb.hardware.read_recording(path) if call.call == "pulse"]
    assert call.given.dtype == np.int32
    np.testing.assert_array_equal(call.given, pulses)


def test_errors_are_recorded_with_status_and_text(load, path):
    chip = load(FaultyChip, config={"fault": "error", "of": "read", "call": 2}, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    xb.read(w, X)
    with pytest.raises(jax.errors.JaxRuntimeError, match="RuntimeError: the read failed on the"):
        jax.block_until_ready(xb.read(w, X))
    np.testing.assert_array_equal(xb.read(w, X), X @ W.T)
    reads = [call for call in xb.hardware.read_recording(path) if call.call == "read"]
    assert [call.status for call in reads] == [Status.OK, Status.DEVICE_ERROR, Status.OK]
    assert [call.error for call in reads] == [
        "",
        "RuntimeError: the read failed on the bench",
        "",
    ]
    assert reads[1].returned is None


def test_it_can_be_read_while_it_is_written(load, path):
    chip = load(FaultyChip, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    for calls in range(5, 8):
        jax.block_until_ready(xb.read(w, X))
        recording = xb.hardware.read_recording(path)
        assert len(recording) == calls
        end = f"the recording ends after call {calls}, read, before the chip was closed"
        assert recording.end == end


def test_loading_the_same_again_goes_on_with_the_recording(load, path, monkeypatch):
    chip = load(FaultyChip, record=path)
    monkeypatch.chdir(path.parent)
    assert xb.hardware.load(FaultyChip, record=path.name) == chip
    assert names(path) == ["open", "describe"]


class NeverOpened(FaultyChip):
    def __init__(self, config):
        pytest.fail("the driver was opened")


def test_an_existing_file_is_left_alone_and_nothing_is_opened(path):
    path.write_text("precious")
    with pytest.raises(FileExistsError, match=r"run\.xbr exists, and a recording never replaces"):
        xb.hardware.load(NeverOpened, record=path)
    assert path.read_text() == "precious"


def test_a_stored_chip_does_not_write_into_its_first_recording(load, path):
    chip = load(FaultyChip, record=path)
    stored = pickle.dumps(xb.MemristiveCrossbarArray(W, chip))
    xb.hardware.close(chip)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="Chips take record= along when they are stored"):
        pickle.loads(stored)
    assert path.read_bytes() == before
    path.rename(path.with_name("first.xbr"))
    again = pickle.loads(stored)
    np.testing.assert_array_equal(xb.readout(again), W)
    xb.hardware.close(again.chip)
    assert names(path)[:4] == ["open", "describe", "allocate", "program"]


def test_a_folder_that_is_missing_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"record: the recording cannot be made: No such"):
        xb.hardware.load(NeverOpened, record=path.parent / "none" / "run.xbr")


def test_a_chip_that_does_not_open_leaves_no_recording(path):
    with pytest.raises(xb.hardware.DriverError, match="open: lost: ConnectionError: no answer"):
        xb.hardware.load(FaultyChip, config={"fault": "closed"}, record=path)
    assert not path.exists()


VERSIONED = """
#include <xbarax/driver.h>
static xbarax_status open_device(const char* config, xbarax_device** device)
{{ (void)config; *device = (xbarax_device*)1; return XBARAX_OK; }}
static const xbarax_driver table = {{
  .version_major = {major}, .version_minor = 0, .struct_size = {size}, .open = open_device }};
const xbarax_driver* xbarax_driver_entry(void) {{ return &table; }}
"""


@pytest.mark.parametrize(
    ("major", "size", "message"),
    [
        (9, "sizeof table", r"the driver is of version 9\.0, this xbarax takes 1\.0"),
        (1, "8", r"the driver's table has 8 bytes"),
        (1, "sizeof table", r"lacks close, last_error, describe, allocate, release, program, read"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_as_without_recording(
    major, size, message, make_library, path
):
    include = f"-I{xb.hardware.include_dir()}"
    library = make_library(VERSIONED.format(major=major, size=size), "-shared", include)
    for record in (None, path):
        with pytest.raises(xb.hardware.DriverError, match=message):
            xb.hardware.load(library, record=record)
    assert not path.exists()


def lose_and_recover(load, path):
    chip = load(FaultyChip, config={"fault": "lost", "of": "read", "call": 2}, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    xb.read(w, X)
    with pytest.raises(jax.errors.JaxRuntimeError, match="lost: ConnectionError: the bench is"):
        jax.block_until_ready(xb.read(w, X))
    return chip, w


def test_a_chip_that_is_opened_anew_goes_on_with_its_recording(load, path):
    chip, w = lose_and_recover(load, path)
    w = xb.hardware.recover(w)
    np.testing.assert_array_equal(xb.read(w, X), X @ W.T)
    xb.hardware.close(chip)
    assert names(path) == [
        *("open", "describe", "allocate", "program", "read", "read", "close"),
        *("open", "describe", "allocate", "program", "read", "close"),
    ]
    calls = list(xb.hardware.read_recording(path))
    assert calls[5].status == Status.LOST
    assert all(a.seconds < b.seconds for a, b in zip(calls, calls[1:], strict=False))


def test_a_recording_that_was_changed_meanwhile_is_not_continued(load, path, monkeypatch):
    chip, w = lose_and_recover(load, path)
    close = FaultyChip.close
    monkeypatch.setattr(FaultyChip, "close", lambda self: (os.truncate(path, 500), close(self)))
    with pytest.raises(xb.hardware.DriverError, match="it is not the file that was written"):
        xb.hardware.recover(w)


def test_a_recording_that_is_gone_is_not_continued(load, path):
    chip, w = lose_and_recover(load, path)
    path.unlink()
    with pytest.raises(xb.hardware.DriverError, match=r"cannot go on with the recording.*No such"):
        xb.hardware.recover(w)


def test_a_full_disk_stops_the_chip_until_there_is_room(load, path):
    chip = load(FaultyChip, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    jax.block_until_ready(xb.read(w, X))
    size = path.stat().st_size
    # As a full disk does, this lets a part of the next record through.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
    try:
        with pytest.raises(jax.errors.JaxRuntimeError, match=r"run\.xbr cannot be written \(File"):
            jax.block_until_ready(xb.read(w, X))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == size
    np.testing.assert_array_equal(xb.readout(w), W)
    assert names(path) == ["open", "describe", "allocate", "program", "read", "read_out"]


def test_an_answer_without_room_is_recorded_as_the_error_that_it_was(load, path, monkeypatch):
    """An update that was made, and not recorded as made: recovered, and replayed, as it was."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    update = FaultyChip.update

    def update_and_fill(self, array, deltas):
        update(self, array, deltas)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))

    def train(chip):
        w = xb.MemristiveCrossbarArray(W, chip)
        try:
            with pytest.raises(jax.errors.JaxRuntimeError, match="not called before it can be"):
                xb.readout(w + W)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return xb.readout(xb.hardware.recover(w))

    with monkeypatch.context() as patch:
        patch.setattr(FaultyChip, "update", update_and_fill)
        chip = load(FaultyChip, record=path)
        np.testing.assert_array_equal(train(chip), 2 * W)
    xb.hardware.close(chip)
    calls = {call.call: call for call in xb.hardware.read_recording(path)}
    assert calls["update"].status == Status.DEVICE_ERROR
    replayed = xb.hardware.replay(path)
    np.testing.assert_array_equal(train(replayed), 2 * W)
    xb.hardware.close(replayed)


def test_a_recording_that_was_removed_is_told(load, path):
    chip = load(FaultyChip, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    path.unlink()
    np.testing.assert_array_equal(xb.readout(w), W)
    with pytest.warns(UserWarning, match=r"run\.xbr was removed while it was made"):
        xb.hardware.close(chip)


PROGRAM = """
import os, sys
import numpy as np
import xbarax as xb
from tests.hardware.faulty_chip import FaultyChip
w = xb.MemristiveCrossbarArray(
    np.ones((3, 5), np.float32),
    xb.hardware.load(FaultyChip, config=dict(fault="crash", of="read", call=4), record=sys.argv[1]),
)
for _ in range(int(sys.argv[2])):
    np.asarray(xb.read(w, np.ones((2, 5), np.float32)))
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("reads", "ended_by", "end"),
    [
        (3, signal.SIGKILL, "the recording ends after call 7, read, before the chip was closed"),
        (4, signal.SIGSEGV, "the recording ends during call 8, read: the process ended there"),
    ],
)
def test_a_process_that_is_killed_leaves_what_it_did(reads, ended_by, end, path):
    done = subprocess.run([sys.executable, "-c", PROGRAM, path, str(reads)])
    assert done.returncode == -ended_by
    recording = xb.hardware.read_recording(path)
    assert names(path) == ["open", "describe", "allocate", "program", *["read"] * reads]
    assert recording.end.startswith(end)
    last = recording.calls[-1]
    np.testing.assert_array_equal(last.given, np.ones((2, 5)))
    assert (last.returned is None) == (last.duration is None) == (ended_by == signal.SIGSEGV)


def test_a_driver_that_crashes_in_a_process_of_its_own_is_recorded(load, path):
    config = {"fault": "crash", "of": "read", "call": 1}
    chip = load(FaultyChip, config=config, isolated=True, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    with pytest.raises(jax.errors.JaxRuntimeError, match="ended by SIGSEGV"):
        jax.block_until_ready(xb.read(w, X))
    np.testing.assert_array_equal(xb.readout(xb.hardware.recover(w)), W)
    recording = xb.hardware.read_recording(path)
    assert recording.isolated and recording.calls[0].config == config
    lost = recording.calls[4]
    assert (lost.call, lost.status) == ("read", Status.LOST) and "SIGSEGV" in lost.error


def test_the_native_table_of_a_recording_is_whole():
    """What `load` checks of a driver, it checks of the driver that is recorded."""
    from xbarax.hardware._record import _take_after
    from xbarax.hardware._table import CTable

    table = CTable(1, 0, ctypes.sizeof(CTable))
    recording = xb.hardware._sources.table_of("tests.hardware.faulty_chip:FaultyChip")
    copy = CTable.from_buffer_copy(recording)
    assert copy.pulse
    _take_after(copy, table)
    assert not copy.pulse and not copy.open
