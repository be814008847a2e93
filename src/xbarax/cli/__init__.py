"""The command line: ``xbarax train``, ``xbarax --help``."""

from xbarax.cli._main import command as command
from xbarax.cli._main import main as main
