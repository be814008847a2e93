import dataclasses
import json
import pickle
import re
import zipfile

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.train.small import CONFIG
from xbarax.train import (
    Checkpoint,
    CheckpointError,
    EpochMetrics,
    load_checkpoint,
    save_checkpoint,
)

METRICS = (
    EpochMetrics(epoch=1, loss=1 / 3, test_accuracy=0.1, crossbars={"layer 2 input": {"a": 1}}),
    EpochMetrics(epoch=2, loss=0.7, test_accuracy=2 / 3, crossbars={}),
)


def a_checkpoint(value, metrics=METRICS):
    weights = jnp.arange(6, dtype=jnp.float32).reshape(2, 3) + value
    crossbar = xb.MemristiveCrossbarArray(weights, key=jax.random.key(int(value)))
    params = [{"input": weights / 3, "recurrent": weights[:, :2]}, {"input": crossbar}]
    opt_state = optax.adam(0.1).init(params[:1])
    opt_state = jax.tree.map(lambda leaf: leaf + int(value), opt_state)
    rng = np.random.default_rng(int(value))
    return Checkpoint(params, opt_state, rng.bit_generator.state, metrics)


def saved(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, a_checkpoint(5.0), CONFIG)
    return path


def rewrite(path, change):
    """Changes the arrays of a checkpoint."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def rewrite_header(path, change):
    def change_arrays(arrays):
        header = json.loads(str(arrays["header"]))
        change(header)
        arrays["header"] = np.array(json.dumps(header))

    rewrite(path, change_arrays)


def load(path, config=CONFIG):
    return load_checkpoint(path, a_checkpoint(0.0, ()), config)


def test_everything_comes_back(tmp_path):
    expected, got = a_checkpoint(5.0), load(saved(tmp_path))
    assert got.metrics == METRICS
    rng = np.random.default_rng(0)
    rng.bit_generator.state = got.rng_state
    assert rng.random() == np.random.default_rng(5).random()
    for a, b in ((got.params[0], expected.params[0]), (got.opt_state, expected.opt_state)):
        assert jax.tree.structure(a) == jax.tree.structure(b)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
    ours, theirs = got.params[1]["input"], expected.params[1]["input"]
    assert jax.typeof(ours) == jax.typeof(theirs)
    ours, theirs = xb.array.get_state(ours), xb.array.get_state(theirs)
    assert ours.keys() == theirs.keys() and "key" in ours
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_equal_checkpoints_are_equal_files(tmp_path):
    first = saved(tmp_path).read_bytes()
    assert saved(tmp_path).read_bytes() == first


def test_nothing_is_pickled(tmp_path):
    with zipfile.ZipFile(saved(tmp_path)) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                np.lib.format.read_magic(member)
                _, _, dtype = np.lib.format.read_array_header_1_0(member)
                assert not dtype.hasobject, name


def test_the_old_checkpoint_outlives_a_failure_to_write(tmp_path, monkeypatch):
    path = saved(tmp_path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, a_checkpoint(6.0), CONFIG)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_named(share, tmp_path):
    path = saved(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="checkpoint.npz: the checkpoint is damaged"):
        load(path)


def test_a_changed_byte_is_noticed(tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    weights = np.asarray(a_checkpoint(5.0).params[0]["input"]).tobytes()
    content[content.index(weights)] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="the checkpoint is damaged"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x93NUMPY", b"PK\x03\x04", bytes(range(256)), pickle.dumps([1])]
)
def test_another_file_is_no_checkpoint(content, tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="the checkpoint is damaged") as error:
        load(path)
    assert "pickle" not in str(error.value)


def test_pickled_objects_are_not_opened(tmp_path):
    path = saved(tmp_path)
    rewrite(path, lambda arrays: arrays.update({"params/0/input": np.array([{}], object)}))
    message = r"the checkpoint is damaged \(it holds pickled objects\); without it"
    with pytest.raises(CheckpointError, match=message):
        load(path)


@pytest.mark.parametrize("bit", range(8))
def test_changed_flags_of_the_archive_are_noticed(bit, tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # the last file's entry in the archive's directory
    content[entry + 10] ^= 1 << bit  # how it is compressed
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="the checkpoint is damaged"):
        load(path)


def test_an_array_file_is_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.npz"
    with open(path, "wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(CheckpointError, match="the checkpoint is damaged"):
        load(path)


def test_other_arrays_are_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, weights=np.ones(3))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load(path)


def test_a_checkpoint_of_another_configuration_shows_both(tmp_path):
    other = dataclasses.replace(CONFIG, learning_rate=0.5)
    message = "of this configuration, but learning_rate: given 0.5, stored 1.0"
    with pytest.raises(CheckpointError, match=message):
        load(saved(tmp_path), other)


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    path = saved(tmp_path)
    rewrite_header(path, lambda header: header.update(format=99))
    with pytest.raises(CheckpointError, match="expected a checkpoint of format 1, given 99"):
        load(path)


@pytest.mark.parametrize("entry", ["format", "config", "metrics", "rng_state"])
def test_a_header_without_an_entry_is_no_checkpoint(entry, tmp_path):
    path = saved(tmp_path)
    rewrite_header(path, lambda header: header.pop(entry))
    with pytest.raises(CheckpointError, match=f"not a checkpoint: .*{entry}"):
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {"a": 1},
        lambda state: 3,
        lambda state: {**state, "bit_generator": "MT19937"},
        lambda state: {**state, "state": {"state": 1}},
        lambda state: {**state, "state": {"state": "1", "inc": 1}},
        lambda state: {**state, "state": {"state": -1, "inc": 1}},
        lambda state: {**state, "colour": 1},
    ],
)
def test_a_damaged_state_of_the_random_numbers_is_named(change, tmp_path):
    path = saved(tmp_path)
    rewrite_header(path, lambda header: header.update(rng_state=change(header["rng_state"])))
    message = "checkpoint.npz: expected the state of a PCG64 generator, given "
    with pytest.raises(CheckpointError, match=message):
        load(path)


@pytest.mark.parametrize("epochs", [[1, 2, 3, 4], [2], [1, 1], [0, 1]])
def test_epochs_that_the_run_has_not_are_named(epochs, tmp_path):
    metrics = tuple(dataclasses.replace(METRICS[0], epoch=epoch) for epoch in epochs)
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, a_checkpoint(5.0, metrics), CONFIG)
    message = re.escape(f"metrics of epochs 1, 2, … up to 3, given those of {epochs}")
    with pytest.raises(CheckpointError, match=message):
        load(path)


@pytest.mark.parametrize(
    "change", [{"loss": "low"}, {"test_accuracy": None}, {"crossbars": 3}, {"crossbars": {"a": 1}}]
)
def test_metrics_that_are_none_are_named(change, tmp_path, as_users_call):
    path = saved(tmp_path)
    rewrite_header(path, lambda header: header["metrics"][0].update(change))
    with pytest.raises(CheckpointError, match="not a checkpoint: .*expected an epoch's metrics"):
        load(path)


def test_a_missing_array_is_named(tmp_path):
    path = saved(tmp_path)
    rewrite(path, lambda arrays: arrays.pop("params/0/input"))
    with pytest.raises(CheckpointError, match="lacks the array params/0/input"):
        load(path)


def test_an_unknown_array_is_named(tmp_path):
    path = saved(tmp_path)
    rewrite(path, lambda arrays: arrays.update({"params/2/input": np.ones(1)}))
    with pytest.raises(CheckpointError, match="holds unknown arrays: params/2/input"):
        load(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((3, 2), np.float32), r"expected float32\[2, 3\], given float32\[3, 2\]"),
        (np.ones((2, 3)), r"expected float32\[2, 3\], given float64\[2, 3\]"),
    ],
)
def test_an_array_of_another_type_is_refused(array, message, tmp_path):
    path = saved(tmp_path)
    rewrite(path, lambda arrays: arrays.update({"params/0/input": array}))
    with pytest.raises(CheckpointError, match=f"params/0/input: {message}"):
        load(path)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "checkpoint.npz")
