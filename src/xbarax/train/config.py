"""What a training run does, as numbers and words that fit in a file."""

import dataclasses
import json
import math
from typing import Any, Literal, get_args

from xbarax.chip.device.presets import PRESETS
from xbarax.train.chips import IDEAL_CHIP, check_name, is_hardware

Crossbar = Literal["none", "last", "all"]
Schedule = Literal["auto", "constant", "cosine"]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A training run: its data, its network, its crossbars and its optimiser.

    The defaults are the notebook's. The same configuration gives the same run, bit for bit, on the
    same machine and JAX version.

    Args:
      network: sizes of the layers: inputs, hidden layers, and as many neurons as classes.
      crossbar: which weight matrices are crossbar arrays: none, the last layer's input matrix, or
        all input and recurrent matrices.
      chip: what the crossbars are made of: "ideal"; a preset (`xbarax chips` lists them), in
        differential pairs with room for the weights to grow; or a real chip, the path of its
        driver's library, or module:Class, which then sees every read and every update.
      chip_config: what a real chip's driver is opened with, a JSON object as text.
      isolated: whether a real chip's driver runs in a process of its own.
      epochs: passes over the training data.
      seed: seed of the data, the initial weights and the order of the samples.
      batch_size: samples in a batch.
      learning_rate: step size of stochastic gradient descent, at the beginning.
      schedule: "constant"; "cosine", which lets the learning rate fall to 0 over the run along half
        a cosine; or "auto", cosine on a preset's devices, whose noisy updates small steps average
        out, and constant elsewhere.
      momentum: share of the last step that the next one keeps.
      samples_per_class: samples of each class, for training and test together.
      time_steps: length of a sample in time steps.
      train_share: share of the samples to train on; the others are the test data.

    Raises:
      TypeError: an entry is not of its type.
      ValueError: an entry is out of its range, or the entries leave no batch or no test data.
    """

    network: tuple[int, ...] = (16, 32, 2)
    crossbar: Crossbar = "none"
    chip: str = IDEAL_CHIP
    chip_config: str = "{}"
    isolated: bool = False
    epochs: int = 20
    seed: int = 42
    batch_size: int = 48
    learning_rate: float = 2e-2
    schedule: Schedule = "auto"
    momentum: float = 0.9
    samples_per_class: int = 1000
    time_steps: int = 100
    train_share: float = 0.8

    def __post_init__(self) -> None:
        """Refuses what cannot be trained."""
        _check_network(self.network)
        _check_word("crossbar", self.crossbar, get_args(Crossbar))
        _check_word("schedule", self.schedule, get_args(Schedule))
        if not isinstance(self.chip, str) or not self.chip:
            raise TypeError(
                f"chip: expected {IDEAL_CHIP!r}, a preset or the path of a library, given "
                f"{self.chip!r}"
            )
        check_name(self.chip)
        _check_hardware(self)
        if self.chip != IDEAL_CHIP and self.crossbar == "none":
            raise ValueError(
                f"chip: expected {IDEAL_CHIP!r} where crossbar is 'none' and nothing is made of "
                f"it, given {self.chip!r}; with crossbar 'last' or 'all' it is used"
            )
        for name in ("epochs", "batch_size", "samples_per_class", "time_steps"):
            _check_integer(name, getattr(self, name), 1, None)
        # jax.random.key takes 32 bits; a larger seed would not be one number for data and weights.
        _check_integer("seed", self.seed, 0, 2**32 - 1)
        _check_real("learning_rate", self.learning_rate, "above 0", lambda x: x > 0)
        _check_real("momentum", self.momentum, "in [0, 1)", lambda x: 0 <= x < 1)
        _check_real("train_share", self.train_share, "in (0, 1)", lambda x: 0 < x < 1)
        if self.training_samples < self.batch_size:
            raise ValueError(
                f"batch_size: expected at most the number of training samples, "
                f"{self.training_samples}, given {self.batch_size}"
            )
        if self.test_samples < 1:
            raise ValueError(
                f"train_share: expected a share that leaves test data of {self.samples} samples, "
                f"given {self.train_share}"
            )

    @property
    def classes(self) -> int:
        """Number of classes, the size of the last layer."""
        return self.network[-1]

    @property
    def samples(self) -> int:
        """Number of samples, of all classes together."""
        return self.classes * self.samples_per_class

    @property
    def training_samples(self) -> int:
        """Number of samples to train on."""
        return round(self.samples * self.train_share)

    @property
    def updates(self) -> int:
        """Number of updates in the whole run; partial batches are left out."""
        return self.epochs * (self.training_samples // self.batch_size)

    @property
    def falling(self) -> bool:
        """Whether the learning rate falls."""
        return self.schedule == "cosine" or (self.schedule == "auto" and self.chip in PRESETS)

    @property
    def test_samples(self) -> int:
        """Number of samples to test on."""
        return self.samples - self.training_samples


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """The configuration's entries as what JSON holds."""
    return {**dataclasses.asdict(config), "network": list(config.network)}


def config_from_dict(entries: Any) -> TrainConfig:
    """The configuration that `config_to_dict` was given.

    Raises:
      TypeError, ValueError: the entries are not exactly those of a configuration, or one is bad.
    """
    if not isinstance(entries, dict):
        raise TypeError(f"expected the entries of a configuration, given {entries!r}")
    expected = {field.name for field in dataclasses.fields(TrainConfig)}
    if expected != entries.keys():
        missing, unknown = sorted(expected - entries.keys()), sorted(entries.keys() - expected)
        raise ValueError(f"entries missing: {missing or 'none'}, unknown: {unknown or 'none'}")
    if not isinstance(entries["network"], list):
        raise TypeError(f"network: expected a list of sizes, given {entries['network']!r}")
    return TrainConfig(**{**entries, "network": tuple(entries["network"])})


def config_differences(given: TrainConfig, stored: TrainConfig) -> list[str]:
    """What differs between two configurations, a phrase for each entry that shows both values."""
    pairs = (
        (field.name, getattr(given, field.name), getattr(stored, field.name))
        for field in dataclasses.fields(TrainConfig)
    )
    return [f"{name}: given {a!r}, stored {b!r}" for name, a, b in pairs if a != b]


def _check_hardware(config: TrainConfig) -> None:
    if not isinstance(config.isolated, bool):
        raise TypeError(f"isolated: expected True or False, given {config.isolated!r}")
    try:
        given = json.loads(config.chip_config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"chip_config: expected a JSON object, given {config.chip_config!r}: {error}"
        ) from None
    if not isinstance(given, dict):
        raise ValueError(f"chip_config: expected a JSON object, given {config.chip_config!r}")
    if not is_hardware(config.chip) and (given or config.isolated):
        name = "chip_config" if given else "isolated"
        raise ValueError(f"{name}: only a real chip has a driver, given the chip {config.chip!r}")


def _check_network(network: Any) -> None:
    if not isinstance(network, tuple):
        raise TypeError(f"network: expected a tuple of layer sizes, given {network!r}")
    if len(network) < 2:
        raise ValueError(
            f"network: expected at least two sizes, inputs and classes, given {network!r}"
        )
    for size in network:
        _check_integer("network", size, 1, None)
    if network[-1] < 2:
        raise ValueError(f"network: expected at least 2 classes as the last size, given {network}")


def _check_word(name: str, value: Any, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, words))}, given {value!r}")


def _check_integer(name: str, value: Any, low: int, high: int | None) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, given {value!r}")
    if value < low or (high is not None and value > high):
        wanted = f"at least {low}" if high is None else f"{low} to {high}"
        raise ValueError(f"{name}: expected {wanted}, given {value}")


def _check_real(name: str, value: Any, wanted: str, holds: Any) -> None:
    if not isinstance(value, float | int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a number, given {value!r}")
    if not (math.isfinite(value) and holds(value)):
        raise ValueError(f"{name}: expected a number {wanted}, given {value}")
