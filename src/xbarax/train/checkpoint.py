"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from xbarax.array import MemristiveCrossbarArray, get_state, set_state
from xbarax.train._atomic import write_atomically
from xbarax.train.config import TrainConfig, config_differences, config_from_dict, config_to_dict
from xbarax.train.metrics import EpochMetrics, metrics_from_dict, metrics_to_dict

_FORMAT = 1
_HEADER = "header"

_ARCHIVE = b"PK"
"""What a zip archive begins with."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be continued from."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A run after some epochs.

    Args:
      params: the parameters.
      opt_state: the optimiser's state.
      rng_state: the state of the NumPy generator's bit generator.
      metrics: the metrics of the epochs so far; there are as many epochs as metrics.
    """

    params: Any
    opt_state: Any
    rng_state: Mapping[str, Any]
    metrics: tuple[EpochMetrics, ...]


def save_checkpoint(path: Path, checkpoint: Checkpoint, config: TrainConfig) -> None:
    """Writes a checkpoint, so that the file is always either the old or the new one.

    The file is NumPy's `.npz` without pickled objects: `header`, a text of JSON (format,
    configuration, metrics, state of the random numbers), and an array for each leaf of the
    parameters and the optimiser's state, named by its place; a crossbar is all the arrays that
    `xbarax.array.get_state` gives.
    """
    header = {
        "format": _FORMAT,
        "config": config_to_dict(config),
        "rng_state": dict(checkpoint.rng_state),
        "metrics": [metrics_to_dict(metrics) for metrics in checkpoint.metrics],
    }
    arrays = {_HEADER: np.array(json.dumps(header))}
    for name, leaf in _named_leaves(checkpoint):
        arrays.update(_leaf_arrays(name, leaf))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, like: Checkpoint, config: TrainConfig) -> Checkpoint:
    """Reads a checkpoint.

    Args:
      path: the file.
      like: a checkpoint of the same run, as at its beginning: parameters and optimiser state of
        the same structure, shapes and types.
      config: the run's configuration.

    Raises:
      CheckpointError: the file is damaged, of another version, of another configuration, does not
        hold what `like` has, or holds more epochs than the configuration.
      OSError: the file cannot be read.
    """
    arrays = _read_arrays(path)
    try:
        header = json.loads(str(arrays.pop(_HEADER)))
        if header["format"] != _FORMAT:
            raise CheckpointError(
                f"{path}: expected a checkpoint of format {_FORMAT}, given {header['format']}"
            )
        stored = config_from_dict(header["config"])
        metrics = tuple(metrics_from_dict(entries) for entries in header["metrics"])
        rng_state = header["rng_state"]
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a checkpoint: {error!r}") from error
    if differences := config_differences(config, stored):
        raise CheckpointError(
            f"{path}: expected a checkpoint of this configuration, but {'; '.join(differences)}"
        )
    _check_rng_state(path, rng_state, like.rng_state)
    _check_epochs(path, [entry.epoch for entry in metrics], config.epochs)
    leaves = [_restore_leaf(path, name, leaf, arrays) for name, leaf in _named_leaves(like)]
    if arrays:
        raise CheckpointError(f"{path}: holds unknown arrays: {', '.join(sorted(arrays))}")
    structure = jax.tree.structure((like.params, like.opt_state))
    params, opt_state = jax.tree.unflatten(structure, leaves)
    return Checkpoint(params, opt_state, rng_state, metrics)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree, each with the way to it: `0/input` for `tree[0]["input"]`."""
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _named_leaves(checkpoint: Checkpoint) -> Sequence[tuple[str, Any]]:
    """In the order of the leaves of `(params, opt_state)`."""
    return [
        (f"{part}/{name}", leaf)
        for part, tree in (("params", checkpoint.params), ("opt_state", checkpoint.opt_state))
        for name, leaf in named_leaves(tree)
    ]


def _leaf_arrays(name: str, leaf: Any) -> dict[str, np.ndarray]:
    if isinstance(leaf, MemristiveCrossbarArray):
        return {f"{name}/{part}": array for part, array in get_state(leaf).items()}
    return {name: np.asarray(leaf)}


def _check_rng_state(path: Path, given: Any, like: Mapping[str, Any]) -> None:
    kind = like["bit_generator"]
    generator = getattr(np.random, kind)()
    message = f"{path}: expected the state of a {kind} generator, given {given!r}"
    try:
        generator.state = given
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(message) from error
    if generator.state != given:  # NumPy passes over what it does not know
        raise CheckpointError(message)


def _check_epochs(path: Path, given: list[int], epochs: int) -> None:
    if given != list(range(1, len(given) + 1)) or len(given) > epochs:
        raise CheckpointError(
            f"{path}: expected metrics of epochs 1, 2, … up to {epochs}, given those of {given}"
        )


def _restore_leaf(path: Path, name: str, like: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Takes the leaf's arrays out of `arrays`."""
    taken = {}
    for part, expected in _leaf_arrays(name, like).items():
        if part not in arrays:
            raise CheckpointError(f"{path}: lacks the array {part}")
        taken[part] = given = arrays.pop(part)
        if (given.shape, given.dtype) != (expected.shape, expected.dtype):
            raise CheckpointError(
                f"{path}: {part}: expected {expected.dtype}{list(expected.shape)}, "
                f"given {given.dtype}{list(given.shape)}"
            )
    if isinstance(like, MemristiveCrossbarArray):
        return set_state(like, {part[len(name) + 1 :]: array for part, array in taken.items()})
    return jnp.asarray(taken[name])


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    # From memory: NumPy would keep the file open after an error.
    content = path.read_bytes()
    if not content.startswith(_ARCHIVE):
        raise _damaged(path, "it is no archive of arrays")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # of many kinds, from NumPy, zipfile and its decompressors
        # NumPy's advice is to unpickle, which a checkpoint never needs and nobody should do.
        pickled = "pickle" in str(error)
        raise _damaged(path, "it holds pickled objects" if pickled else error) from error


def _damaged(path: Path, why: Any) -> CheckpointError:
    return CheckpointError(
        f"{path}: the checkpoint is damaged ({why}); without it, the run starts anew: delete it to "
        f"do so"
    )
