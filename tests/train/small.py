"""A run small enough to be repeated in many tests."""

import dataclasses

from xbarax import train

CONFIG = train.TrainConfig(
    network=(16, 20, 2),
    crossbar="last",
    epochs=3,
    seed=7,
    batch_size=8,
    # So few steps have to be large, for the last layer to spike and the losses to differ.
    learning_rate=1.0,
    samples_per_class=40,
    time_steps=60,
)


def start(path, **changes):
    """A new run's task and folder."""
    config = dataclasses.replace(CONFIG, **changes)
    task = train.make_task(config)
    return task, train.create_run_folder(path, config)


def resume(path):
    """The task and the folder of a run that was started before."""
    folder, config = train.open_run_folder(path)
    return train.make_task(config), folder
