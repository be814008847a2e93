"""Weights to conductances and back."""

from xbarax.chip.mapping._direct import Direct as Direct
from xbarax.chip.mapping._mapping import AbstractMapping as AbstractMapping
