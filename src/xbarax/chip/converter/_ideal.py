"""A converter of infinite resolution."""

import dataclasses

from jax import Array

from xbarax.chip.converter._converter import AbstractConverter


@dataclasses.dataclass(frozen=True)
class Ideal(AbstractConverter):
    """A converter of infinite resolution and range."""

    def convert(self, values: Array) -> Array:
        """The values themselves."""
        return values
