"""What the wires between the cells do: the extension point."""

import abc

from jax import Array

from xbarax.chip.device import AbstractDevice


class AbstractWires(abc.ABC):
    """Turns the cells' conductances into those seen from the ends of the wires.

    A frozen dataclass of numbers, like all stations of a chip.
    """

    def check(self, device: AbstractDevice) -> None:
        """Refuses a device that cannot be between such wires, by a ValueError.

        By default none.
        """
        return None

    @property
    def per_read(self) -> bool:
        """Whether each read asks for its `currents`, which are no product; by default False."""
        return False

    def currents(self, terms: tuple[Array, ...], volts: Array, *, transpose: bool) -> Array:
        """The currents of tiles in a read, in amperes; for wires that are `per_read` alone.

        A cell conducts `Σ_k terms[k] u^(k+1)` at the voltage u, with terms (…, out, in). Forward
        reads drive inputs with volts (…, in), and their currents are (…, out); transposed reads
        drive outputs with (…, out), to currents (…, in). Leading axes broadcast. In plain JAX. NaN
        where they are not found.
        """
        raise NotImplementedError(f"{type(self).__name__} has no currents of its own")

    @abc.abstractmethod
    def effective(self, conductance: Array) -> Array:
        """Conductances of tiles (…, out, in) to effective ones of the same shape, tile by tile.

        In plain JAX, differentiable. What a tile lacks is open cells (0 S): the last outputs and
        the first inputs, which are behind the far ends of the others' wires.
        """
