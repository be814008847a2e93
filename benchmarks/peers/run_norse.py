"""Norse's program: `LIFRecurrentCell`, or a linear layer and `LIFCell`; see `compare.py`.

Its neuron has one current for inputs and feedback, and loses its membrane in the step of the spike.
The surrogate is its triangle: its SuperSpike has a steepness of 1, whatever is asked for, by which
gradients grow over time until one update changes what spikes. The time loop is here, since the
gradients of its layers with time take time that grows with its square.
"""

import norse.torch as norse
import torch
from serve import ALPHA, BETA, BETA_RECURRENT, GAIN, Case, case_of_command, serve
from torch_program import TorchProgram, linear

DT = 0.001


class Network(torch.nn.Module):
    """The layers, with the case's weights."""

    def __init__(self, case: Case):
        super().__init__()
        settings = norse.LIFParameters(
            tau_syn_inv=torch.tensor((1 - BETA) / DT),
            tau_mem_inv=torch.tensor((1 - ALPHA) / DT),
            method="triangle",
            alpha=torch.tensor(0.3),  # the triangle's height
        )
        self._products, self._cells = torch.nn.ModuleList(), torch.nn.ModuleList()
        for i, matrix in enumerate(map(torch.from_numpy, case.inputs)):
            if case.recurrent is None:
                self._products.append(linear(matrix))
                self._cells.append(norse.LIFCell(settings, dt=DT))
            else:
                size, inputs = matrix.shape
                cell = norse.LIFRecurrentCell(inputs, size, settings, autapses=True, dt=DT)
                cell.input_weights.data = matrix
                cell.recurrent_weights.data = torch.from_numpy(case.recurrent[i])
                self._products.append(torch.nn.Identity())
                self._cells.append(cell)

    def forward(self, xs: torch.Tensor) -> list[torch.Tensor]:
        """Each layer's spikes."""
        trains = []
        for product, cell in zip(self._products, self._cells, strict=True):
            spikes, state = [], None
            for x in product(xs):
                now, state = cell(x, state)
                spikes.append(now)
            xs = torch.stack(spikes)
            trains.append(xs)
        return trains


def build(case: Case) -> TorchProgram:
    """The program."""
    case = case.scaled(GAIN * (1 - BETA), 1 - BETA_RECURRENT)
    net = Network(case)
    return TorchProgram(case, net, net)


if __name__ == "__main__":
    serve(build, case_of_command(), ["norse", "torch"])
