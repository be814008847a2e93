"""What a program of `compare.py` is: a process that builds one workload and times it on request.

`serve(build)` reads a line of JSON for each request and answers with one. Needs only NumPy, since
it runs in each peer's own environment.
"""

import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # last, so that it hides no package
import resident  # noqa: E402

# The neuron that all programs come as near to as they can, `xbarax.snn.LIF` with its defaults:
#   U ← α (1 − S) U + (1 − α) (g I + Iᵣ);  I ← β I + (1 − β) W x;  Iᵣ ← βᵣ Iᵣ + (1 − βᵣ) V S
# with a threshold of 1, and 1 / (STEEPNESS |U − 1| + 1)² for the derivative of a spike.
ALPHA, BETA, BETA_RECURRENT, GAIN, STEEPNESS = 0.95, 0.9, 0.85, 20.0, 10.0
# So small that the weights, and with them the spikes, stay what they are while steps are timed.
LEARNING_RATE = 1e-6


class Case(NamedTuple):
    """A workload's data and weights, the same for all programs.

    Attributes:
      inputs: the layers' input weights `W`, (size, inputs) each.
      recurrent: the layers' recurrent weights `V`, (size, size) each; None for a network without.
      xs: (time, batch, inputs), spikes.
      labels: (batch,).
    """

    inputs: list[np.ndarray]
    recurrent: list[np.ndarray] | None
    xs: np.ndarray
    labels: np.ndarray

    def scaled(self, input_scale: float, recurrent_scale: float) -> "Case":
        """The same with other weights: for neurons whose equations have other factors in them."""
        recurrent = self.recurrent and [recurrent_scale * matrix for matrix in self.recurrent]
        return self._replace(
            inputs=[input_scale * matrix for matrix in self.inputs], recurrent=recurrent
        )

    def save(self, path: Path) -> None:
        """Writes it to a file."""
        arrays = {f"input_{i}": matrix for i, matrix in enumerate(self.inputs)}
        arrays |= {f"recurrent_{i}": matrix for i, matrix in enumerate(self.recurrent or [])}
        np.savez(path, xs=self.xs.astype(bool), labels=self.labels, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Case":
        """Reads it from a file, spikes and weights as float32."""
        with np.load(path) as file:
            layers = range(sum(name.startswith("input_") for name in file))
            inputs = [file[f"input_{i}"].astype(np.float32) for i in layers]
            recurrent = None
            if "recurrent_0" in file:
                recurrent = [file[f"recurrent_{i}"].astype(np.float32) for i in layers]
            return cls(inputs, recurrent, file["xs"].astype(np.float32), file["labels"])


class Program(Protocol):
    """A workload in one framework; its calls return when their results are there."""

    def tune(self) -> None:
        """Chooses what makes steps fast, after the first."""

    def forward(self) -> float:
        """The loss."""

    def step(self) -> float:
        """The loss; and the weights are updated by its gradient."""

    def spike_rates(self) -> list[float]:
        """Spikes a step of each layer."""


def serve(build: Callable[[Case], Program], case: Path, packages: list[str]) -> None:
    """Answers requests until there are no more: first "build", then "round"s."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    program: Program | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if program is None:
                program, reply = measured_build(build, Case.load(case))
                reply["versions"] = {name: metadata.version(name) for name in packages}
            else:
                reply = {
                    "forward_ms": median_ms(program.forward, request["seconds"]),
                    "step_ms": median_ms(program.step, request["seconds"]),
                }
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


def measured_build(build: Callable[[Case], Program], case: Case) -> tuple[Program, dict[str, Any]]:
    """The program; and its first step's time, its loss and spikes, and memory of later steps."""
    begin = time.perf_counter()
    program = build(case)
    loss = program.step()
    first = time.perf_counter() - begin
    program.tune()
    before = resident.settle()
    for _ in range(2):
        program.step()
    memory = resident.peak() - before
    rates = program.spike_rates()
    return program, {
        "first_s": first,
        "loss": loss,
        "spike_rates": rates,
        "resident_mb": memory / 1e6,
    }


def median_ms(run: Callable[[], Any], seconds: float) -> float:
    """Of calls one after the other for so many seconds, after one that is not timed."""
    run()
    times: list[float] = []
    while sum(times) < seconds:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def count_loss(log_shares: Any, labels: Any, classes: int) -> Any:
    """The loss of all programs, of log-softmaxed spike counts (batch, classes)."""
    return -log_shares[np.arange(len(labels)), labels].sum() / classes


def case_of_command() -> Path:
    """The file that a script was given."""
    return Path(sys.argv[-1])
