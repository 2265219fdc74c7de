"""The figures, each of its own file: what they are, and how they are computed."""
