"""Real crossbars behind shared libraries."""

from xbarax._kernels import NativeLibraryError as NativeLibraryError
from xbarax.hardware._functions import FunctionLibraryChip as FunctionLibraryChip
from xbarax.hardware._functions import load as load
from xbarax.hardware._functions import reference_library as reference_library
