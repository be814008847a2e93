"""Conductances as one writes them."""

import math

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: ""}


def format_siemens(value: float, digits: int = 3) -> str:
    """A conductance with its SI prefix, such as "25 µS", to so many significant digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} S"
    rounded = float(f"{value:.{digits}g}")
    exponent = 3 * math.floor(math.log10(abs(rounded)) / 3 + 1e-9)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    return f"{rounded / 10**exponent:.{digits}g} {_PREFIXES[exponent]}S"
