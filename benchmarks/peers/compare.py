"""Times training steps of other frameworks for spiking networks beside xbarax's and textbooks'.

    python benchmarks/peers/compare.py [--json FILE] [--workloads NAME …] [--peers NAME …]
                                       [--own NAME …] [--rounds N] [--pytorch-index URL]

Makes an environment for each peer under build/peers/, with the versions of `requirements/`, and
runs each program (`run_*.py`) in a process of its own that stays alive while a workload is
measured. All have the same inputs, sizes and weights, as far as their neurons' equations allow:
each script says what differs. Programs take turns within a round, a warm-up and then calls for
`--seconds` each; they wait for their results. The table has medians over the rounds, and how many
times faster than the textbook's program each is in the same rounds; "first" is building, compiling
and one step; "resident" is the most memory that later steps take beyond what was resident before
them. A peer that can't be installed or run has the reason in its row, and its output in
build/peers/.

PyTorch is to be its build for the CPU, which PyPI does not have for every machine:
`--pytorch-index https://download.pytorch.org/whl/cpu` has pip look there, too.
"""

import argparse
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "peers"
PEERS = ("spyx", "jaxpike", "norse", "snntorch")
OWN = ("textbook", "digital", "ideal crossbar", "noisy chip")

sys.path.append(str(HERE.parent))
from argument_types import count, new_file, seconds, share  # noqa: E402
from workloads import WORKLOADS  # noqa: E402


class Failed(Exception):
    """A program that can't be installed, built or run; says why."""


def main() -> None:
    """Prints a table for each workload."""
    options = parse()
    BUILD.mkdir(parents=True, exist_ok=True)
    pythons: dict[str, Path | Failed] = {}
    for peer in options.peers:
        print(f"installing {peer} …", file=sys.stderr, flush=True)
        try:
            pythons[peer] = install(peer, options.pytorch_index)
        except Failed as failure:
            pythons[peer] = failure
    print(
        f"{os.cpu_count()} {platform.machine()} cores; medians, ms; Python {sys.version.split()[0]}"
    )
    results = {}
    for workload in options.workloads:
        results[workload] = measure(workload, pythons, options)
        print(table(workload, results[workload]), flush=True)
        if options.json is not None:
            about = {"cores": os.cpu_count(), "machine": platform.machine()}
            given = {"rate": options.rate, "rounds": options.rounds, "seconds": options.seconds}
            options.json.write_text(json.dumps({**about, **given, "workloads": results}, indent=2))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--own", nargs="+", choices=OWN, default=list(OWN))
    parser.add_argument("--rounds", type=count, default=7)
    parser.add_argument("--seconds", type=seconds, default=0.2, help="of a turn")
    parser.add_argument(
        "--patience", type=seconds, default=600, help="seconds that a turn may take"
    )
    parser.add_argument("--rate", type=share, default=0.01, help="input spikes a step and input")
    parser.add_argument("--pytorch-index", default="", help="a package index beside pip's own")
    parser.add_argument("--json", type=new_file, help="where to write the results, too")
    options = parser.parse_args()
    if OWN[0] not in options.own:
        parser.error("--own: expected the textbook among them, which the others are compared with")
    return options


def install(peer: str, pytorch_index: str) -> Path:
    """The Python of an environment that has the peer; made if it isn't there yet."""
    folder, wanted = BUILD / peer, HERE / "requirements" / f"{peer}.txt"
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if done.exists() and done.read_text() == wanted.read_text():
        return python
    venv.create(folder, with_pip=True, clear=True)
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "-r", wanted]
    if pytorch_index and "torch==" in wanted.read_text():
        command += ["--extra-index-url", pytorch_index]
    log = BUILD / f"{peer}-install.log"
    with log.open("w") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code != 0:
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR")]
        raise Failed(f"not installed: {errors[-1] if errors else f'pip ended with {code}'}")
    done.write_text(wanted.read_text())
    return python


class Process:
    """A program in a process of its own, which answers requests."""

    def __init__(self, name: str, command: list[Any], patience: float):
        self._patience = patience
        environment = dict(os.environ)
        if name not in OWN:
            environment.pop("PYTHONPATH", None)  # it is for the environment that this runs in
        with (BUILD / f"{name.replace(' ', '-')}.log").open("w") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request; Failed if there is none."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise Failed(self._end()) from None
        ready, _, _ = select.select([self._process.stdout], [], [], self._patience)
        if not ready:
            raise Failed(f"no answer within {self._patience:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(self._end())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"].split("\n")[0])
        return answer

    def _end(self) -> str:
        return f"ended with {self._process.wait()}; see build/peers/"

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()


def measure(
    workload: str, pythons: dict[str, Path | Failed], options: argparse.Namespace
) -> dict[str, Any]:
    """What each program takes, or why it does not run."""
    case = BUILD / "case.npz"
    make = [sys.executable, HERE / "run_own.py", "--make", workload, str(options.rate), case]
    subprocess.run(make, check=True)
    rows: dict[str, dict[str, Any]] = {}
    running: dict[str, Process] = {}
    commands: dict[str, list[Any] | Failed] = {
        name: [sys.executable, HERE / "run_own.py", name, case] for name in options.own
    }
    for peer, python in pythons.items():
        failed = isinstance(python, Failed)
        commands[peer] = python if failed else [python, HERE / f"run_{peer}.py", case]
    try:
        for name, command in commands.items():
            print(f"{workload}: building {name} …", file=sys.stderr, flush=True)
            try:
                if isinstance(command, Failed):
                    raise command
                running[name] = Process(name, command, options.patience)
                rows[name] = running[name].ask(do="build")
            except Failed as failure:
                rows[name] = {"error": str(failure)}
                drop(running, name)
        take_turns(running, rows, options)
    finally:
        for name in list(running):
            drop(running, name)
    summarise(rows)
    return rows


def take_turns(
    running: dict[str, Process], rows: dict[str, dict[str, Any]], options: argparse.Namespace
) -> None:
    """Adds the times of all rounds to the rows."""
    for _ in range(options.rounds):
        for name, process in list(running.items()):
            try:
                turn = process.ask(do="round", seconds=options.seconds)
            except Failed as failure:
                rows[name] = {"error": str(failure)}
                drop(running, name)
            else:
                rows[name].setdefault("rounds", []).append(turn)


def drop(running: dict[str, Process], name: str) -> None:
    """Ends a program, if it has begun."""
    process = running.pop(name, None)
    if process is not None:
        process.close()


def summarise(rows: dict[str, dict[str, Any]]) -> None:
    """Adds medians, and those of how many times faster than the textbook's program each is."""
    textbook = rows[OWN[0]].get("rounds", [])
    for row in rows.values():
        for what in ("forward", "step"):
            if "error" not in row:
                times = [turn[f"{what}_ms"] for turn in row["rounds"]]
                row[f"{what}_ms"] = statistics.median(times)
            if "error" not in row and textbook:
                pairs = zip(textbook, times, strict=True)
                ratios = [other[f"{what}_ms"] / own for other, own in pairs]
                row[f"{what}_speedup"] = statistics.median(ratios)


def table(workload: str, rows: dict[str, dict[str, Any]]) -> str:
    """A workload's results, as text."""
    heads = f"{'forward':>9}{'faster':>8}{'step':>9}{'faster':>8}{'first':>9}{'resident':>12}"
    lines = [f"\n{workload}", f"{'':<34}{heads}  spikes a step of the layers"]
    for name, row in rows.items():
        if "error" in row:
            lines.append(f"{name:<34}{row['error']}")
            continue
        versions = ", ".join(f"{package} {version}" for package, version in row["versions"].items())
        shown = name if name in OWN else versions
        cells = ""
        for what in ("forward", "step"):
            speedup = row.get(f"{what}_speedup", float("nan"))
            cells += f"{row[f'{what}_ms']:9.1f}{speedup:7.2f}×"
        rates = ", ".join(f"{100 * rate:.1f} %" for rate in row["spike_rates"])
        memory = f"{row['resident_mb']:9.1f} MB"
        lines.append(f"{shown:<34}{cells}{row['first_s']:7.1f} s{memory}  {rates}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
