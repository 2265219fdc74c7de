"""Programs beside the three main ones, each started as `python scripts/NAME.py`."""
