import json

import pytest

from tests.train.small import CONFIG
from xbarax.train import (
    EpochMetrics,
    RunFolderError,
    create_run_folder,
    open_run_folder,
    run_folder,
)
from xbarax.train.run_folder import append_metrics, check_unused, write_metrics

FIRST = EpochMetrics(epoch=1, loss=0.5, test_accuracy=0.25, crossbars={"layer 2 input": {"a": 1}})
SECOND = EpochMetrics(epoch=2, loss=0.25, test_accuracy=0.5, crossbars={})


def test_a_new_folder_holds_the_configuration(tmp_path):
    path = tmp_path / "some" / "where"
    created = create_run_folder(path, CONFIG)
    assert [entry.name for entry in path.iterdir()] == ["config.json"]
    assert json.loads(created.config.read_text())["network"] == [16, 20, 2]
    assert open_run_folder(path) == (created, CONFIG)


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    create_run_folder(tmp_path, CONFIG)
    assert open_run_folder(tmp_path)[1] == CONFIG


def test_remains_of_a_run_killed_before_it_began_are_not_in_the_way(tmp_path):
    (tmp_path / ".config.json.partial").write_text('{"netw')
    create_run_folder(tmp_path, CONFIG)
    assert open_run_folder(tmp_path)[1] == CONFIG
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("refuse", [check_unused, lambda path: create_run_folder(path, CONFIG)])
def test_a_folder_that_is_not_empty_is_refused_and_left_alone(refuse, tmp_path):
    for name in "dcba":
        (tmp_path / name).write_text(name)
    with pytest.raises(
        RunFolderError,
        match="expected a folder that is new or empty, given one that holds a, b, c, …",
    ):
        refuse(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b", "c", "d"]


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(RunFolderError, match="expected a folder .*, given a file"):
        create_run_folder(path, CONFIG)
    assert path.read_text() == "mine"


def test_a_folder_without_a_configuration_is_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="without config.json: there is nothing to continue"):
        open_run_folder(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"network": [16, 2]}', "\x00"])
def test_a_configuration_that_cannot_be_read_is_named(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunFolderError, match="config.json: not a run's configuration: "):
        open_run_folder(tmp_path)


def test_metrics_are_lines_of_json(tmp_path):
    folder = create_run_folder(tmp_path, CONFIG)
    append_metrics(folder, FIRST)
    append_metrics(folder, SECOND)
    assert [json.loads(line) for line in folder.metrics.read_text().splitlines()] == [
        {
            "epoch": 1,
            "loss": 0.5,
            "test_accuracy": 0.25,
            "crossbars": {"layer 2 input": {"a": 1}},
        },
        {"epoch": 2, "loss": 0.25, "test_accuracy": 0.5, "crossbars": {}},
    ]


def test_metrics_that_cannot_be_written_name_their_file(tmp_path, monkeypatch):
    folder = create_run_folder(tmp_path, CONFIG)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "metrics_line", full)
    with pytest.raises(OSError, match=f"No space left on device: '{folder.metrics}'"):
        append_metrics(folder, FIRST)


def test_writing_metrics_mends_what_a_kill_left(tmp_path):
    folder = create_run_folder(tmp_path, CONFIG)
    append_metrics(folder, FIRST)
    append_metrics(folder, SECOND)
    whole = folder.metrics.read_bytes()
    folder.metrics.write_bytes(whole[:-7])
    write_metrics(folder, (FIRST, SECOND))
    assert folder.metrics.read_bytes() == whole
