"""Layers in tiles: with ideal stations a tile changes nothing but the order of sums.

The device is not the ideal one, which takes a path without tiles.
"""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import assert_close, normal


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (8, 6), (7, 10)])
@pytest.mark.parametrize("tile", [(1, 1), (2, 3), (3, 2), (100, 1), (64, 64)])
def test_reads_as_one_matrix(shape, tile):
    n_out, n_in = shape
    weights, x, y = normal(0, *shape), normal(1, 3, n_in), normal(2, 3, n_out)
    w = xb.MemristiveCrossbarArray(weights, xb.Chip(device=Noisy(), tile=tile))
    both = jax.jit(lambda w: (xb.read(w, x), xb.read(w, y, transpose=True)))
    assert_close(both(w), (jnp.asarray(x @ weights.T), jnp.asarray(y @ weights)))


def converters_see(tile, shape, transpose=False):
    """The shape of what the ADC is given, (rows, planes, tiles out, tiles in, lines)."""
    seen = []

    class Looking(xb.converter.AbstractADC):
        exact = False
        calibrated = False
        clips = False

        def convert(self, currents, calibration):
            seen.append(currents.shape)
            return currents

        def inside(self, currents, calibration):
            raise NotImplementedError

        def convert_scaled(self, currents):
            raise NotImplementedError

    chip = xb.Chip(adc=Looking(), tile=tile)
    w = xb.MemristiveCrossbarArray(normal(0, *shape), chip)
    xb.read(w, np.ones((3, shape[0 if transpose else 1]), np.float32), transpose=transpose)
    return seen[-1]


def test_a_tile_counts_inputs_first():
    # 12 word lines in tiles of 5, 7 bit lines in tiles of 2.
    assert converters_see((5, 2), (7, 12)) == (3, 1, 4, 3, 2)
    assert converters_see((5, 2), (7, 12), transpose=True) == (3, 1, 3, 4, 5)


def test_a_tile_is_no_larger_than_its_layer():
    assert converters_see((64, 64), (7, 12)) == (3, 1, 1, 1, 7)
    assert converters_see(None, (7, 12)) == (3, 1, 1, 1, 7)
