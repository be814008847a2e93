"""The C interface's table of functions, as ctypes sees it."""

import ctypes
from ctypes import (
    POINTER,
    c_char,
    c_char_p,
    c_float,
    c_int32,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from xbarax.hardware._driver import CAPABILITIES, Description

VERSION = (1, 0)
"""The version of the interface, as in `native/include/xbarax/driver.h`."""


_DESCRIPTION: list[Any] = [
    ("struct_size", c_size_t),
    ("name", c_char * 64),
    ("max_outputs", c_uint32),
    ("max_inputs", c_uint32),
    ("max_arrays", c_uint32),
    ("capabilities", c_uint32),
    ("weight_low", c_float),
    ("weight_high", c_float),
    ("weight_error", c_float),
    ("read_noise", c_float),
    ("read_error", c_float),
]


class CDescription(ctypes.Structure):
    """`xbarax_description`."""

    _fields_ = _DESCRIPTION


def _function(result: Any, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(result, *arguments)


_Floats = POINTER(c_float)
_Array = c_uint64
_Read = _function(c_int32, c_void_p, _Array, c_uint32, _Floats, _Floats)
_Write = _function(c_int32, c_void_p, _Array, _Floats)

FUNCTIONS: dict[str, Any] = {
    "open": _function(c_int32, c_char_p, POINTER(c_void_p)),
    "close": _function(None, c_void_p),
    # An address: a result of type c_char_p would become a Python object on the way.
    "last_error": _function(c_void_p, c_void_p),
    "describe": _function(c_int32, c_void_p, POINTER(CDescription)),
    "allocate": _function(c_int32, c_void_p, c_uint32, c_uint32, POINTER(_Array)),
    "release": _function(c_int32, c_void_p, _Array),
    "program": _Write,
    "read": _Read,
    "read_transposed": _Read,
    "update": _Write,
    "pulse": _function(c_int32, c_void_p, _Array, POINTER(c_int32)),
    "read_out": _function(c_int32, c_void_p, _Array, _Floats),
}
"""The table's functions, in its order, and their types."""


_TABLE: list[Any] = [
    ("version_major", c_uint32),
    ("version_minor", c_uint32),
    ("struct_size", c_size_t),
    *FUNCTIONS.items(),
]


class CTable(ctypes.Structure):
    """`xbarax_driver`."""

    _fields_ = _TABLE


def description_of(said: CDescription) -> Description:
    """The same in Python."""
    fields = {name: getattr(said, name) for name, _ in _DESCRIPTION[1:]}
    bits = fields["capabilities"]
    fields["name"] = fields["name"].decode(errors="replace")
    fields["capabilities"] = {known for b, known in enumerate(CAPABILITIES) if bits >> b & 1}
    return Description(**fields)
