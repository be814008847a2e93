"""Arrays on chips in files: weights and configuration are stored, and programmed anew."""

import copy
import dataclasses
import json
import pickle
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xbarax as xb
from tests.hardware.driver_bench import run_python, settled, start_python
from xbarax import train

W = jnp.arange(15.0).reshape(3, 5) / 8
DW = jnp.full((3, 5), 0.25)
X = jnp.arange(5.0)


@pytest.fixture
def chip(bench):
    return bench.load(range=50.0)


def test_a_pickle_is_a_new_array_with_the_same_weights(bench, chip):
    w = xb.MemristiveCrossbarArray(W, chip) + DW
    stored = bench.expect(pickle.dumps, w, read_out=1)
    again = bench.expect(pickle.loads, stored, allocate=1, program=1)
    assert again.chip == chip and bench.living() == 2
    again = again + DW
    np.testing.assert_allclose(xb.readout(w), W + 0.25, rtol=1e-6)
    np.testing.assert_allclose(xb.readout(again), W + 0.5, rtol=1e-6)


def test_the_file_holds_no_handle(chip):
    one, other = (xb.MemristiveCrossbarArray(W, chip) for _ in range(2))
    other = (other + DW) - DW
    assert pickle.dumps(one) == pickle.dumps(other)


def test_counters_are_stored(chip):
    w = xb.hardware.pulse(xb.MemristiveCrossbarArray(W, chip), jnp.ones((3, 5), jnp.int32))
    w = jax.jit(lambda w: w + jnp.full((3, 5), 100.0))(w)
    again = pickle.loads(pickle.dumps(w))
    for of in (w, again):
        assert xb.report(of)["saturated"] == xb.report(of)["pulses"] == 15


def test_a_batch(chip):
    ws = jax.vmap(lambda W: xb.MemristiveCrossbarArray(W, chip))(jnp.stack([W, 2 * W]))
    again = pickle.loads(pickle.dumps(ws))
    np.testing.assert_array_equal(xb.readout(again), jnp.stack([W, 2 * W]))
    many = jax.vmap(lambda w: w @ X)(again)
    np.testing.assert_allclose(many, jnp.stack([W @ X, 2 * W @ X]), rtol=1e-6)


def test_a_tree(bench, chip):
    tree = {"a": xb.MemristiveCrossbarArray(W, chip), "b": [np.ones(3), None]}
    again = pickle.loads(pickle.dumps(tree))
    np.testing.assert_array_equal(xb.readout(again["a"]), W)
    del tree, again
    assert settled(bench, chip) == 0


def test_an_array_with_a_key(chip):
    w = xb.MemristiveCrossbarArray(W, chip, key=jax.random.key(3))
    again = pickle.loads(pickle.dumps(w))
    np.testing.assert_array_equal(xb.readout(again), W)
    np.testing.assert_allclose(xb.readout(again + DW), W + 0.25, rtol=1e-6)


def test_a_chip_that_is_closed_is_opened(bench):
    chip = bench.load(outputs=8, inputs=8)
    stored = pickle.dumps(xb.MemristiveCrossbarArray(W, chip))
    xb.hardware.close(chip)
    again = pickle.loads(stored)
    assert again.chip == chip
    np.testing.assert_array_equal(xb.readout(again), W)


def test_a_stale_value_is_not_stored(chip):
    old = xb.MemristiveCrossbarArray(W, chip)
    jax.block_until_ready((old + DW)._state)
    with pytest.raises(jax.errors.JaxRuntimeError, match="generation 1, the chip is at 2"):
        pickle.dumps(old)


LOADING = """
import pickle, sys
import jax.numpy as jnp, numpy as np
import xbarax as xb

with open(sys.argv[1], "rb") as file:
    kept = pickle.load(file)
w = kept["w"]
np.testing.assert_allclose(w @ jnp.ones(5), kept["y"], rtol=1e-6)
assert w.chip.config == '{"outputs": 8, "range": 50.0}', w.chip
w = w + jnp.ones((3, 5))
with open(sys.argv[1], "wb") as file:
    pickle.dump(w, file)
"""


def test_another_process_loads_it(bench, tmp_path):
    w = xb.MemristiveCrossbarArray(W, bench.load(outputs=8, range=50.0))
    file = tmp_path / "array.pickle"
    file.write_bytes(pickle.dumps({"w": w, "y": np.asarray(w @ jnp.ones(5))}))
    done = run_python(LOADING, file)
    assert done.returncode == 0, done.stderr
    back = pickle.loads(file.read_bytes())
    np.testing.assert_allclose(xb.readout(back), W + 1, rtol=1e-6)
    np.testing.assert_array_equal(xb.readout(w), W)


def test_copies_are_the_array_itself(bench, chip):
    """A value that stands for a real array cannot be doubled; its weights can be programmed."""
    w = xb.MemristiveCrossbarArray(W, chip)
    for same in bench.expect(lambda: (copy.copy(w), copy.deepcopy(w))):
        np.testing.assert_allclose(same @ X, W @ X, rtol=1e-6)
    assert bench.living() == 1


def test_states_are_weights_and_go_into_the_arrays_own_place(bench, chip):
    w = xb.MemristiveCrossbarArray(W, chip)
    state = xb.array.get_state(w)
    np.testing.assert_array_equal(state["state/weights"], W)
    new = bench.expect(lambda: xb.array.set_state(w + DW, state), update=1, read_out=1, program=1)
    assert bench.living() == 1
    np.testing.assert_array_equal(xb.readout(new), W)
    other = xb.MemristiveCrossbarArray(W.T, chip)
    with pytest.raises(ValueError, match="this state does not belong to a crossbar"):
        xb.array.set_state(other, state)


# ---- Training runs -----------------------------------------------------------------------------


SMALL = train.TrainConfig(
    network=(16, 20, 2),
    crossbar="all",
    epochs=12,
    seed=7,
    batch_size=8,
    learning_rate=1.0,  # so large that few steps make a difference
    samples_per_class=20,
    time_steps=60,
)


def begin(path, config):
    return train.make_task(config), train.create_run_folder(path, config)


def resume(path):
    folder, config = train.open_run_folder(path)
    return train.make_task(config), folder


def outcome(folder):
    return folder.parameters.read_bytes(), folder.metrics.read_bytes()


@pytest.fixture
def without_pictures(monkeypatch):
    """Which take longer than the runs."""
    monkeypatch.setattr(train.runner, "draw_pictures", lambda *_, **__: None)


def test_a_run_that_was_killed_goes_on(counting_driver, tmp_path, without_pictures):
    """Killed in another process, whose chip is gone with it; continued on a new one."""
    config = dataclasses.replace(SMALL, chip=str(counting_driver))
    folder = train.create_run_folder(tmp_path / "killed", config)
    command = ["-m", "xbarax.cli", "train", "--resume", "--out", str(folder.path)]
    with start_python(*command) as process:
        while process.poll() is None and not folder.checkpoint.exists():
            time.sleep(0.002)
        process.kill()
        errors = process.stderr.read()
    assert process.returncode == -signal.SIGKILL, errors
    assert not folder.parameters.exists()
    train.run(*resume(folder.path))
    whole = begin(tmp_path / "whole", config)
    train.run(*whole)
    assert outcome(folder) == outcome(whole[1])
    losses = [json.loads(line)["loss"] for line in folder.metrics.read_text().splitlines()]
    assert len(set(losses)) > 1  # or nothing would have been trained


def test_a_run_whose_chip_failed_goes_on(bench, tmp_path, without_pictures):
    config = dataclasses.replace(SMALL, chip=bench.name, epochs=4)
    whole = begin(tmp_path / "whole", config)
    train.run(*whole)
    failed = begin(tmp_path / "failed", config)
    epochs = []
    bench.fail("update", after=60)  # 4 crossbars, 4 batches an epoch
    with pytest.raises(jax.errors.JaxRuntimeError, match="updating of array .*the bench tripped"):
        train.run(*failed, on_epoch=lambda metrics, _: epochs.append(metrics))
    assert 1 <= len(epochs) < 4
    train.run(*resume(failed[1].path))
    assert outcome(failed[1]) == outcome(whole[1])


def test_no_run_donates_arrays_on_chips(bench, tmp_path, without_pictures):
    """What the task holds can be read after an error, and after the run."""
    task, folder = begin(tmp_path / "run", dataclasses.replace(SMALL, chip=bench.name, epochs=1))
    train.run(task, folder)
    crossbars = [
        leaf
        for leaf in jax.tree.leaves(task.params)
        if isinstance(leaf, xb.MemristiveCrossbarArray)
    ]
    assert len(crossbars) == 4
    for w in xb.hardware.recover(crossbars):
        assert np.isfinite(xb.readout(w)).all()
