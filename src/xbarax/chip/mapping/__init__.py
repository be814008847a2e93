"""Weights to conductances and back."""

from xbarax.chip.mapping._bit_slices import BitSlices as BitSlices
from xbarax.chip.mapping._differential_pair import DifferentialPair as DifferentialPair
from xbarax.chip.mapping._direct import Direct as Direct
from xbarax.chip.mapping._ideal_reference import IdealReference as IdealReference
from xbarax.chip.mapping._mapping import AbstractMapping as AbstractMapping
from xbarax.chip.mapping._offset_column import OffsetColumn as OffsetColumn
