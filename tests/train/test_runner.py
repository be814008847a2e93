import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest

import xbarax as xb
from tests.train.small import CONFIG, resume, start
from xbarax import train
from xbarax.train import runner
from xbarax.train.run_folder import append_metrics


class Killed(BaseException):
    """Ends a run at a chosen place, as a kill would."""


def outcome(folder):
    """What has to be equal, to the byte, however often a run was stopped."""
    return folder.parameters.read_bytes(), folder.metrics.read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    task, folder = start(tmp_path_factory.mktemp("uninterrupted") / "run")
    return folder, train.run(task, folder)


def test_a_run_leaves_its_files(uninterrupted):
    folder, _ = uninterrupted
    assert sorted(entry.name for entry in folder.path.iterdir()) == [
        "checkpoint.npz",
        "config.json",
        "learning_curve.png",
        "metrics.jsonl",
        "parameters.npz",
        "raster.png",
        "weights.png",
    ]
    for name in ("learning_curve", "raster", "weights"):
        assert folder.picture(name).read_bytes().startswith(b"\x89PNG")


def test_metrics_say_what_the_run_returns(uninterrupted):
    folder, last = uninterrupted
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["loss"] == last.loss and lines[-1]["test_accuracy"] == last.test_accuracy
    assert all(line.keys() == {"epoch", "loss", "test_accuracy", "crossbars"} for line in lines)
    assert lines[-1]["crossbars"]["layer 2 input"]["not_finite"] == 0
    # Of 16 test samples.
    assert (last.test_accuracy * 16) % 1 == 0


def test_parameters_are_plain_arrays_of_the_last_epoch(uninterrupted):
    folder, last = uninterrupted
    task, _ = resume(folder.path)
    with np.load(folder.parameters) as file:
        assert sorted(file.files) == ["0/input", "0/recurrent", "1/input", "1/recurrent"]
        params = [
            {name: file[f"{layer}/{name}"] for name in ("input", "recurrent")} for layer in (0, 1)
        ]
    # Read out of the crossbar, they classify the test data as it did.
    accuracy = train.measure_accuracy(train.make_accuracy(task.net), params, task.test)
    assert accuracy == last.test_accuracy


def test_every_epoch_is_reported(tmp_path):
    task, folder = start(tmp_path)
    seen = []
    last = train.run(task, folder, lambda metrics, warnings: seen.append((metrics, warnings)))
    assert [metrics.epoch for metrics, _ in seen] == [1, 2, 3]
    assert seen[-1][0] == last
    assert all(warnings == [] for _, warnings in seen)


def test_the_tasks_own_parameters_outlive_the_run(tmp_path):
    task, folder = start(tmp_path, crossbar="none", epochs=1)
    before = [np.asarray(layer["input"]).copy() for layer in task.params]
    train.run(task, folder)
    for layer, values in zip(task.params, before, strict=True):
        np.testing.assert_array_equal(layer["input"], values)


def raise_killed(*_, **__):
    raise Killed


def kill_before(monkeypatch, name, call):
    """Kills the run before the given call (from 1) of a function."""
    original, calls = getattr(runner, name), []

    def function(*args, **kwargs):
        calls.append(None)
        if len(calls) == call:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(runner, name, function)


def kill_within_metrics_line(monkeypatch, name, call):
    """Kills the run when half of the line is in the file."""
    calls = []

    def function(folder, metrics):
        append_metrics(folder, metrics)
        calls.append(None)
        if len(calls) == call:
            whole = folder.metrics.read_bytes()
            folder.metrics.write_bytes(whole[: -len(whole) // (3 * call)])
            raise Killed

    monkeypatch.setattr(runner, name, function)


def kill_within_checkpoint(monkeypatch, name, call):
    """Kills the run when part of the new checkpoint is in its temporary file."""
    original, calls = runner.save_checkpoint, []

    def function(path, *rest):
        calls.append(None)
        if len(calls) == call:
            path.with_name(f".{path.name}.partial").write_bytes(b"PK\x03\x04 and no more")
            raise Killed
        original(path, *rest)

    monkeypatch.setattr(runner, name, function)


PLACES = {
    "before the first epoch": (kill_before, "_begin", 1),
    "before the metrics are mended": (kill_before, "write_metrics", 1),
    "within the first epoch": (kill_before, "measure_accuracy", 1),
    "within the second epoch": (kill_before, "measure_accuracy", 2),
    "before the first checkpoint": (kill_before, "save_checkpoint", 1),
    "within the first checkpoint": (kill_within_checkpoint, "save_checkpoint", 1),
    "within the second checkpoint": (kill_within_checkpoint, "save_checkpoint", 2),
    "between checkpoint and metrics": (kill_before, "append_metrics", 1),
    "between last checkpoint and metrics": (kill_before, "append_metrics", 3),
    "within the first line of metrics": (kill_within_metrics_line, "append_metrics", 1),
    "within the second line of metrics": (kill_within_metrics_line, "append_metrics", 2),
    "before the parameters": (kill_before, "_save_parameters", 1),
    "before the pictures": (kill_before, "draw_pictures", 1),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(
    place, uninterrupted, tmp_path, monkeypatch
):
    kill, name, call = PLACES[place]
    with monkeypatch.context() as patch:
        kill(patch, name, call)
        task, folder = start(tmp_path / "run")
        with pytest.raises(Killed):
            train.run(task, folder)
    assert train.run(*resume(tmp_path / "run")) == uninterrupted[1]
    assert outcome(folder) == outcome(uninterrupted[0])
    assert sorted(entry.name for entry in folder.path.iterdir()) == sorted(
        entry.name for entry in uninterrupted[0].path.iterdir()
    )


def test_a_run_on_noisy_devices_goes_on_with_their_states_and_its_schedule(tmp_path, monkeypatch):
    on_pcm = {"crossbar": "last", "chip": "pcm"}
    task, whole = start(tmp_path / "whole", **on_pcm)
    train.run(task, whole)
    with monkeypatch.context() as patch:
        kill_before(patch, "measure_accuracy", 2)
        task, cut = start(tmp_path / "cut", **on_pcm)
        with pytest.raises(Killed):
            train.run(task, cut)
    train.run(*resume(cut.path))
    assert outcome(cut) == outcome(whole)


def test_a_run_killed_in_its_pictures_draws_them_anew(uninterrupted, tmp_path, monkeypatch):
    task, folder = start(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("xbarax.plot.raster", raise_killed)
        with pytest.raises(Killed):
            train.run(task, folder)
    assert folder.picture("learning_curve").exists() and not folder.picture("raster").exists()
    train.run(*resume(folder.path))
    for name in ("learning_curve", "raster", "weights"):
        assert folder.picture(name).read_bytes() == uninterrupted[0].picture(name).read_bytes()


def test_a_run_killed_again_and_again_arrives(uninterrupted, tmp_path, monkeypatch):
    _, folder = start(tmp_path / "run")
    for _ in range(CONFIG.epochs):
        with monkeypatch.context() as patch:
            kill_before(patch, "append_metrics", 1)
            with pytest.raises(Killed):
                train.run(*resume(folder.path))
    train.run(*resume(folder.path))
    assert outcome(folder) == outcome(uninterrupted[0])


def test_a_finished_run_is_not_trained_again(uninterrupted, tmp_path, monkeypatch):
    task, folder = start(tmp_path / "run")
    train.run(task, folder)
    before = outcome(folder)
    monkeypatch.setattr(runner, "train_epoch", raise_killed)
    seen = []
    train.run(*resume(folder.path), lambda metrics, warnings: seen.append(metrics.epoch))
    assert seen == [1, 2, 3]
    assert outcome(folder) == before == outcome(uninterrupted[0])


def test_a_damaged_checkpoint_stops_the_run_and_changes_nothing(tmp_path):
    task, folder = start(tmp_path / "run", epochs=1)
    train.run(task, folder)
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:1000])
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(train.CheckpointError, match="damaged"):
        train.run(*resume(folder.path))
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def losses(tmp_path, **changes):
    task, folder = start(tmp_path / str(len(list(tmp_path.iterdir()))), **changes)
    train.run(task, folder)
    return [json.loads(line)["loss"] for line in folder.metrics.read_text().splitlines()]


# One layer, which learns in few steps.
LEARNS = {"network": (16, 2), "learning_rate": 0.3}


def agree_at_every_step(**changes):
    """Updates plain arrays, and crossbars with the same weights, by the same batches.

    From the same weights at each step: two programs round differently, and after some steps on
    their own one of them sees a spike that the other does not.
    """
    plain = train.make_task(dataclasses.replace(CONFIG, crossbar="none", **LEARNS))
    in_crossbars = train.make_task(dataclasses.replace(CONFIG, **LEARNS, **changes))
    update = train.make_update(plain.net, plain.optimiser, donate=False)
    into = lambda like, w: xb.MemristiveCrossbarArray(w, like.chip) if is_crossbar(like) else w
    params, state = plain.params, plain.optimiser.init(plain.params)
    assert any(map(is_crossbar, jax.tree.leaves(in_crossbars.params)))
    for spikes, labels in itertools.chain.from_iterable(itertools.repeat(plain.training, 3)):
        same = jax.tree.map(into, in_crossbars.params, params)
        new, new_state, loss = update(params, state, spikes, labels)
        also, _, same_loss = update(same, state, spikes, labels)
        np.testing.assert_allclose(same_loss, loss, rtol=1e-5)
        for old, one, other in zip(*map(jax.tree.leaves, (params, new, also)), strict=True):
            weights = xb.readout(other) if is_crossbar(other) else other
            # Changes agree, but their last bits can round the weight that they make either way.
            allowed = 1e-5 * np.max(np.abs(one - old)) + np.spacing(np.abs(one))
            np.testing.assert_array_less(np.abs(weights - one), allowed)
        params, state = new, new_state
    moved = jax.tree.map(lambda w, first: np.max(np.abs(w - first)), params, plain.params)
    assert min(jax.tree.leaves(moved)) > 1e-3


def is_crossbar(leaf):
    return isinstance(leaf, xb.MemristiveCrossbarArray)


@pytest.mark.parametrize("crossbar", ["none", "last", "all"])
def test_a_run_learns(tmp_path, crossbar):
    first, second, third = losses(tmp_path, crossbar=crossbar, **LEARNS)
    assert third < second < first


@pytest.mark.parametrize("crossbar", ["last", "all"])
def test_crossbars_train_as_arrays_do(crossbar):
    agree_at_every_step(crossbar=crossbar)


@pytest.mark.parametrize(
    "library",
    [xb.hardware.reference_library(), xb.hardware.reference_driver()],
    ids=lambda p: p.stem,
)
def test_a_real_chip_trains_as_arrays_do(library):
    agree_at_every_step(crossbar="all", chip=str(library))


def test_a_chips_library_trains_and_continues(tmp_path, monkeypatch):
    library = str(xb.hardware.reference_library())
    whole = losses(tmp_path, chip=library, **LEARNS)

    task, folder = start(tmp_path / "stopped", chip=library, **LEARNS)
    with monkeypatch.context() as patch:
        kill_before(patch, "append_metrics", 2)
        with pytest.raises(Killed):
            train.run(task, folder)
    train.run(*resume(folder.path))
    lines = folder.metrics.read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == whole


def test_what_goes_wrong_is_told(tmp_path):
    # Steps this large leave the range of float32 within the first epochs.
    task, folder = start(tmp_path / "run", learning_rate=1e38, crossbar="last")
    told = []
    train.run(task, folder, lambda metrics, warnings: told.extend(warnings))
    assert any("crossbar layer 2 input" in warning for warning in told), told
    assert any("not finite" in warning for warning in told), told


@pytest.mark.parametrize("layer", [1, 2])
def test_a_hidden_layer_that_stays_silent_is_named_once(tmp_path, layer):
    changes = {"crossbar": "none", "network": (16, 20, 20, 2), "learning_rate": 1e-6}
    task, folder = start(tmp_path / "run", **changes)
    # Driven hard, layers spike; what is zeroed does not, and steps are too small to change that.
    params = [{name: 3 * abs(value) for name, value in layer.items()} for layer in task.params]
    params[layer - 1] = {name: 0 * value for name, value in params[layer - 1].items()}
    told = []
    train.run(
        dataclasses.replace(task, params=params),
        folder,
        lambda metrics, warnings: told.append(warnings),
    )
    ((line,), *later) = told
    assert line.startswith(
        f"epoch 1: no neuron of layer {layer} spikes, so that the network hardly"
    )
    assert "snn.lsuv" in line and "threshold" in line
    assert later == [[], []]


def test_the_notebooks_task_is_learnt(tmp_path):
    config = train.TrainConfig(crossbar="last")
    folder = train.create_run_folder(tmp_path / "run", config)
    assert train.run(train.make_task(config), folder).test_accuracy > 0.97
