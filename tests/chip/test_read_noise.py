"""Aggregated read noise against noise drawn for every device, read after read.

The package draws one number for each sum; physics one for each device. Both give normal numbers,
whose mean and whole covariance over the outputs are compared here, each at Z standard errors.
"""

import jax
import numpy as np
import pytest

import xbarax as xb
from tests.helpers import assert_equal, normal

Z = 4.5  # a normal number lies farther than this many standard deviations off once in 150 000
N = 100_000
SIGMA = 0.4e-6  # read noise of each device where there is one number for all, in siemens
N_OUT, N_IN = 4, 5
W = normal(0, N_OUT, N_IN)
X = np.array([0.9, -0.4, 0.0, 1.0, 0.6], np.float32)
Y = np.array([0.5, -1.0, 0.3, 0.8], np.float32)

QUIET = {"cycle_noise": 0.0, "step_spread": 0.0, "asymmetry_spread": 0.0}
EXACT_BOUNDS = {"lower_spread": 0.0, "upper_spread": 0.0}
DEVICES = {
    "one for each": xb.device.PCM(read_noise=4.0),
    "one for all": xb.device.ConstantStep(read_noise=SIGMA, **QUIET, **EXACT_BOUNDS),
}
MAPPINGS = {
    "pair": xb.mapping.DifferentialPair(weight_range=3.0),
    "subtracted pair": xb.mapping.DifferentialPair(weight_range=3.0, subtract="analog"),
    "reference": xb.mapping.IdealReference(weight_range=3.0),
    "column": xb.mapping.OffsetColumn(weight_range=3.0),
}
PAIRS = ("pair", "subtracted pair")
ADCS = {"exact": xb.ADC(), "24 bits": xb.ADC(bits=24)}
SPAN = {"one for each": 25e-6, "one for all": 20e-6}


def deviations(w):
    """Conductances and the standard deviation of a read of each, in siemens, from the formulas."""
    g, sigma = healthy_deviations(w)
    return g, np.where(np.asarray(xb.fault_map(w)) == 0, sigma, 0)  # what is stuck is a resistor


def healthy_deviations(w):
    g = np.asarray(xb.conductances(w), np.float64)
    if isinstance(w.chip.device, xb.device.ConstantStep):
        return g, np.full(g.shape, SIGMA)
    target = np.asarray(xb.array.get_state(w)["state/cells/target"], np.float64)
    share = np.minimum(0.0088 / np.maximum(target / 25e-6, 1e-9) ** 0.65, 0.2)
    return g, 4 * g * share * np.sqrt(np.log((20 + 250e-9) / (2 * 250e-9)))


def explicit(w, mapping, device, vector, transpose, lines):
    """N reads with noise drawn for each device, (N, outputs)."""
    g, sigma = deviations(w)
    noise = np.random.default_rng(1).standard_normal((N, *g.shape), np.float32)
    noise *= sigma.astype(np.float32)
    if mapping in PAIRS:
        held, noise = (g[0] - g[1]), noise[:, 0] - noise[:, 1]
    else:
        held, noise = g[0], noise[:, 0]
    if mapping == "column":
        tile_of = N_OUT + np.arange(N_OUT) // lines
        held = held[:N_OUT] - held[tile_of]
        noise = noise[:, :N_OUT] - noise[:, tile_of]
    elif mapping == "reference":
        held = held - (25e-6 + 0) / 2 if device == "one for each" else held - 15e-6
    scale = 3.0 / (SPAN[device] if mapping in PAIRS else SPAN[device] / 2)
    spec = "noi,o->ni" if transpose else "noi,i->no"
    mean = scale * (vector @ held if transpose else held @ vector)
    return mean, scale * np.einsum(spec, noise, vector)


def check_covariance(samples, covariance):
    """Mean 0 and each entry of the covariance of normal numbers, at confidence Z.

    The mean of n products of a_i and a_j has the variance (c_ii c_jj + c_ij²)/n.
    """
    samples = np.asarray(samples, np.float64)
    variances = np.diag(covariance)
    mean = samples.mean(axis=0)
    assert np.all(np.abs(mean) < Z * np.sqrt(variances / len(samples)))
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / len(samples))
    assert np.all(np.abs(samples.T @ samples / len(samples) - covariance) < Z * error)


def exact_covariance(w, mapping, device, vector, transpose, lines):
    """Sums over devices of what each adds, Σ_d σ_d² a_d a_dᵀ, in double precision."""
    _, sigma = deviations(w)
    n = N_IN if transpose else N_OUT
    total = np.zeros((n, n))
    scale = 3.0 / (SPAN[device] if mapping in PAIRS else SPAN[device] / 2)
    for _, row, i in np.ndindex(sigma.shape):
        tile = np.arange(N_OUT)[np.arange(N_OUT) // lines == row - N_OUT]
        outs = [row] if row < N_OUT else tile  # a reference device is in all sums of its tile
        sign = 1 if row < N_OUT else -1
        adds = np.zeros(n)
        if transpose:
            adds[i] = sign * np.sum(vector[outs])
        else:
            adds[outs] = sign * vector[i]
        total += (scale * sigma[_, row, i]) ** 2 * np.outer(adds, adds)
    return total


CASES = [
    (mapping, device, adc, tile, transpose)
    for mapping, tile in [("pair", (2, 3)), ("column", (2, 3)), ("column", None)]
    for device in DEVICES
    for adc in ADCS
    for transpose in [False, True]
]
CASES.append(("reference", "one for all", "exact", None, False))
CASES.append(("subtracted pair", "one for all", "24 bits", (2, 3), False))
CASES.append(("subtracted pair", "one for each", "24 bits", (2, 3), True))
CASES.append(("subtracted pair", "one for each", "exact", None, False))
CASES.append(("reference", "one for each", "24 bits", (2, 3), True))


@pytest.mark.parametrize(
    ("mapping", "device", "adc", "tile", "transpose"), CASES, ids=lambda value: str(value)
)
def test_noise_is_that_of_all_devices(mapping, device, adc, tile, transpose):
    chip = xb.Chip(device=DEVICES[device], mapping=MAPPINGS[mapping], adc=ADCS[adc], tile=tile)
    w = xb.MemristiveCrossbarArray(W, chip, jax.random.key(0))
    vector = Y if transpose else X
    lines = N_OUT if tile is None else tile[1] - (mapping == "column")
    rows = np.tile(vector, (N, 1))
    reads = np.asarray(xb.read(w, rows, key=jax.random.key(2), transpose=transpose), np.float64)
    mean, drawn = explicit(w, mapping, device, vector, transpose, lines)
    covariance = exact_covariance(w, mapping, device, vector, transpose, lines)
    check_covariance(drawn, covariance)  # the reference's own check
    check_covariance(reads - mean, covariance)


# ---- Stuck devices -----------------------------------------------------------------------------

FAULTY_CASES = [
    (mapping, device, adc, transpose)
    for mapping in ["pair", "column"]
    for device in DEVICES
    for adc, transpose in [("exact", False), ("24 bits", True)]
]
FAULTY_CASES.append(("subtracted pair", "one for all", "24 bits", False))


def stuck_array(mapping, device, adc, kinds):
    """An array whose devices are none, low or high (0, 1, 2) in turns, along all axes."""
    chip = xb.Chip(
        device=DEVICES[device],
        mapping=MAPPINGS[mapping],
        adc=ADCS[adc],
        tile=(2, 3),
        faults=xb.Faults(),
    )
    w = xb.MemristiveCrossbarArray(W, chip, jax.random.key(0))
    kind = np.asarray(kinds)[np.sum(np.indices(xb.fault_map(w).shape), axis=0) % len(kinds)]
    return xb.set_faults(w, kind == 1, kind == 2)


@pytest.mark.parametrize(("mapping", "device", "adc", "transpose"), FAULTY_CASES)
def test_stuck_devices_have_no_noise_and_the_others_keep_theirs(mapping, device, adc, transpose):
    w = stuck_array(mapping, device, adc, [1, 0, 0, 2])
    vector = Y if transpose else X
    rows = np.tile(vector, (N, 1))
    reads = np.asarray(xb.read(w, rows, key=jax.random.key(2), transpose=transpose), np.float64)
    lines = 3 - (mapping == "column")
    covariance = exact_covariance(w, mapping, device, vector, transpose, lines)
    check_covariance(reads - reads.mean(axis=0), covariance)


@pytest.mark.parametrize(("mapping", "device", "adc", "transpose"), FAULTY_CASES)
def test_an_array_of_stuck_devices_reads_the_same_with_every_key(mapping, device, adc, transpose):
    w = stuck_array(mapping, device, adc, [1, 2])
    vector = Y if transpose else X
    one, *others = (
        xb.read(w, vector, key=jax.random.key(seed), transpose=transpose) for seed in range(3)
    )
    assert np.any(one != 0)
    for other in others:
        assert_equal(other, one)
