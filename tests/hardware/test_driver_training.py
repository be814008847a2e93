"""Layers in several arrays of a chip, and networks trained wholly on a driver."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import xbarax as xb
from tests.hardware.driver_bench import ALL, settled
from tests.helpers import normal
from xbarax import snn, train

# ---- Layers larger than the chip ---------------------------------------------------------------

# What the chip's arrays hold at most: (outputs, inputs).
MOST = (4, 3)
SHAPES = {(9, 7): 9, (1, 8): 3, (5, 1): 2, (8, 6): 4, (4, 3): 1, (12, 2): 3}
"""Layers, and how many arrays they take."""


def make(bench, shape, **config):
    chip = bench.load(outputs=MOST[0], inputs=MOST[1], **config)
    return xb.MemristiveCrossbarArray(normal(0, *shape), chip)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layers_larger_than_the_chip(bench, shape):
    tiles = SHAPES[shape]
    w = make(bench, shape)
    assert bench.living() == tiles
    counts = collections.Counter(call.name for call in bench.calls())
    assert counts == {"allocate": tiles, "program": tiles}
    weights, delta = normal(0, *shape), normal(1, *shape)
    x, y = normal(2, 5, shape[1]), normal(3, 5, shape[0])
    out = bench.expect(jax.jit(xb.read), w, x, read=tiles, n=[5] * tiles)
    np.testing.assert_allclose(out, x @ weights.T, rtol=1e-4, atol=1e-5)
    back = jax.jit(lambda w, y: xb.read(w, y, transpose=True))
    out = bench.expect(back, w, y, read_transposed=tiles, n=[5] * tiles)
    np.testing.assert_allclose(out, y @ weights, rtol=1e-4, atol=1e-5)
    out = bench.expect(jax.jit(xb.readout), w, read_out=tiles)
    np.testing.assert_array_equal(out, weights)
    w = bench.expect(jax.jit(lambda w: w + delta), w, update=tiles)
    np.testing.assert_allclose(xb.readout(w), weights + delta, rtol=1e-6)
    w = bench.expect(jax.jit(xb.hardware.program), w, delta, program=tiles)
    np.testing.assert_array_equal(xb.readout(w), delta)
    pulses = np.arange(w.size, dtype=np.int32).reshape(shape)
    w = bench.expect(jax.jit(xb.hardware.pulse), w, pulses, pulse=tiles)
    np.testing.assert_allclose(xb.readout(w), delta + pulses / 100, rtol=1e-4, atol=1e-6)
    chip = w.chip
    del w
    assert settled(bench, chip) == 0


def test_what_is_emulated_works_in_tiles(bench):
    w = make(bench, (9, 7), can=ALL - 3)
    weights, delta = normal(0, 9, 7), normal(1, 9, 7)
    y = normal(3, 5, 9)
    back = jax.jit(lambda w, y: xb.read(w, y, transpose=True))
    out = bench.expect(back, w, y, read_out=9)
    np.testing.assert_allclose(out, y @ weights, rtol=1e-4, atol=1e-5)
    w = bench.expect(jax.jit(lambda w: w + delta), w, read_out=9, program=9)
    np.testing.assert_allclose(xb.readout(w), weights + delta, rtol=1e-6)


def test_gradients_in_tiles(bench):
    w = make(bench, (9, 7))
    weights, x = normal(0, 9, 7), normal(2, 5, 7)
    gradient = jax.jit(jax.grad(lambda w, x: (xb.read(w, x) ** 2).sum(), argnums=(0, 1)))
    dw, dx = bench.expect(gradient, w, x, read=9, read_transposed=9)
    y = x @ weights.T
    np.testing.assert_allclose(dw, 2 * y.T @ x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dx, 2 * y @ weights, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("call", ["read", "update", "read_out"])
def test_an_error_in_one_tile(bench, call):
    w = make(bench, (9, 7))
    bench.fail(call, after=4)
    use = {"read": lambda: w @ jnp.ones(7), "update": lambda: w + 1.0 * normal(1, 9, 7)}
    with pytest.raises(jax.errors.JaxRuntimeError, match="the bench tripped"):
        result = use.get(call, lambda: xb.readout(w))()
        jax.block_until_ready(getattr(result, "_state", result))
    w = xb.hardware.recover(w)
    expected = normal(0, 9, 7) + (normal(1, 9, 7) if call == "update" else 0)
    np.testing.assert_allclose(xb.readout(w), expected, rtol=1e-6)


def test_a_layer_that_does_not_fit_gives_back_what_it_took(bench):
    chip = bench.load(outputs=4, inputs=3)
    bench.fail("allocate", after=5)
    with pytest.raises(xb.hardware.DriverError, match="allocate: .*the bench tripped"):
        xb.MemristiveCrossbarArray(normal(0, 9, 7), chip)
    assert bench.living() == 0


# ---- Networks ----------------------------------------------------------------------------------

BATCH, TIME, SIZES = 6, 12, (10, 8, 2)


def network():
    """The notebook's: recurrent layers, all of whose matrices may be crossbars."""
    net = snn.Sequential(*(snn.LIF(size, recurrent=True) for size in SIZES[1:]))
    params = net.init(jax.random.key(0), SIZES[0])
    # Strong enough to spike within so few steps.
    return net, jax.tree.map(lambda leaf: 4 * leaf, params)


def on_chip(params, chip):
    everywhere = lambda p: [layer[name] for layer in p for name in ("input", "recurrent")]
    return xb.to_crossbar(params, everywhere, chip)


def data(seed):
    spikes = np.random.default_rng(seed).random((TIME, BATCH, SIZES[0])) < 0.4
    labels = np.arange(BATCH) % 2
    return spikes.astype(np.float32), labels.astype(np.int32)


def test_a_network_trains_as_in_simulation(bench):
    """To rounding, which spikes could enlarge: data and steps are chosen so that none flips."""
    net, params = network()
    update = train.make_update(net, optax.sgd(0.02, momentum=0.9), donate=False)
    losses: dict[str, list[float]] = {}
    for name, chip in {"simulated": xb.Chip(), "driver": bench.load()}.items():
        now, losses[name] = on_chip(params, chip), []
        state = jax.jit(optax.sgd(0.02, momentum=0.9).init)(now)
        for step in range(5):
            now, state, loss = update(now, state, *data(step))
            losses[name].append(float(loss))
    np.testing.assert_allclose(losses["driver"], losses["simulated"], rtol=1e-4)
    assert len(set(losses["driver"])) == 5


def test_every_read_of_a_training_step_is_on_the_chip(bench):
    """Backpropagation through time: each matrix gets each step's batch forward, and back."""
    net, params = network()
    now = on_chip(params, bench.load())
    first = min(call.array for call in bench.calls())
    names = {first + k: name for k, name in enumerate(["in 1", "again 1", "in 2", "again 2"])}
    optimiser = optax.sgd(0.02)
    update = train.make_update(net, optimiser, donate=False)
    state = jax.jit(optimiser.init)(now)
    # A layer's inputs are known for all steps, and read in one call; what comes back from its own
    # spikes is not. The network's inputs need no cotangent.
    at_once = {("in 1", "read"): [TIME * BATCH], ("in 2", "read"): [TIME * BATCH]}
    stepwise = {(name, "read"): [BATCH] * TIME for name in ("again 1", "again 2")}
    back = {(name, "read_transposed"): n for (name, _), n in {**at_once, **stepwise}.items()}
    del back["in 1", "read_transposed"]
    for step in range(2):  # compiled, and anew
        bench.clear()
        now, state, loss = update(now, state, *data(step))
        jax.block_until_ready(loss)
        jax.effects_barrier()
        made = collections.defaultdict(list)
        for call in bench.calls():
            if call.name != "release":
                made[names[call.array], call.name].append(call.n)
        updates = {(name, "update"): [1] for name in names.values()}
        assert made == {**at_once, **stepwise, **back, **updates}
