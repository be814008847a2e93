"""Lets ``python -m xbarax.cli`` be the command ``xbarax``."""

from xbarax.cli import command

command()
