"""The native kernels: found, checked, loaded, called."""

from xbarax._kernels._analog import AnalogRead as AnalogRead
from xbarax._kernels._analog import analog_read as analog_read
from xbarax._kernels._calls import HANDLE as HANDLE
from xbarax._kernels._calls import device_after as device_after
from xbarax._kernels._calls import device_pulse as device_pulse
from xbarax._kernels._calls import device_read as device_read
from xbarax._kernels._calls import device_read_out as device_read_out
from xbarax._kernels._calls import device_write as device_write
from xbarax._kernels._calls import functions_add as functions_add
from xbarax._kernels._calls import functions_mul as functions_mul
from xbarax._kernels._calls import functions_write as functions_write
from xbarax._kernels._calls import read as read
from xbarax._kernels._calls import side_effect as side_effect
from xbarax._kernels._calls import update as update
from xbarax._kernels._choose import Implementation as Implementation
from xbarax._kernels._choose import choose as choose
from xbarax._kernels._choose import using as using
from xbarax._kernels._library import NativeLibraryError as NativeLibraryError
from xbarax._kernels._library import available as available
from xbarax._kernels._library import library as library
from xbarax._kernels._random import fold_in as fold_in
from xbarax._kernels._random import is_threefry as is_threefry
from xbarax._kernels._random import normal as normal
from xbarax._kernels._random import split as split
from xbarax._kernels._random import uniform as uniform
