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

    @abc.abstractmethod
    def effective(self, conductance: Array) -> Array:
        """Conductances of tiles (…, out, in) to effective ones of the same shape, tile by tile.

        In plain JAX, differentiable. What a tile lacks is open cells (0 S): the last outputs and
        the first inputs, which are behind the far ends of the others' wires.
        """
