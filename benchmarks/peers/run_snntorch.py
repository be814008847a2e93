"""snnTorch's program: a linear layer and `RSynaptic` or `Synaptic`; see `compare.py`.

Its neuron has one current for inputs and feedback, and subtracts the threshold after a spike: its
other reset takes every product twice.
"""

import snntorch
import torch
from serve import (
    ALPHA,
    BETA,
    BETA_RECURRENT,
    GAIN,
    STEEPNESS,
    Case,
    case_of_command,
    serve,
)
from torch_program import TorchProgram, linear


class Network(torch.nn.Module):
    """The layers, with the case's weights."""

    def __init__(self, case: Case):
        super().__init__()
        settings = {
            "alpha": BETA,
            "beta": ALPHA,
            "spike_grad": snntorch.surrogate.fast_sigmoid(STEEPNESS),
        }
        self._linear, self._neurons = torch.nn.ModuleList(), torch.nn.ModuleList()
        for i, matrix in enumerate(case.inputs):
            self._linear.append(linear(torch.from_numpy(matrix)))
            if case.recurrent is None:
                neuron = snntorch.Synaptic(**settings)
            else:
                neuron = snntorch.RSynaptic(**settings, linear_features=len(matrix))
                neuron.recurrent = linear(torch.from_numpy(case.recurrent[i]))
            self._neurons.append(neuron)

    def forward(self, xs: torch.Tensor) -> list[torch.Tensor]:
        """Each layer's spikes. Layer by layer, so that the inputs of all steps are one product."""
        trains = []
        for product, neuron in zip(self._linear, self._neurons, strict=True):
            spikes, state = [], neuron.reset_mem()
            for x in product(xs):
                now, *state = neuron(x, *state)
                if isinstance(neuron, snntorch.RSynaptic):
                    state = [now, *state]
                spikes.append(now)
            xs = torch.stack(spikes)
            trains.append(xs)
        return trains


def build(case: Case) -> TorchProgram:
    """The program."""
    case = case.scaled(GAIN * (1 - ALPHA) * (1 - BETA), (1 - ALPHA) * (1 - BETA_RECURRENT))
    net = Network(case)
    return TorchProgram(case, net, net)


if __name__ == "__main__":
    serve(build, case_of_command(), ["snntorch", "torch"])
