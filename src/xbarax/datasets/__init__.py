"""Data sets for spiking networks, and the loader that cuts them into batches.

Plain NumPy: a raster is ``(sample, time, unit)`` float32 with one count per bin, labels are int32.
Nothing here imports another part of xbarax.
"""

from xbarax.datasets import randman as randman
from xbarax.datasets.loader import BatchLoader as BatchLoader
