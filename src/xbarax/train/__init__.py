"""Training runs: the loop, metrics, checkpoints and the folders that runs leave behind.

Train in a few lines, or in a shell with ``xbarax train``::

    from pathlib import Path
    from xbarax import train

    config = train.TrainConfig(crossbar="last", epochs=5)
    task = train.make_task(config)
    folder = train.create_run_folder(Path("runs/first"), config)
    metrics = train.run(task, folder)
"""

from xbarax.train.checkpoint import Checkpoint as Checkpoint
from xbarax.train.checkpoint import CheckpointError as CheckpointError
from xbarax.train.checkpoint import load_checkpoint as load_checkpoint
from xbarax.train.checkpoint import save_checkpoint as save_checkpoint
from xbarax.train.config import TrainConfig as TrainConfig
from xbarax.train.loop import make_accuracy as make_accuracy
from xbarax.train.loop import make_update as make_update
from xbarax.train.loop import measure_accuracy as measure_accuracy
from xbarax.train.loop import train_epoch as train_epoch
from xbarax.train.metrics import EpochMetrics as EpochMetrics
from xbarax.train.run_folder import RunFolder as RunFolder
from xbarax.train.run_folder import RunFolderError as RunFolderError
from xbarax.train.run_folder import create_run_folder as create_run_folder
from xbarax.train.run_folder import open_run_folder as open_run_folder
from xbarax.train.runner import run as run
from xbarax.train.task import Task as Task
from xbarax.train.task import make_task as make_task
