"""The import path of the 2023 notebook: a thin layer over `xbarax.array` and `xbarax.hardware`.

New programs use `xbarax.MemristiveCrossbarArray` and `xbarax.hardware.load`.
"""
