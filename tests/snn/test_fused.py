"""Chains of layers by native kernels against the same layers in plain JAX."""

import dataclasses

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_close, normal
from tests.snn.test_unroll import random_spikes
from xbarax import _kernels, snn

RTOL = 1e-4


def as_implemented(net, implementation):
    layers = (dataclasses.replace(layer, implementation=implementation) for layer in net.layers)
    return snn.Sequential(*layers)


def lively(net, n_inputs, seed=0):
    """Parameters with which layers spike, biases too."""
    params = net.init(jax.random.key(seed), n_inputs)
    return jax.tree.map(lambda p: 2.5 * p + 0.03, params)


def everything(net, params, xs, state):
    """A number that depends on all that `unroll` gives, in many ways."""
    spikes, end, records = snn.unroll(net, params, xs, state, record=True)
    wave = lambda x: jnp.sum(x * jnp.cos(jnp.arange(x.size, dtype=jnp.float32)).reshape(x.shape))
    recorded = sum(wave(r.membrane**2) + wave(r.spikes) for r in records)
    return wave(spikes) + sum(map(wave, jax.tree.leaves(end.layers))) + recorded


def assert_near(found, expected, rtol=RTOL):
    """Within `rtol` of each array's largest entry."""

    def near(a, b):
        if b.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(
                a, b, rtol=0, atol=rtol * max(1e-6, np.abs(b).max(initial=0))
            )

    jax.tree.map(near, found, expected)


def closest_to_threshold(net, params, xs, state):
    """How near a membrane comes to its threshold, relative to the largest."""
    records = snn.unroll(net, params, xs, state, record=True)[2]
    gaps = [
        jnp.min(jnp.abs(r.membrane - layer.threshold), initial=jnp.inf)
        / jnp.maximum(1, jnp.max(jnp.abs(r.membrane), initial=0))
        for r, layer in zip(records, net.layers, strict=True)
    ]
    return jnp.min(jnp.stack(gaps))


def outcome(net, *args):
    """Spikes, and derivatives by all arguments, of one compiled program."""

    @jax.jit
    def run(params, xs, state):
        gradient = jax.grad(everything, argnums=(1, 2, 3), allow_int=True)
        return snn.unroll(net, params, xs, state)[0], gradient(net, params, xs, state)

    return run(*args)


decays = st.floats(0.1, 0.98)


@st.composite
def layers(draw, size):
    recurrent = draw(st.booleans())
    per_neuron = st.lists(decays, min_size=size, max_size=size).map(tuple)
    return dict(
        size=size,
        recurrent=recurrent,
        input_bias=draw(st.booleans()),
        recurrent_bias=recurrent and draw(st.booleans()),
        membrane_decay=draw(decays | per_neuron),
        input_decay=draw(decays | per_neuron),
        recurrent_decay=draw(decays),
        input_gain=draw(st.floats(1, 20)),
        threshold=draw(st.floats(0.2, 2)),
        reset=draw(st.sampled_from(["zero", "subtract", "none"])),
        detach_reset=draw(st.booleans()),
        surrogate=draw(st.floats(0, 20)),
    )


@st.composite
def problems(draw):
    sizes = draw(st.lists(st.sampled_from([1, 2, 7, 16, 33]), min_size=1, max_size=3))
    net = [draw(layers(size)) for size in sizes]
    n_inputs = draw(st.sampled_from([1, 5, 32, 40]))
    time, batch = draw(st.sampled_from([0, 1, 2, 12])), draw(st.sampled_from([1, 3, 13]))
    rate = draw(st.sampled_from([0.0, 0.05, 0.4, 1.0]))
    return net, n_inputs, time, batch, rate, draw(st.integers(0, 2**30))


@hypothesis.settings(max_examples=25, deadline=None)  # each compiles programs of its own
@hypothesis.given(problems())
def test_random_networks_agree(problem):
    settings, n_inputs, time, batch, rate, seed = problem
    surrogates = [snn.SuperSpike(layer.pop("surrogate")) for layer in map(dict, settings)]
    net = snn.Sequential(
        *(
            snn.LIF(**{**layer, "surrogate": surrogate}, implementation="native")
            for layer, surrogate in zip(settings, surrogates, strict=True)
        )
    )
    params = lively(net, n_inputs, seed)
    rng = np.random.default_rng(seed)
    xs = (rng.random((time, batch, n_inputs)) < rate).astype(np.float32)
    state = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.random(leaf.shape) < 0.3, leaf.dtype),
        net.initial_state(batch),
    )
    spec = as_implemented(net, "jax")
    # A membrane that rounding carries over its threshold makes another spike, and all else differ.
    gap = jax.jit(lambda *args: closest_to_threshold(spec, *args))(params, xs, state)
    hypothesis.assume(gap > 1e-5)
    spikes, gradients = zip(*(outcome(n, params, xs, state) for n in (net, spec)), strict=True)
    np.testing.assert_array_equal(*spikes)
    assert_near(*gradients)


NET = snn.Sequential(
    snn.LIF(24, recurrent=True), snn.LIF(17, input_bias=True), snn.LIF(5, recurrent=True)
)
XS = random_spikes(0, 30, 6, 11)


@pytest.fixture
def params():
    return lively(NET, 11)


def test_inputs_need_not_be_spikes(params):
    xs = normal(3, *XS.shape) * XS
    both = [
        jax.value_and_grad(everything, argnums=(1, 2))(
            as_implemented(NET, word), params, xs, NET.initial_state(6)
        )
        for word in ("native", "jax")
    ]
    assert_near(*both)


def calls(function, *args):
    """How often the compiled program calls each kernel of layers."""
    return calls_of(jax.jit(function).lower(*args).compile())


def calls_of(compiled):
    text = compiled.as_text()
    return tuple(text.count(f'custom_call_target="xbarax_lif_{way}"') for way in WAYS)


WAYS = ("forward", "backward")


def test_which_programs_are_fused(params):
    run = lambda net: lambda params, xs: jnp.sum(snn.unroll(net, params, xs)[0])
    assert calls(run(NET), params, XS) == (1, 0)
    assert calls(jax.grad(run(NET)), params, XS) == (1, 1)
    assert calls(jax.grad(run(as_implemented(NET, "jax"))), params, XS) == (0, 0)
    mixed = snn.Sequential(
        NET.layers[0], dataclasses.replace(NET.layers[1], implementation="jax"), NET.layers[2]
    )
    assert calls(jax.grad(run(mixed)), params, XS) == (2, 2)


@dataclasses.dataclass(frozen=True)
class Box(snn.AbstractSurrogate):
    """A surrogate that no kernel has."""

    def derivative(self, x):
        """One within a half of the threshold."""
        return jnp.where(jnp.abs(x) < 0.5, 1.0, 0.0)


def test_other_surrogates_are_left_to_jax(params):
    net = snn.Sequential(dataclasses.replace(NET.layers[0], surrogate=Box()))
    assert calls(lambda p, xs: snn.unroll(net, p, xs)[0], params[:1], XS) == (0, 0)
    with pytest.raises(ValueError, match=r"'native': expected snn.SuperSpike\(\)"):
        snn.LIF(3, surrogate=Box(), implementation="native")


def test_crossbars(params):
    """Ideal ones are their weights; what kernels cannot read is read by its chip."""
    everywhere = lambda p: [p[0]["input"], p[0]["recurrent"], p[1]["input"], *p[2].values()]
    program = jax.grad(lambda p, xs: jnp.sum(snn.unroll(NET, p, xs)[0]))
    ideal = xb.to_crossbar(params, everywhere, xb.Chip())
    assert calls(program, ideal, XS) == (1, 1)
    assert_close(program(ideal, XS), program(params, XS), rtol=1e-5, atol=1e-5)
    spec = xb.to_crossbar(params, everywhere, xb.Chip(implementation="jax"))
    assert calls(program, spec, XS) == (1, 1)  # the layer without recurrent weights is driven

    clips = xb.Chip(dac=xb.DAC(bits=8), adc=xb.ADC(bits=12, range=1e-4))
    inputs = xb.to_crossbar(params, lambda p: [p[1]["input"]], clips)
    assert calls(program, inputs, XS) == (2, 2)
    plain = jax.grad(lambda p, xs: jnp.sum(snn.unroll(as_implemented(NET, "jax"), p, xs)[0]))
    assert_near(program(inputs, XS), plain(inputs, XS))
    recurrent = xb.to_crossbar(params, lambda p: [p[0]["recurrent"]], clips)
    assert calls(program, recurrent, XS) == (1, 1)  # the other two
    with pytest.raises(ValueError, match="'native': .*converters that do not clip, given crossbar"):
        snn.unroll(as_implemented(NET, "native"), recurrent, XS)


RERAM = dataclasses.replace(xb.device.presets.reram_soft_bounds(), read_noise=1e-7)
PCM = xb.device.PCM()
CONVERTERS = {"dac": xb.DAC(bits=8), "adc": xb.ADC(bits=9)}
READ_IN_THE_LOOP = {
    "one sigma": xb.Chip(RERAM),
    "one sigma, pairs": xb.Chip(RERAM, xb.mapping.DifferentialPair(headroom=4.0)),
    "a sigma each": xb.Chip(PCM),
    "subtracted pairs": xb.Chip(
        RERAM, xb.mapping.DifferentialPair(headroom=4.0, subtract="analog"), **CONVERTERS
    ),
    "quiet": xb.Chip(**CONVERTERS),
    "in tiles": xb.Chip(RERAM, tile=(16, 10), **CONVERTERS),
    "each, converted": xb.Chip(PCM, **CONVERTERS),
    "reference columns": xb.Chip(PCM, xb.mapping.OffsetColumn(), (16, 16), adc=xb.ADC(bits=9)),
    "ideal backward": xb.Chip(RERAM, backward="ideal", **CONVERTERS),
}


@pytest.mark.parametrize("name", READ_IN_THE_LOOP)
def test_arrays_are_read_in_the_loop(params, name):
    """With the same noise as in plain JAX, forward and backward."""
    chip = READ_IN_THE_LOOP[name]
    everywhere = lambda p: [p[0]["input"], p[0]["recurrent"], p[1]["input"], *p[2].values()]
    crossbars = xb.to_crossbar(params, everywhere, chip, jax.random.key(7))
    state = NET.initial_state(6)._replace(step=jnp.int32(5))
    spikes, gradients = [], []
    for word in ("native", "jax"):
        net = as_implemented(NET, word)
        run = lambda p, xs, net=net: snn.unroll(net, p, xs, state)[0]
        loss = lambda p, xs, net=net: everything(net, p, xs, state)
        compiled = jax.jit(run).lower(crossbars, XS).compile()
        assert calls_of(compiled) == ((1, 0) if word == "native" else (0, 0))
        spikes.append(compiled(crossbars, XS))
        gradients.append(jax.jit(jax.grad(loss, argnums=(0, 1)))(crossbars, XS))
    np.testing.assert_array_equal(*spikes)
    # A converter's level, where rounding decides on it, is 2⁻⁷ of a vector's largest number.
    assert_near(*gradients, rtol=RTOL if chip.dac.bits is None and chip.adc.bits is None else 2e-3)


@pytest.mark.parametrize("bits", [None, 4])
def test_inputs_are_converted_in_the_loop(params, bits):
    """Rounded, and clipped beyond 1, from where on their derivatives are zero."""
    chip = xb.Chip(RERAM, dac=xb.DAC(bits=bits))
    crossbars = xb.to_crossbar(params, lambda p: [p[0]["input"]], chip, jax.random.key(7))
    xs = jnp.where(XS == 0, 0.4, 1.6) * normal(3, *XS.shape)
    both = [
        jax.value_and_grad(everything, argnums=(1, 2))(
            as_implemented(NET, word), crossbars, xs, NET.initial_state(6)
        )
        for word in ("native", "jax")
    ]
    assert_near(*both)
    outside = np.abs(xs) > 1
    assert outside.any()
    assert np.all(both[0][1][1][outside] == 0) == (bits is not None)


def test_copies_of_chips_are_a_loop(params):
    """Each with noise of its own, and rows counted in each."""
    chip = READ_IN_THE_LOOP["each, converted"]

    def run(key, xs):
        crossbars = xb.to_crossbar(params, lambda p: [p[0]["recurrent"]], chip, key)
        return snn.unroll(NET, crossbars, xs)[0]

    keys = jax.random.split(jax.random.key(0), 3)
    batches = jnp.stack([XS, XS[::-1], 0 * XS])
    looped = jnp.stack([run(key, xs) for key, xs in zip(keys, batches, strict=True)])
    np.testing.assert_array_equal(jax.vmap(run)(keys, batches), looped)
    shared = jnp.stack([run(keys[0], xs) for xs in batches])
    np.testing.assert_array_equal(jax.vmap(run, (None, 0))(keys[0], batches), shared)


def test_copies_that_share_their_weights_are_samples(params):
    """`vmap` over samples is the batch: one call, no copies of the weights."""
    one = lambda params, x: snn.unroll(NET, params, x[:, None])[0][:, 0]
    mapped = jax.vmap(one, (None, 1), 1)
    assert_close(mapped(params, XS), snn.unroll(NET, params, XS)[0], rtol=0, atol=0)
    program = jax.grad(lambda p, xs: jnp.sum(mapped(p, xs) * jnp.arange(5)))
    assert calls(program, params, XS) == (1, 1)
    batch = jax.grad(lambda p, xs: jnp.sum(snn.unroll(NET, p, xs)[0] * jnp.arange(5)))
    assert_near(program(params, XS), batch(params, XS))


def dot(a, b):
    return sum(map(jnp.vdot, jax.tree.leaves(a), jax.tree.leaves(b)))


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_sample_does_not_depend_on_its_neighbours(recurrent):
    """Products are by events or with all inputs, as the neighbours have them: the same bits."""
    options = {"recurrent": recurrent, "input_bias": True}
    net = snn.Sequential(snn.LIF(128, **options), snn.LIF(64, **options))
    params = lively(net, 100)
    few = random_spikes(1, 20, 24, 100, rate=0.1)
    many = np.concatenate([few[:, :1], random_spikes(2, 20, 23, 100, rate=0.9)], axis=1)
    run = jax.jit(lambda xs: snn.unroll(net, params, xs, record=True)[2])
    for records in zip(run(few), run(many), run(few[:, :1]), strict=True):
        for other in records[1:]:
            np.testing.assert_array_equal(other.membrane[:, 0], records[0].membrane[:, 0])


def test_forward_mode(params):
    native, spec = (as_implemented(NET, word) for word in ("native", "jax"))
    along = jax.tree.map(lambda leaf: normal(1, *leaf.shape), params)
    state = NET.initial_state(6)

    def tangents(net):
        run = lambda p, xs: snn.unroll(net, p, xs, state, record=True)
        return jax.jvp(run, (params, XS), (along, XS))[1]

    assert_near(tangents(native), tangents(spec))
    loss = lambda p: everything(native, p, XS, state)
    assert_near(jax.grad(jax.checkpoint(loss))(params), jax.grad(loss)(params))


def test_derivatives_of_derivatives(params):
    """Those of the specification."""

    def loss_of(word):
        net = as_implemented(NET, word)
        return lambda p: jnp.sum(snn.unroll(net, p, XS, record=True)[2][-1].membrane ** 2)

    native, spec = loss_of("native"), loss_of("jax")
    v, u = (jax.tree.map(lambda leaf, i=i: normal(i, *leaf.shape), params) for i in (1, 2))

    def along(function, v):
        return lambda p: jax.jvp(function, (p,), (v,))[1]

    expected = jax.grad(along(spec, v))(params)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected)) > 1
    assert_near(jax.grad(along(native, v))(params), expected)
    if jax.__version_info__ < (0, 12):
        return  # it loses terms where it differentiates reverse passes of custom_jvp in scans
    assert_near(jax.grad(lambda p: dot(jax.grad(native)(p), v))(params), expected)
    forward = along(jax.grad(native), v)(params)
    np.testing.assert_allclose(dot(forward, u), along(along(spec, u), v)(params), rtol=RTOL)


def test_what_is_no_number_is_told(params):
    xs = XS.copy()
    xs[3, 2, 1] = np.nan
    for word in ("native", "jax"):
        spikes = snn.unroll(as_implemented(NET, word), params, xs)[0]
        assert np.isnan(spikes[-1, 2]).all()
        assert not np.isnan(spikes[:, :2]).any()


def test_eight_chains_at_once():
    """Independent layers share XLA's threads, and wait for each other in none."""
    net = snn.Sequential(snn.LIF(64, recurrent=True))
    params = [lively(net, 32, seed) for seed in range(8)]
    xs = random_spikes(1, 10, 64, 32)
    gradient = jax.grad(lambda p: jnp.sum(snn.unroll(net, p, xs)[0] * jnp.arange(64)))
    program = jax.jit(lambda params: list(map(gradient, params)))
    first = program(params)
    for _ in range(100):
        again = program(params)
    jax.tree.map(np.testing.assert_array_equal, again, first)


def test_long_sequences_are_run_again(params, monkeypatch):
    """Their membranes are not kept, and come out as the same numbers."""
    xs = random_spikes(0, 50, 6, 11)

    def compiled():
        jax.clear_caches()
        loss = lambda p, xs: jnp.sum(snn.unroll(NET, p, xs)[0] * jnp.arange(5))
        return jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()

    kept = compiled()
    monkeypatch.setattr(_kernels._lif, "_MOST_MEMBRANES", 0)
    again = compiled()
    jax.clear_caches()
    jax.tree.map(np.testing.assert_array_equal, again(params, xs), kept(params, xs))
    memory = [f.memory_analysis().temp_size_in_bytes for f in (again, kept)]
    assert memory[0] < memory[1] / 1.5


def test_without_the_native_library(params, monkeypatch):
    monkeypatch.setattr(_kernels._library, "available", lambda: False)
    monkeypatch.setattr(_kernels, "available", lambda: False)
    jax.clear_caches()
    assert calls(lambda p, xs: snn.unroll(NET, p, xs)[0], params, XS) == (0, 0)
    jax.clear_caches()
