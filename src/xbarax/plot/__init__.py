"""Pictures of training runs, spike trains, devices and crossbars.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody else: no window opens, no
global state of `matplotlib.pyplot` changes. `figure.savefig("name.png")` writes it, and notebooks
show it as it is.
"""

from xbarax.plot.accuracy_histogram import accuracy_histogram as accuracy_histogram
from xbarax.plot.circuit import circuit as circuit
from xbarax.plot.conductance_map import conductance_map as conductance_map
from xbarax.plot.device_sheet import device_sheet as device_sheet
from xbarax.plot.drift import drift as drift
from xbarax.plot.fault_map import fault_map as fault_map
from xbarax.plot.learning_curve import learning_curve as learning_curve
from xbarax.plot.programming_error import programming_error as programming_error
from xbarax.plot.raster import raster as raster
from xbarax.plot.response_curve import response_curve as response_curve
