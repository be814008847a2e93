"""Pictures of training runs, spike trains and crossbars.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody else: no window opens, no
global state of `matplotlib.pyplot` changes. `figure.savefig("name.png")` writes it, and notebooks
show it as it is.
"""

from xbarax.plot.conductance_map import conductance_map as conductance_map
from xbarax.plot.learning_curve import learning_curve as learning_curve
from xbarax.plot.raster import raster as raster
