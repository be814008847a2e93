"""What stands between the digital numbers and the analog lines: the extension points."""

import abc

from jax import Array


class AbstractDAC(abc.ABC):
    """The converters of the inputs, one for each line."""

    @property
    @abc.abstractmethod
    def v_read(self) -> float:
        """The voltage of an input of 1, in volts."""

    @abc.abstractmethod
    def convert(self, inputs: Array) -> Array:
        """Inputs (…, lines) to those that the lines carry, in units of `v_read`.

        How it differentiates is how the read does.
        """

    @abc.abstractmethod
    def convert_scaled(self, inputs: Array) -> Array:
        """The same for backward reads, each vector scaled to the converter's range and back."""


class AbstractADC(abc.ABC):
    """The converters of a tile's currents, one for each line."""

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """Whether every current is seen as it is."""

    @property
    @abc.abstractmethod
    def calibrated(self) -> bool:
        """Whether the range is data of the array (`xbarax.calibrate`)."""

    @property
    @abc.abstractmethod
    def clips(self) -> bool:
        """Whether a current can be beyond the range in a forward read."""

    @abc.abstractmethod
    def convert(self, currents: Array, calibration: Array | None) -> Array:
        """Currents (…, lines) in amperes to those that are seen, in amperes.

        `calibration` is the range, (…, 1) or a scalar, where the converter is calibrated.
        """

    @abc.abstractmethod
    def inside(self, currents: Array, calibration: Array | None) -> Array:
        """Which currents are inside the range (bool), where the converter `clips`."""

    @abc.abstractmethod
    def convert_scaled(self, currents: Array) -> Array:
        """The same for backward reads, each vector scaled to the converter's range and back."""
