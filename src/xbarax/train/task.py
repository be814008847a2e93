"""Builds what a configuration describes: data, network, parameters and optimiser."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import optax

from xbarax import snn
from xbarax.array import to_crossbar
from xbarax.chip import AbstractChip
from xbarax.datasets import BatchLoader, randman
from xbarax.train.chips import make_chip
from xbarax.train.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Task:
    """A training run that has not begun.

    Args:
      config: what it was made from.
      net: the network.
      params: its initial parameters, a list with a dict for each layer.
      optimiser: stochastic gradient descent with momentum.
      rng: the generator that shuffles the training data, as the making of the data left it.
      training: the training data, shuffled by `rng`; partial batches are left out.
      test: the test data in order, all of it.
    """

    config: TrainConfig
    net: snn.Sequential
    params: Any
    optimiser: optax.GradientTransformation
    rng: np.random.Generator
    training: BatchLoader
    test: BatchLoader


def make_task(config: TrainConfig) -> Task:
    """Draws the data and the initial weights, and programs the crossbars.

    The data come from `numpy.random.default_rng(seed)`, which then shuffles them, and the weights
    from `jax.random.key(seed)`: they are the same whichever of them are crossbars.

    Raises:
      OSError, AttributeError, ImportError, TypeError, ValueError, DriverError: the chip's driver
        cannot be used, see `xbarax.hardware.load`.
    """
    chip = make_chip(config.chip, config.chip_config, config.isolated)
    inputs, *sizes = config.network
    net = snn.Sequential(*(snn.LIF(size, recurrent=True) for size in sizes))
    params = _program_crossbars(net.init(jax.random.key(config.seed), inputs), config, chip)

    rng = np.random.default_rng(config.seed)
    data, labels = randman.make_spike_raster_dataset(
        rng,
        nb_classes=config.classes,
        nb_units=inputs,
        nb_steps=config.time_steps,
        nb_samples=config.samples_per_class,
    )
    split = config.training_samples
    return Task(
        config=config,
        net=net,
        params=params,
        optimiser=_sgd(
            config.learning_rate, config.momentum, config.updates if config.falling else None
        ),
        rng=rng,
        training=BatchLoader(data[:split], labels[:split], config.batch_size, rng),
        test=BatchLoader(data[split:], labels[split:], config.batch_size, drop_last=False),
    )


@functools.lru_cache(maxsize=16)
def _sgd(
    learning_rate: float, momentum: float, falling_over: int | None
) -> optax.GradientTransformation:
    # Equal optimisers are one object, so that a second run in a process finds its program compiled.
    if falling_over is None:
        return optax.sgd(learning_rate, momentum=momentum)
    return optax.sgd(optax.cosine_decay_schedule(learning_rate, falling_over), momentum=momentum)


def _program_crossbars(params: Any, config: TrainConfig, chip: AbstractChip) -> Any:
    if config.crossbar == "none":
        return params
    # Any number that is no layer's: the chip's randomness is not that of the initial weights.
    chip_key = jax.random.fold_in(jax.random.key(config.seed), 0x63686970)  # "chip" in ASCII
    key = chip_key if chip.noisy_program or chip.noisy_read else None
    if config.crossbar == "last":
        return to_crossbar(params, lambda p: p[-1]["input"], chip, key)
    matrices = ("input", "recurrent")
    where = lambda p: [layer[name] for layer in p for name in matrices]
    return to_crossbar(params, where, chip, key)
