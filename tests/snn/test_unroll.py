"""Networks over time: against an independent simulator, in pieces, and what is refused."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import assert_close, assert_equal, normal
from tests.snn import naive
from xbarax import snn


def random_spikes(seed, *shape, rate=0.3):
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.float32)


def lively_params(net, n_inputs, seed=0):
    """Parameters with which short sequences have spikes in all layers: strong and excitatory."""
    biases = iter(range(100))

    def lively(name, value):
        if value.ndim == 1:
            return 0.2 * normal(next(biases), *value.shape)
        shift = 0.2 * np.sqrt(6 / sum(value.shape)) if name == "input" else 0.0
        return 3 * (value + np.float32(shift))

    params = net.init(jax.random.key(seed), n_inputs)
    return [{name: lively(name, value) for name, value in layer.items()} for layer in params]


NETWORKS = {
    "feed-forward": snn.Sequential(snn.LIF(5), snn.LIF(3)),
    "recurrent": snn.Sequential(snn.LIF(6, recurrent=True), snn.LIF(2, recurrent=True)),
    "one neuron": snn.Sequential(snn.LIF(1, recurrent=True)),
    "all settings": snn.Sequential(
        snn.LIF(
            4,
            recurrent=True,
            input_bias=True,
            recurrent_bias=True,
            membrane_decay=(0.9, 0.8, 0.95, 0.5),
            input_decay=0.7,
            recurrent_decay=(0.1, 0.9, 0.5, 0.0),
            input_gain=8.0,
            threshold=0.75,
            reset="subtract",
            detach_reset=False,
            surrogate=snn.SuperSpike(4.0),
        ),
        snn.LIF(3, reset="none", input_bias=True),
        snn.LIF(2, recurrent=True, detach_reset=False),
    ),
}


@pytest.fixture(params=NETWORKS)
def net(request):
    return NETWORKS[request.param]


class TestAgainstTheNaiveSimulator:
    XS = random_spikes(0, 12, 3, 4)

    def test_spikes_and_membranes_agree(self, net):
        params = lively_params(net, 4)
        spikes, _, records = snn.unroll(net, params, self.XS, record=True)
        expected = naive.simulate(net, params, self.XS)
        for record, (naive_spikes, naive_membranes) in zip(records, expected, strict=True):
            assert naive_spikes.any()
            assert_close(record.membrane, naive_membranes)
            assert_equal(record.spikes, naive_spikes)
        assert_equal(spikes, expected[-1][0])

    def test_gradients_agree(self, net):
        params = lively_params(net, 4)
        weight = normal(7, 12, 3, net.layers[-1].size)
        cost = lambda spikes, membrane: jnp.sum(weight * (spikes + membrane**2))

        def ours(params, xs):
            return cost(*snn.unroll(net, params, xs, record=True)[2][-1])

        def theirs(params, xs):
            return cost(*naive.simulate(net, params, xs)[-1])

        gradients = jax.grad(ours, argnums=(0, 1))(params, self.XS)
        expected = jax.jit(jax.grad(theirs, argnums=(0, 1)))(params, self.XS)
        for leaf in jax.tree.leaves(expected):
            assert leaf.any()
        assert_close(gradients, expected, rtol=1e-4, atol=1e-4)

    def test_a_network_that_never_spikes_has_exact_derivatives(self):
        # Without spikes the membrane is linear in the inputs: differences of any size are exact.
        net = snn.Sequential(snn.LIF(3, threshold=1e6))
        params = net.init(jax.random.key(0), 4)
        f = lambda x: snn.unroll(net, params, x, record=True)[2][0].membrane
        xs, direction = normal(0, 9, 2, 4), normal(1, 9, 2, 4)
        _, tangent = jax.jvp(f, (xs,), (direction,))
        assert_close(tangent, f(xs + direction) - f(xs), atol=1e-4)


class TestResults:
    def test_have_their_shapes(self, net):
        xs = random_spikes(1, 7, 3, 4)
        spikes, state, records = snn.unroll(net, net.init(jax.random.key(0), 4), xs, record=True)
        sizes = [layer.size for layer in net.layers]
        assert spikes.shape == (7, 3, sizes[-1])
        assert [r.spikes.shape for r in records] == [(7, 3, size) for size in sizes]
        assert [r.membrane.shape for r in records] == [(7, 3, size) for size in sizes]
        assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, net.initial_state(3))
        assert (state.step, state.step.dtype) == (7, jnp.int32)

    def test_are_the_same_with_and_without_a_record(self, net):
        xs, params = random_spikes(1, 9, 3, 4), lively_params(net, 4)
        spikes, state, records = snn.unroll(net, params, xs, record=True)
        assert_equal(snn.unroll(net, params, xs), (spikes, state))
        assert_equal(records[-1].spikes, spikes)
        last = [layer.membrane for layer in state.layers]
        assert_equal([record.membrane[-1] for record in records], last)

    def test_of_each_sample_do_not_depend_on_the_others(self, net):
        xs, params = random_spikes(2, 10, 4, 4), lively_params(net, 4)
        together, _ = snn.unroll(net, params, xs)
        for i in range(4):
            alone, _ = snn.unroll(net, params, xs[:, i : i + 1])
            assert_equal(together[:, i : i + 1], alone)

    @pytest.mark.parametrize(("time", "batch"), [(0, 3), (5, 0), (0, 0), (1, 1)])
    def test_of_odd_sizes(self, net, time, batch):
        spikes, state = snn.unroll(net, lively_params(net, 4), np.zeros((time, batch, 4), "f4"))
        assert spikes.shape == (time, batch, net.layers[-1].size)
        assert state.step == time
        assert state.layers[0].membrane.shape == (batch, net.layers[0].size)

    def test_are_nan_where_the_network_has_diverged(self):
        net = NETWORKS["recurrent"]
        xs = random_spikes(3, 10, 2, 4)
        xs[4, 0, 0] = np.inf
        spikes, _ = snn.unroll(net, lively_params(net, 4), xs)
        assert jnp.isnan(spikes[-1, 0]).all()
        assert not jnp.isnan(spikes[:, 1]).any()


class TestContinuation:
    """A stream in pieces is one in one piece: the same spikes, and all else to rounding."""

    @pytest.mark.parametrize("batch", [1, 3])
    @pytest.mark.parametrize("cuts", [[5], [0, 1, 1, 13], list(range(1, 13))], ids=str)
    def test_of_a_stream(self, net, batch, cuts):
        xs, params = random_spikes(4, 13, batch, 4), lively_params(net, 4)
        whole, final, records = snn.unroll(net, params, xs, record=True)
        state, pieces = None, []
        for start, stop in itertools.pairwise([0, *cuts, 13]):
            _, state, piece = snn.unroll(net, params, xs[start:stop], state, record=True)
            pieces.append(piece)
        joined = jax.tree.map(lambda *parts: jnp.concatenate(parts), *pieces)
        assert_equal([record.spikes for record in joined], [record.spikes for record in records])
        assert_close(joined, records)
        assert_close(state, final)
        assert whole.any()

    def test_of_the_notebooks_network_one_step_at_a_time(self):
        net = snn.Sequential(snn.LIF(32, recurrent=True), snn.LIF(2, recurrent=True))
        xs, params = random_spikes(5, 100, 1, 16, rate=0.05), lively_params(net, 16)
        whole, final = snn.unroll(net, params, xs)
        state = net.initial_state(1)
        for t in range(100):
            spikes, state = snn.unroll(net, params, xs[t : t + 1], state)
            assert_equal(spikes, whole[t : t + 1])
        assert_close(state, final)

    def test_starts_from_rest(self, net):
        xs, params = random_spikes(6, 5, 2, 4), lively_params(net, 4)
        assert_equal(snn.unroll(net, params, xs, net.initial_state(2)), snn.unroll(net, params, xs))


@dataclasses.dataclass(frozen=True)
class Threshold(snn.AbstractNeuron):
    """A neuron of a user's own: no memory; it counts how often it is traced."""

    size: int
    traces: dict = dataclasses.field(default_factory=dict, compare=False)

    def parameter_shapes(self, n_inputs):
        return {"input": (self.size, n_inputs), "offset": (self.size,)}

    def initial_state(self, batch):
        return ()

    def run(self, params, xs, state, step):
        self.traces["n"] = self.traces.get("n", 0) + 1
        membrane = snn.project_sequence(params["input"], xs, step) + params["offset"]
        return snn.LayerRecord(snn.heaviside(membrane), membrane), state


class TestOwnNeuron:
    def test_takes_its_place_between_others(self):
        net = snn.Sequential(snn.LIF(5), Threshold(3), snn.LIF(2))
        params = lively_params(net, 4)
        assert params[1]["offset"].shape == (3,)
        _, state, records = snn.unroll(net, params, random_spikes(7, 20, 2, 4), record=True)
        before, after = records[0].spikes, records[1].spikes
        expected = before @ params[1]["input"].T + params[1]["offset"] > 0
        np.testing.assert_array_equal(after, expected)
        assert state.layers[1] == ()

    def test_calls_outside_of_jit_compile_once(self):
        layer = Threshold(3)
        net = snn.Sequential(layer)
        params = net.init(jax.random.key(0), 4)
        for seed in range(3):
            _, state = snn.unroll(net, params, random_spikes(seed, 5, 2, 4))
            snn.unroll(snn.Sequential(layer), params, random_spikes(seed, 5, 2, 4), state)
        assert layer.traces == {"n": 1}


class TestSequential:
    def test_is_hashable_and_equal_to_its_like(self):
        one, other = (snn.Sequential(snn.LIF(3), snn.LIF(2, recurrent=True)) for _ in range(2))
        assert one == other
        assert hash(one) == hash(other)
        assert one != snn.Sequential(snn.LIF(3))
        assert eval(repr(one), vars(snn)) == one

    def test_has_layers(self):
        layers = (snn.LIF(3), snn.LIF(2, recurrent=True))
        net = snn.Sequential(*layers)
        assert (len(net), net.layers) == (2, layers)

    def test_is_immutable(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            snn.Sequential(snn.LIF(3)).layers = ()

    def test_refuses_no_layers(self):
        with pytest.raises(ValueError, match="Sequential: expected at least one layer, given none"):
            snn.Sequential()

    def test_refuses_what_is_no_neuron(self):
        with pytest.raises(TypeError, match=r"layer 1: expected a neuron .* given 32"):
            snn.Sequential(snn.LIF(3), 32)
        with pytest.raises(TypeError, match=r"layer 0: .* one by one, Sequential\(\*layers\)"):
            snn.Sequential([snn.LIF(3), snn.LIF(2)])


@pytest.mark.usefixtures("as_users_call")
class TestRefuses:
    NET = snn.Sequential(snn.LIF(5, recurrent=True, input_bias=True), snn.LIF(2))
    XS = random_spikes(0, 7, 3, 4)

    @pytest.fixture
    def params(self):
        return self.NET.init(jax.random.key(0), 4)

    def unroll(self, params, xs=XS, state=None):
        return snn.unroll(self.NET, params, xs, state)

    def test_what_is_no_network(self, params):
        with pytest.raises(TypeError, match="net: expected a snn.Sequential, given LIF"):
            snn.unroll(snn.LIF(5), params, self.XS)

    @pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool"])
    def test_inputs_that_are_not_float32(self, params, dtype):
        message = rf"xs: expected float32, given {dtype}; cast with .astype\(np.float32\)"
        with pytest.raises(TypeError, match=message):
            self.unroll(params, self.XS.astype(dtype))

    def test_inputs_that_are_no_array(self, params):
        with pytest.raises(TypeError, match="xs: expected a float32 array, given list"):
            self.unroll(params, self.XS.tolist())

    def test_inputs_with_another_number_of_axes(self, params):
        message = r"three axes \(time, batch, inputs\), time first, given 2 of shape \(7, 4\); a "
        with pytest.raises(ValueError, match=message + r"single sample is xs\[:, None\]"):
            self.unroll(params, self.XS[:, 0])
        with pytest.raises(ValueError, match=r"given 4 of shape \(1, 7, 3, 4\)$"):
            self.unroll(params, self.XS[None])

    def test_another_number_of_inputs(self, params):
        message = r"params\[0\]\['input'\]: expected shape \(5, 6\) for 5 neurons and xs of shape "
        with pytest.raises(ValueError, match=message + r"\(7, 3, 6\).*given \(5, 4\)$"):
            self.unroll(params, np.zeros((7, 3, 6), np.float32))

    @pytest.mark.parametrize(("axes", "axis"), [((2, 0, 1), 0), ((0, 2, 1), 1)])
    def test_inputs_on_another_axis(self, params, axes, axis):
        with pytest.raises(ValueError, match=f"; axis {axis} of xs has 4: the inputs are the last"):
            self.unroll(params, self.XS.transpose(axes))

    def test_parameters_that_are_no_list(self, params):
        with pytest.raises(TypeError, match="params: expected a list with a dict .* given dict"):
            self.unroll(params[0])
        with pytest.raises(TypeError, match=r"params\[1\]: expected a dict .* given tuple"):
            self.unroll([params[0], ()])

    def test_another_number_of_layers(self, params):
        with pytest.raises(ValueError, match="a dict for each of 2 layers, given 1"):
            self.unroll(params[:1])

    def test_missing_and_unknown_parameters(self, params):
        params[0]["bias"] = params[0].pop("input_bias")
        message = (
            r"params\[0\]: expected exactly \['input', 'input_bias', 'recurrent'\].*"
            r"missing \['input_bias'\], unknown \['bias'\]"
        )
        with pytest.raises(ValueError, match=message):
            self.unroll(params)

    @pytest.mark.parametrize(
        ("layer", "name", "expected", "given"),
        [
            (0, "recurrent", (5, 5), (5, 4)),
            (0, "input_bias", (5,), (5, 1)),
            (1, "input", (2, 5), (5, 2)),
        ],
    )
    def test_parameters_of_another_shape(self, params, layer, name, expected, given):
        params[layer][name] = np.zeros(given, np.float32)
        with pytest.raises(ValueError) as error:
            self.unroll(params)
        message = str(error.value)
        assert message.startswith(f"params[{layer}][{name!r}]: expected shape {expected} for")
        assert f"given {given}" in message

    @pytest.mark.parametrize("dtype", ["float64", "int32"])
    def test_parameters_that_are_not_float32(self, params, dtype):
        params[1]["input"] = np.zeros((2, 5), dtype)
        with pytest.raises(TypeError, match=rf"params\[1\]\['input'\]: .* given {dtype}; cast"):
            self.unroll(params)

    def test_a_parameter_that_is_no_array(self, params):
        params[1]["input"] = None
        with pytest.raises(TypeError, match=r"\['input'\]: expected a float32 array, given None"):
            self.unroll(params)

    def test_a_state_of_another_network(self, params):
        for state in (
            self.NET.initial_state(3).layers,
            snn.Sequential(snn.LIF(5)).initial_state(3),
        ):
            with pytest.raises(TypeError, match="state: expected one that unroll or net.initial_"):
                self.unroll(params, state=state)

    def test_a_state_of_another_batch(self, params):
        message = (
            r"state.layers\[0\].membrane: expected float32\[3, 5\] for xs of shape \(7, 3, 4\), "
            r"\(time, batch, inputs\), given float32\[2, 5\]$"
        )
        with pytest.raises(ValueError, match=message):
            self.unroll(params, state=self.NET.initial_state(2))

    def test_batch_major_inputs_where_the_state_shows_them(self, params):
        state = self.NET.initial_state(3)
        with pytest.raises(ValueError, match=r"given float32\[3, 5\]; .*xs.swapaxes\(0, 1\)"):
            self.unroll(params, self.XS.swapaxes(0, 1), state)

    def test_a_state_of_another_type(self, params):
        state = self.NET.initial_state(3)
        wrong = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state)
        with pytest.raises(ValueError, match=r"expected float32\[3, 5\].*given float64\[3, 5\]"):
            self.unroll(params, state=wrong)
        with pytest.raises(TypeError, match=r"state.step: expected an array, given int"):
            self.unroll(params, state=state._replace(step=0))
