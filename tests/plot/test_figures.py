import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from xbarax import plot

METRICS = [{"epoch": 1, "loss": 0.3, "test_accuracy": 0.5}]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot.learning_curve(METRICS),
        lambda: plot.raster([np.eye(5)], ["input"]),
        lambda: plot.conductance_map(np.eye(5)),
    ],
    ids=["learning_curve", "raster", "conductance_map"],
)
def test_figures_can_be_saved(draw, tmp_path):
    figure = draw()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_drawing_needs_no_pyplot():
    program = """
import sys
import numpy as np
from xbarax import plot
plot.conductance_map(np.eye(2)).savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "/dev/null"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
