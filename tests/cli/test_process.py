import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from xbarax import hardware

COMMAND = [sys.executable, "-m", "xbarax.cli"]
SMALL = shlex.split(
    "--network 16 20 2 --crossbar last --epochs 100 --learning-rate 0.3 --batch-size 16 "
    "--samples-per-class 20 --time-steps 60"
)


def xbarax(*words):
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False)


def test_an_unknown_option_is_one_line(tmp_path):
    done = xbarax("train", "--epoch", "3", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "xbarax: error: unknown option --epoch; did you mean --epochs?\n"


def test_a_folder_that_is_not_empty_is_one_line(tmp_path):
    (tmp_path / "mine").write_text("mine")
    done = xbarax("train", "--out", tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"xbarax: error: {tmp_path}: expected a folder that is new or empty, given one that "
        f"holds mine\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_help_needs_no_pictures_and_no_native_library():
    program = """
import sys
from xbarax.cli import main
assert main(["--help"]) == 0
assert not {"matplotlib", "tyro", "xbarax.train", "xbarax.snn"} & sys.modules.keys()
import xbarax.cli.train
assert "matplotlib" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The command, but that it waits late in its epochs for its end: else, where other processes keep
# the test from looking, it could be over before its signal comes. And Ctrl-C counts also where
# whoever started the tests ignores it, as shells do for what runs in the background.
INTERRUPTIBLE = """
import signal, time
from xbarax.cli import command
from xbarax.train import runner

append = runner.append_metrics

def append_and_wait(folder, metrics):
    append(folder, metrics)
    if metrics.epoch >= 50:
        time.sleep(600)

runner.append_metrics = append_and_wait
signal.signal(signal.SIGINT, signal.default_int_handler)
command()
"""


def start_and_wait_for_epochs(path, count):
    """A run in a process of its own, in the middle of its epochs."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "train", "--out", str(path), *SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = path / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= count:
            return process
        time.sleep(0.002)
    raise AssertionError(process.communicate()[1])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = xbarax("train", "--out", path, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("test accuracy ") and done.stdout.count("\n") == 1
    return path


def outcome(path):
    return (path / "parameters.npz").read_bytes(), (path / "metrics.jsonl").read_bytes()


def test_a_killed_run_ends_as_if_it_had_not_been(uninterrupted, tmp_path):
    path = tmp_path / "run"
    with start_and_wait_for_epochs(path, 3) as process:
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (path / "parameters.npz").exists()
    done = xbarax("train", "--out", path, "--resume")
    assert done.returncode == 0, done.stderr
    assert outcome(path) == outcome(uninterrupted)


def test_an_interrupted_run_says_how_to_go_on(uninterrupted, tmp_path):
    path = tmp_path / "run"
    with start_and_wait_for_epochs(path, 3) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert out == "" and "Traceback" not in err
    line = err.splitlines()[-1]
    assert line == f"xbarax: interrupted; to continue: xbarax train --out {path} --resume"
    done = xbarax(*shlex.split(line)[5:])
    assert done.returncode == 0, done.stderr
    assert outcome(path) == outcome(uninterrupted)


def test_a_chip_that_fails_is_one_line(tmp_path):
    """JAX keeps the failure, and would tell it as a traceback at the end of the process."""
    config = {"range": 64, "fault": {"kind": "error", "of": "update", "call": 2}}
    words = (
        "--network 4 2 --crossbar all --batch-size 8 --samples-per-class 20 --time-steps 5".split()
    )
    chip = ["--chip", hardware.simulated_driver(), "--chip-config", json.dumps(config)]
    done = xbarax("train", "--out", tmp_path / "run", *words, *chip)
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert "training:" in done.stderr and "Traceback" not in done.stderr
    assert last.startswith("xbarax: error: ") and "simulated error at call 2" in last
    assert last.endswith(f"to continue: xbarax train --out {tmp_path / 'run'} --resume")
