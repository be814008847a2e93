"""The folder that a training run leaves behind, and continues from."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from xbarax.train._atomic import is_partial, naming, write_atomically
from xbarax.train.config import TrainConfig, config_from_dict, config_to_dict
from xbarax.train.metrics import EpochMetrics, metrics_line


class RunFolderError(ValueError):
    """A folder that a run cannot be started in, or continued from."""


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie.

    Args:
      path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The run's configuration, JSON; written first."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """The metrics of each epoch, a line of JSON each."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """Everything that the run continues from."""
        return self.path / "checkpoint.npz"

    @property
    def parameters(self) -> Path:
        """The trained parameters as plain arrays; written at the end."""
        return self.path / "parameters.npz"

    def picture(self, name: str) -> Path:
        """The picture of that name."""
        return self.path / f"{name}.png"


def check_unused(path: Path) -> None:
    """Refuses a path where a new run would meet something.

    Raises:
      RunFolderError: there is a folder that is not empty, or something that is no folder.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise RunFolderError(f"{path}: expected a folder that is new or empty, given a file")
    # Remains of a run that was killed before it had a configuration are not in anyone's way.
    held = sorted(entry.name for entry in path.iterdir() if not is_partial(entry))
    if held:
        shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise RunFolderError(
            f"{path}: expected a folder that is new or empty, given one that holds {shown}"
        )


def create_run_folder(path: Path, config: TrainConfig) -> RunFolder:
    """Makes a folder for a new run, with its configuration in it.

    Raises:
      RunFolderError: the folder exists and is not empty, or is a file.
      OSError: it cannot be made.
    """
    check_unused(path)
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    text = json.dumps(config_to_dict(config), indent=2) + "\n"
    write_atomically(folder.config, text.encode())
    return folder


def open_run_folder(path: Path) -> tuple[RunFolder, TrainConfig]:
    """A run's folder and the configuration it was started with.

    Raises:
      RunFolderError: the folder holds no run, or its configuration cannot be read.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise RunFolderError(
            f"{path}: expected the folder of a run, given one without {folder.config.name}: there "
            f"is nothing to continue, start a new run"
        )
    try:
        return folder, config_from_dict(json.loads(folder.config.read_bytes()))
    except (ValueError, TypeError) as error:
        raise RunFolderError(f"{folder.config}: not a run's configuration: {error}") from error


def write_metrics(folder: RunFolder, metrics: Sequence[EpochMetrics]) -> None:
    """Makes the folder's metrics exactly these: drops half lines, adds what a kill left out."""
    write_atomically(folder.metrics, "".join(map(metrics_line, metrics)).encode())


def append_metrics(folder: RunFolder, metrics: EpochMetrics) -> None:
    """Adds an epoch's line to the folder's metrics."""
    with naming(folder.metrics), open(folder.metrics, "ab") as file:
        file.write(metrics_line(metrics).encode())
