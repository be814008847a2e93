"""DACs on the inputs and ADCs on the outputs."""

from xbarax.chip.converter._converter import AbstractConverter as AbstractConverter
from xbarax.chip.converter._ideal import Ideal as Ideal
