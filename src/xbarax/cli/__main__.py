"""Lets ``python -m xbarax.cli`` be the command ``xbarax``."""

import sys

from xbarax.cli import main

sys.exit(main())
