"""What the programs on PyTorch share."""

from collections.abc import Callable

import torch
from serve import LEARNING_RATE, Case, count_loss, median_ms


class TorchProgram:
    """A network, a function from inputs (time, batch, inputs) to each layer's spikes, on the CPU.

    There, PyTorch's results are there when its calls return.
    """

    def __init__(self, case: Case, net: torch.nn.Module, run: Callable[..., list[torch.Tensor]]):
        torch.set_flush_denormal(True)  # as XLA does; gradients of long runs are full of them
        self._run = run
        self._xs = torch.from_numpy(case.xs)
        self._labels = torch.from_numpy(case.labels).long()
        self._optimiser = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE)

    def _loss(self) -> torch.Tensor:
        spikes = self._run(self._xs)[-1]
        log_shares = torch.log_softmax(spikes.sum(0), dim=-1)
        return count_loss(log_shares, self._labels, spikes.shape[-1])

    def tune(self) -> None:
        """Chooses between all threads and one, which is faster where little is to be done."""
        took = {}
        for threads in (torch.get_num_threads(), 1):
            torch.set_num_threads(threads)
            took[threads] = median_ms(self.step, 0.2)
        torch.set_num_threads(min(took, key=lambda threads: took[threads]))

    def forward(self) -> float:
        """The loss."""
        with torch.no_grad():
            return float(self._loss())

    def step(self) -> float:
        """The loss, and an update."""
        self._optimiser.zero_grad()
        loss = self._loss()
        loss.backward()
        self._optimiser.step()
        return loss.item()

    def spike_rates(self) -> list[float]:
        """Spikes a step of each layer."""
        with torch.no_grad():
            return [float(spikes.mean()) for spikes in self._run(self._xs)]


def linear(matrix: torch.Tensor) -> torch.nn.Linear:
    """A product with the matrix."""
    size, inputs = matrix.shape
    layer = torch.nn.Linear(inputs, size, bias=False)
    layer.weight = torch.nn.Parameter(matrix)
    return layer
