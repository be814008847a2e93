"""What the benchmarks of spiking networks run: sizes that others measure, too. Needs no JAX."""

from typing import NamedTuple


class Workload(NamedTuple):
    """A network (inputs, sizes of layers), and what it is trained on."""

    sizes: tuple[int, ...]
    steps: int
    batch: int
    recurrent: bool


WORKLOADS = {
    "16-32-2 recurrent": Workload((16, 32, 2), 100, 48, True),
    "700-256-20 recurrent": Workload((700, 256, 20), 100, 128, True),
    "128-128-128-20": Workload((128, 128, 128, 20), 256, 256, False),
    "128-128-128-20 recurrent": Workload((128, 128, 128, 20), 256, 256, True),
}
