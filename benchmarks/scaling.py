"""Times how a training step's cost grows: with time steps, batch, width, and how often it spikes.

    python benchmarks/scaling.py [--json FILE] [--axes NAME …] [--programs NAME …] [--rounds N]

Around one workload, the 700–256–20 recurrent network with 100 steps and batches of 128, one thing
at a time is changed: `steps`, `batch`, `width` of the first layer, the `input rate` (spikes a step
and input), or the membranes' `variance` that weights are scaled for, by which the layers spike
more. The programs are those of `training_step.py`. All that are measured are compiled first and
then take turns within a round; the table has medians in ms, and how many times the base's time each
takes in the same rounds.
"""

import argparse
import json
import os
import platform
from typing import Any, NamedTuple

import jax
import numpy as np
import turns
from argument_types import count, new_file
from training_step import PROGRAMS, Program, make
from workloads import WORKLOADS, Workload

from xbarax import snn


class Point(NamedTuple):
    """A workload, how often its inputs spike, and what its weights are scaled for."""

    workload: Workload
    rate: float
    variance: float


BASE = Point(WORKLOADS["700-256-20 recurrent"], 0.01, 0.25)


def main() -> None:
    """Prints a table for each axis."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=["textbook", "digital"])
    parser.add_argument("--rounds", type=count, default=7)
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {os.cpu_count()} {platform.machine()} cores; medians, ms")
    points = {BASE: Measured(BASE, options.programs)}
    for axis in options.axes:
        for point in AXES[axis].values():
            if point not in points:
                points[point] = Measured(point, options.programs)
    for _ in range(options.rounds):
        for measured in points.values():
            measured.take_turn()
    results = {
        axis: {value: points[point].summary(points[BASE]) for value, point in AXES[axis].items()}
        for axis in options.axes
    }
    for axis, rows in results.items():
        print(table(axis, rows, options.programs), flush=True)
    if options.json is not None:
        about = {"jax": jax.__version__, "cores": os.cpu_count(), "machine": platform.machine()}
        given = {"rounds": options.rounds, "base": {**BASE._asdict(), **BASE.workload._asdict()}}
        options.json.write_text(json.dumps({**about, **given, "axes": results}, indent=2))


def _changed(**workload: Any) -> Point:
    return BASE._replace(workload=BASE.workload._replace(**workload))


RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

AXES: dict[str, dict[str, Point]] = {
    "steps": {str(n): _changed(steps=n) for n in (50, 100, 200)},
    "batch": {str(n): _changed(batch=n) for n in (32, 128, 256)},
    "width": {str(n): _changed(sizes=(700, n, 20)) for n in (64, 256, 512)},
    "input rate": {str(rate): BASE._replace(rate=rate) for rate in RATES},
    "variance": {str(v): BASE._replace(variance=v) for v in (0.25, 1.0, 4.0)},
}


class Measured:
    """Programs of one point, compiled, and their times so far, in ms."""

    def __init__(self, point: Point, names: list[str]):
        made = net, params, xs, _ = make(*point)
        spikes = [record.spikes for record in snn.unroll(net, params, xs, record=True)[2]]
        self.spike_rates = [float(train.mean()) for train in (xs, *spikes)]
        self._programs = {name: Program(name, *made) for name in names}
        self.times: dict[str, list[float]] = {name: [] for name in names}
        for program in self._programs.values():
            program.step()

    def take_turn(self) -> None:
        """Times steps of each program."""
        for name, program in self._programs.items():
            self.times[name].append(turns.mean_ms(program.step))

    def summary(self, base: "Measured") -> dict[str, Any]:
        """Medians, and those of how many times the base's time a step takes."""
        rows = {}
        for name, times in self.times.items():
            of_base = float(np.median(np.divide(times, base.times[name])))
            rows[name] = {"step_ms": float(np.median(times)), "of_base": of_base}
        return {"spike_rates": self.spike_rates, "programs": rows}


def table(axis: str, rows: dict[str, Any], names: list[str]) -> str:
    """An axis's results, as text."""
    lines = [
        f"\n{axis:<12}{'spikes a step':<24}" + "".join(f"{n:>16}{'of base':>9}" for n in names)
    ]
    for value, row in rows.items():
        rates = ", ".join(f"{100 * rate:.1f} %" for rate in row["spike_rates"])
        cells = (row["programs"][name] for name in names)
        times = "".join(f"{cell['step_ms']:16.1f}{cell['of_base']:8.2f}×" for cell in cells)
        lines.append(f"{value:<12}{rates:<24}{times}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
