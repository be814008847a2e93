"""A training run in its folder, from the first epoch or from where it was stopped."""

import copy
import io
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from xbarax.array import MemristiveCrossbarArray, readout
from xbarax.train._atomic import write_atomically
from xbarax.train.checkpoint import Checkpoint, load_checkpoint, named_leaves, save_checkpoint
from xbarax.train.chips import is_hardware
from xbarax.train.counters import count_crossbars, epoch_warnings
from xbarax.train.loop import make_evaluation, make_update, measure_accuracy, train_epoch
from xbarax.train.metrics import EpochMetrics
from xbarax.train.pictures import draw_pictures
from xbarax.train.run_folder import RunFolder, append_metrics, write_metrics
from xbarax.train.task import Task

OnEpoch = Callable[[EpochMetrics, list[str]], None]
"""Is told of each epoch's metrics and of what went wrong in it."""


def run(task: Task, folder: RunFolder, on_epoch: OnEpoch | None = None) -> EpochMetrics:
    """Trains, and leaves metrics, checkpoints, parameters and pictures in the folder.

    Continues from the folder's checkpoint where there is one. A run that was killed anywhere and
    continued ends with the same parameters and metrics, bit for bit, as one that was not.

    Args:
      task: what `make_task` returned, new.
      folder: the run's folder.
      on_epoch: called after each epoch, also with those that were trained earlier.

    Returns:
      The last epoch's metrics.

    Raises:
      CheckpointError: the folder's checkpoint cannot be continued from.
    """
    on_epoch = on_epoch or (lambda metrics, warnings: None)
    state = _begin(task, folder)
    # The checkpoint is what counts: a kill may have come before its line was written, or within.
    write_metrics(folder, state.metrics)
    for metrics in state.metrics:
        on_epoch(metrics, [])
    silent = None
    while len(state.metrics) < task.config.epochs:
        before, was_silent = state.metrics[-1] if state.metrics else None, silent
        state, silent = _train_one_epoch(task, state)
        save_checkpoint(folder.checkpoint, state, task.config)
        append_metrics(folder, state.metrics[-1])
        newly_silent = silent if silent != was_silent else None
        on_epoch(state.metrics[-1], epoch_warnings(state.metrics[-1], before, newly_silent))
    _save_parameters(folder, state.params)
    spikes, labels = next(iter(task.test))
    draw_pictures(folder, task.net, state.params, state.metrics, spikes[:, 0], label=int(labels[0]))
    return state.metrics[-1]


def _begin(task: Task, folder: RunFolder) -> Checkpoint:
    """The run's state where it was stopped, or else before its first epoch."""
    params = copy.deepcopy(task.params)  # since the first update takes the memory
    opt_state = jax.jit(task.optimiser.init)(params)
    beginning = Checkpoint(params, opt_state, task.rng.bit_generator.state, ())
    if not folder.checkpoint.exists():
        return beginning
    state = load_checkpoint(folder.checkpoint, beginning, task.config)
    task.rng.bit_generator.state = state.rng_state
    return state


def _train_one_epoch(task: Task, state: Checkpoint) -> tuple[Checkpoint, int | None]:
    """The state after the epoch, and the first hidden layer that is silent on the test data."""
    simulated = not is_hardware(task.config.chip)
    update = make_update(task.net, task.optimiser, donate=simulated)
    params, opt_state, loss = train_epoch(update, state.params, state.opt_state, task.training)
    evaluate, spiking = make_evaluation(task.net), []

    def accuracy(*batch: Any) -> Any:
        share, of_layers = evaluate(*batch)
        spiking.append(of_layers)
        return share

    metrics = EpochMetrics(
        epoch=len(state.metrics) + 1,
        loss=loss,
        test_accuracy=measure_accuracy(accuracy, params, task.test),
        crossbars=count_crossbars(params),
    )
    hidden = np.any(spiking, axis=0)[:-1]
    silent = None if hidden.all() else int(np.argmin(hidden)) + 1
    rng_state = task.rng.bit_generator.state
    return Checkpoint(params, opt_state, rng_state, (*state.metrics, metrics)), silent


def _save_parameters(folder: RunFolder, params: Any) -> None:
    """Writes plain arrays, named `0/input` for the first layer's input matrix, and so on."""
    arrays = {
        name: np.asarray(readout(leaf) if isinstance(leaf, MemristiveCrossbarArray) else leaf)
        for name, leaf in named_leaves(params)
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(folder.parameters, buffer.getvalue())
