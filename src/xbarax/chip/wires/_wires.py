"""What the wires between the cells do: the extension point."""

import abc

from jax import Array


class AbstractWires(abc.ABC):
    """Turns the cells' conductances into those seen from the ends of the wires."""

    @abc.abstractmethod
    def effective(self, conductance: Array) -> Array:
        """Conductances of tiles (…, out, in) to effective ones of the same shape, tile by tile."""
