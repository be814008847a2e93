"""The textbook's program, and xbarax's own; see `compare.py`.

python run_own.py --make WORKLOAD RATE FILE     writes the data and weights that all run on
python run_own.py PROGRAM FILE
"""

import sys
from pathlib import Path

import jax
import numpy as np
from serve import Case, serve
from training_step import Program, make  # beside this folder: `serve` put it on the path
from workloads import WORKLOADS

from xbarax import snn


class Own:
    """One of `training_step.PROGRAMS`."""

    def __init__(self, name: str, case: Case):
        recurrent = case.recurrent is not None
        net = snn.Sequential(*(snn.LIF(len(w), recurrent=recurrent) for w in case.inputs))
        params = [{"input": jax.numpy.asarray(matrix)} for matrix in case.inputs]
        for layer, matrix in zip(params, case.recurrent or [], strict=False):
            layer["recurrent"] = jax.numpy.asarray(matrix)
        xs, labels = jax.numpy.asarray(case.xs), jax.numpy.asarray(case.labels)
        self._program = Program(name, net, params, xs, labels)

    def tune(self) -> None:
        """XLA has nothing to choose."""

    def forward(self) -> float:
        """The loss."""
        return float(self._program.forward())

    def step(self) -> float:
        """The loss, and an update."""
        return float(self._program.step())

    def spike_rates(self) -> list[float]:
        """Spikes a step of each layer."""
        return self._program.spike_rates()


def write_case(workload: str, rate: float, path: Path) -> None:
    """The data and weights of `training_step.py`."""
    _, params, xs, labels = make(WORKLOADS[workload], rate)
    inputs = [np.asarray(layer["input"]) for layer in params]
    recurrent = None
    if WORKLOADS[workload].recurrent:
        recurrent = [np.asarray(layer["recurrent"]) for layer in params]
    Case(inputs, recurrent, np.asarray(xs), np.asarray(labels)).save(path)


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        write_case(sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))
    else:
        serve(lambda case: Own(sys.argv[1], case), Path(sys.argv[2]), ["xbarax", "jax"])
