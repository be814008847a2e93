"""Times what it costs to pass arrays to a compiled program and back.

    python benchmarks/dispatch.py [--json FILE] [--workloads NAME …] [--rounds N]

The program takes the weights of a network of `training_step.py` and returns them: as plain arrays,
in ideal crossbars, and in arrays on its noisy chips. It copies them, which is most of what larger
ones take. Programs take turns; medians, ms a call.
"""

import argparse
import json
import os
import platform

import jax
import numpy as np
import training_step
import turns
from argument_types import count, new_file
from workloads import WORKLOADS, Workload

import xbarax as xb


def main() -> None:
    """Prints a line for each workload."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=count, default=11)
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians, ms a call")
    results = {name: measure(WORKLOADS[name], options.rounds) for name in options.workloads}
    for name, row in results.items():
        print(f"{name:<26}" + "   ".join(f"{kind} {ms:.2f}" for kind, ms in row.items()))
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        options.json.write_text(json.dumps({**about, "workloads": results}, indent=2))


def measure(workload: Workload, rounds: int) -> dict[str, float]:
    """What a call takes, by what the weights are in."""
    _, plain, _, _ = training_step.make(workload, rate=0.01)
    kinds = {"plain arrays": plain}
    for name, chip in training_step.CHIPS.items():
        kinds[name] = xb.to_crossbar(plain, lambda p: p, chip, jax.random.key(3))
    calls = {name: turns.compiled(lambda p: p, params) for name, params in kinds.items()}
    return {name: float(np.median(ms)) for name, ms in turns.in_turns(calls, rounds).items()}


if __name__ == "__main__":
    main()
