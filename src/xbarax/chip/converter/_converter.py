"""What stands between the digital numbers and the analog lines: the extension point."""

import abc

from jax import Array


class AbstractConverter(abc.ABC):
    """A digital-to-analog or analog-to-digital converter, one for each line."""

    @abc.abstractmethod
    def convert(self, values: Array) -> Array:
        """Values on the lines (rows, lines) to the values behind the converter."""
