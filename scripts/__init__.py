"""Programs beside the three main ones, each started as `python scripts/NAME.py`."""

import core  # noqa: F401 - how threads behave is said before anything that reads it
