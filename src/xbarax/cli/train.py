"""``xbarax train``: trains a network in a run folder, and continues runs that were stopped."""

import contextlib
import dataclasses
import datetime
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import tyro
from tqdm import tqdm

from xbarax import hardware, train
from xbarax.cli.errors import INTERRUPTED, UserError
from xbarax.cli.options import parse_options, parse_some
from xbarax.train.chips import is_hardware, make_chip
from xbarax.train.config import config_differences
from xbarax.train.counters import sum_counters
from xbarax.train.run_folder import check_unused

_COMMAND = "xbarax train"
_DESCRIPTION = (
    "Trains a spiking network to tell classes of spike trains apart by their timing. A folder "
    "keeps the run: its configuration, the metrics of each epoch, a checkpoint to continue from, "
    "the trained parameters, and pictures."
)


@dataclasses.dataclass(frozen=True)
class _Place:
    """The folder that keeps the run."""

    out: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: runs/ and the time)"),
    ] = None
    """the run's folder, new or empty."""

    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")] = (
        False
    )
    """continue the run in --out, with the options that it was started with."""


@dataclasses.dataclass(frozen=True)
class _Options:
    place: Annotated[_Place, tyro.conf.OmitArgPrefixes]
    training: Annotated[
        train.TrainConfig,
        tyro.conf.OmitArgPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(help="Data, network, crossbars and optimiser. Equal options, equal runs."),
    ]


def run(arguments: Sequence[str]) -> int:
    """Runs the subcommand.

    Args:
      arguments: the words that follow it.

    Returns:
      The exit code.

    Raises:
      UserError: the options or the folder cannot be used.
    """
    # The place first: for a run that has begun, its configuration is the other options' default.
    place = parse_some(arguments, _Place())
    try:
        if place.resume:
            folder, task = _stored_run(place, arguments)
        else:
            folder, task = _new_run(place, arguments)
    except (train.RunFolderError, OSError) as error:
        raise UserError(str(error)) from error
    return _train(task, folder)


def _new_run(place: _Place, arguments: Sequence[str]) -> tuple[train.RunFolder, train.Task]:
    config = _parse_config(arguments, train.TrainConfig())
    path = place.out or _unused_default(config)
    check_unused(path)  # before the work of making the task, which comes before making the folder
    task = _make_task(config)
    return train.create_run_folder(path, config), task


def _stored_run(place: _Place, arguments: Sequence[str]) -> tuple[train.RunFolder, train.Task]:
    if place.out is None:
        raise UserError("--resume: expected the run's folder, --out FOLDER, given none")
    folder, stored = train.open_run_folder(place.out)
    given = _parse_config(arguments, stored)
    if differences := config_differences(given, stored):
        raise UserError(
            f"--resume continues {place.out} as it was started, but {'; '.join(differences)}"
        )
    return folder, _make_task(stored)


def _parse_config(arguments: Sequence[str], default: train.TrainConfig) -> train.TrainConfig:
    options = parse_options(_COMMAND, arguments, _Options(_Place(), default), _DESCRIPTION)
    config = options.training
    if not is_hardware(config.chip):
        return config
    library = Path(config.chip).expanduser()
    if not library.is_file():
        return config  # so that the refusal names what was given
    # A run may be continued from another working directory.
    return dataclasses.replace(config, chip=str(library.resolve()))


def _make_task(config: train.TrainConfig) -> train.Task:
    if is_hardware(config.chip):
        _open_chip(config)
        try:
            return train.make_task(config)
        # What a real chip cannot hold, or fails to.
        except (ValueError, hardware.DriverError, jax.errors.JaxRuntimeError) as error:
            _forget_failure()
            raise UserError(str(error)) from error
    return train.make_task(config)


def _open_chip(config: train.TrainConfig) -> None:
    # Apart from the making of the task, where the same kinds of errors would be defects.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where a driver's module lies
    try:
        make_chip(config.chip, config.chip_config, config.isolated)
    except (*_CANNOT_OPEN, hardware.DriverError, hardware.NativeLibraryError) as error:
        raise UserError(str(error)) from error


_CANNOT_OPEN = (AttributeError, ImportError, OSError, TypeError, ValueError)


def _unused_default(config: train.TrainConfig) -> Path:
    """A folder in runs/ that says when and what, numbered if that second has one already."""
    sizes = "-".join(map(str, config.network))
    name = f"{_now()}_{sizes}_crossbar-{config.crossbar}"
    path, number = Path("runs") / name, 2
    while path.exists():
        path, number = Path("runs") / f"{name}_{number}", number + 1
    return path


def _now() -> str:
    return datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def _train(task: train.Task, folder: train.RunFolder) -> int:
    try:
        with tqdm(
            total=task.config.epochs, desc="training", unit="epoch", dynamic_ncols=True
        ) as bar:

            def on_epoch(metrics: train.EpochMetrics, warnings: list[str]) -> None:
                for warning in warnings:
                    bar.write(f"xbarax: warning: {warning}", file=sys.stderr)
                accuracy = f"{metrics.test_accuracy:.2%}"
                bar.set_postfix({"loss": f"{metrics.loss:.4f}", "test accuracy": accuracy})
                bar.update()

            last = train.run(task, folder, on_epoch)
    except (train.CheckpointError, OSError) as error:
        raise UserError(str(error)) from error
    except jax.errors.JaxRuntimeError as error:
        if not is_hardware(task.config.chip):
            raise
        _forget_failure()
        raise UserError(f"{error}; to continue: {_again(folder)}") from error
    except KeyboardInterrupt:
        print(f"\nxbarax: interrupted; to continue: {_again(folder)}", file=sys.stderr)
        return INTERRUPTED
    if counted := _counted(last):
        print(f"crossbars counted: {counted}")
    print(f"test accuracy {last.test_accuracy:.2%}, run folder {folder.path}")
    return 0


def _forget_failure() -> None:
    """Keeps JAX from telling at the end of the process, as a traceback, what has been told."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        jax.effects_barrier()
    # JAX knows of the last program alone.
    jax.jit(lambda: jax.debug.callback(lambda: None))()
    jax.effects_barrier()


def _again(folder: train.RunFolder) -> str:
    return f"{_COMMAND} --out {shlex.quote(str(folder.path))} --resume"


def _counted(metrics: train.EpochMetrics) -> str:
    """What the crossbars counted, as a phrase; the metrics have it for each crossbar and epoch."""
    total = sum_counters(metrics.crossbars)
    return ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in total.items() if count
    )
