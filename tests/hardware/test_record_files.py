"""Recordings that end too early, are damaged, or are none."""

import itertools
import json
import re

import numpy as np
import pytest

import xbarax as xb
from tests.hardware.faulty_chip import FaultyChip
from xbarax.hardware._replay import ReplayDriver

W = np.arange(6, dtype=np.float32).reshape(2, 3) / 2
X = np.arange(3, dtype=np.float32).reshape(1, 3)
REPLAYS = itertools.count(1)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The bytes of a small recording."""
    path = tmp_path_factory.mktemp("recorded") / "run.xbr"
    chip = xb.hardware.load(FaultyChip, record=path)
    w = xb.MemristiveCrossbarArray(W, chip)
    first = xb.read(w, X)
    np.testing.assert_array_equal(xb.readout(xb.after(w, first) + W), 2 * W)
    xb.hardware.close(chip)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.xbr"


def open_replay(path):
    return ReplayDriver({"recording": str(path), "tolerance": 0.0, "replay": next(REPLAYS)})


def ask(driver):
    """The same calls on an open device; what each returns."""
    yield driver.describe().name
    yield driver.allocate(2, 3)
    yield driver.program(1, W)
    yield driver.read(1, X)
    yield driver.update(1, W)
    yield driver.read_out(1)


ANSWERS = ["open", "faulty", 1, None, X @ W.T, None, 2 * W]
NAMES = ["open", "describe", "allocate", "program", "read", "update", "read_out", "close"]


def answers(path):
    """What a replay answers, and what it says at its end."""
    given = []
    try:
        driver = open_replay(path)
        given.append("open")
        for answer in ask(driver):
            given.append(answer)
        driver.close()
    except xb.hardware.DriverError as error:
        return given, str(error)
    return given, ""


def test_cut_at_every_byte_it_has_what_is_whole(recorded, path):
    ends = np.cumsum([len(line) for line in recorded.split(b'{"crc": "')])
    ends[1:] += 9 * np.arange(1, len(ends))  # where whole records end, the header first
    lengths = []
    for size in range(len(recorded) + 1):
        path.write_bytes(recorded[:size])
        if size < ends[0]:
            with pytest.raises(xb.hardware.RecordingError, match="no recording|first line"):
                xb.hardware.read_recording(path)
            continue
        records = int(np.sum(ends <= size)) - 1
        calls = list(xb.hardware.read_recording(path))
        assert [call.call for call in calls] == NAMES[: (records + 1) // 2]
        assert [call.status is not None for call in calls].count(True) == records // 2
        assert all(call.given is None or call.given.size for call in calls)
        given, said = answers(path)
        assert len(given) == min(records // 2, len(ANSWERS))
        for answer, expected in zip(given, ANSWERS, strict=False):
            np.testing.assert_array_equal(answer, expected)
        lengths.append(len(given))
        if len(given) == len(ANSWERS):
            assert said == ""
        elif records % 2:
            number = len(calls)
            assert f"the recording ends during call {number}, {NAMES[number - 1]}: " in said
        else:
            assert "the recording ends " + ("after" if calls else "before the first call") in said
    assert set(lengths) == set(range(len(ANSWERS) + 1))


def test_a_change_of_any_byte_is_noticed(recorded, path):
    """The header's words, which nothing depends on, are not."""
    header = recorded.index(b"\n") + 1
    whole = len(NAMES)
    for place in range(header, len(recorded)):
        changed = bytearray(recorded)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            calls = list(xb.hardware.read_recording(path))
            numbers = [(call.given, call.returned) for call in calls]
        except xb.hardware.RecordingError as error:
            assert "run.xbr is damaged: " in str(error)
        else:  # without the last line's end, that is a cut
            assert len(numbers) == whole and place == len(recorded) - 1
            assert calls[-1].status is None


def test_damaged_numbers_are_refused_when_they_are_asked_for(recorded, path):
    place = recorded.index((X @ W.T).tobytes())
    changed = bytearray(recorded)
    changed[place] ^= 128
    path.write_bytes(changed)
    calls = list(xb.hardware.read_recording(path))
    message = rf"{path} is damaged: the 2 numbers at byte {place} are not those that were recorded"
    with pytest.raises(xb.hardware.RecordingError, match=message):
        _ = calls[4].returned
    chip = xb.hardware.replay(path)
    w = xb.MemristiveCrossbarArray(W, chip)
    with pytest.raises(Exception, match=f"RecordingError: {message}"):
        np.asarray(xb.read(w, X))
    xb.hardware.close(chip)


NO_RECORDINGS = {
    b"": "is no recording: it ends after 0 bytes",
    b'{"format"': "is no recording: it ends after 9 bytes",
    b"\x7fELF\x02\x01\x01": r"is no recording: it begins with b'\\x7fELF",
    b'{"format": "xbarax recording", "version": 2, "new": 1}\n': "of version 2, this xbarax reads",
    b'{"format": "xbarax recording", "version": 1, "driver"': "is cut in its first line",
    b'{"format": "xbarax recording", "version": 1, "driver"}\n': "is damaged: its first line is",
    b'{"format": "xbarax recording", "version": 1, "driver": "x"}\n': "is damaged: its first line",
    b'{"format": "xbarax recording", "version": one}\n': "is damaged: its first line",
}


@pytest.mark.parametrize("content", NO_RECORDINGS, ids=str)
@pytest.mark.parametrize("use", [xb.hardware.read_recording, xb.hardware.replay])
def test_what_is_no_recording_is_refused(content, use, path):
    path.write_bytes(content)
    with pytest.raises(xb.hardware.RecordingError, match=f"{path} .*{NO_RECORDINGS[content]}"):
        use(path)


@pytest.mark.parametrize("use", [xb.hardware.read_recording, xb.hardware.replay])
def test_a_file_that_is_not_there(use, path):
    with pytest.raises(FileNotFoundError, match=str(path)):
        use(path)


def without(recorded, *names):
    """The recording without calls of these names."""
    header, *records = re.split(rb'(?=\{"crc": ")', recorded)
    kept, gone = [], set()
    for record in records:
        said = json.loads(record.partition(b"\n")[0])
        if said.get("do") in names:
            gone.add(said["call"])
        if said.get("call", said.get("answer")) not in gone:
            kept.append(record)
    return b"".join([header, *kept])


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (["open"], "call 2, describe, comes before the chip was opened"),
        (["allocate"], "call 4, program, is to no array: 1"),
    ],
)
def test_calls_that_cannot_be_are_refused(gone, message, recorded, path):
    path.write_bytes(without(recorded, *gone))
    with pytest.raises(xb.hardware.RecordingError, match=f"{path} is damaged: {message}"):
        xb.hardware.replay(path)


@pytest.mark.parametrize(
    ("cut_before", "message"),
    [
        (b'"call": 1,', "open: invalid argument: replay of .*the recording ends before the first"),
        (b'"answer": 1,', "open: invalid argument: replay of .*the recording ends during call 1"),
        (b'"answer": 2,', "describe: invalid argument: .*the recording ends during call 2, desc"),
    ],
)
def test_a_recording_that_ends_before_the_chip_was_open(cut_before, message, recorded, path):
    path.write_bytes(recorded[: recorded.index(cut_before)])
    for _ in range(2):
        with pytest.raises(xb.hardware.DriverError, match=message):
            xb.hardware.replay(path)


def test_a_replayed_array_is_not_read_after_its_release(recorded, path):
    path.write_bytes(recorded)
    driver = open_replay(path)
    driver.allocate(2, 3)
    driver.release(1)
    for _ in range(2):
        with pytest.raises(xb.hardware.ReplayError, match="asked: program, array 1"):
            driver.program(1, W)
    driver.close()
