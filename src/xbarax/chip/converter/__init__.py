"""DACs on the inputs and ADCs on the outputs."""

from xbarax.chip.converter._adc import ADC as ADC
from xbarax.chip.converter._converter import AbstractADC as AbstractADC
from xbarax.chip.converter._converter import AbstractDAC as AbstractDAC
from xbarax.chip.converter._dac import DAC as DAC
