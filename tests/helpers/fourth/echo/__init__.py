"""A fourth system, as small as one can be: all that a new paper has to bring along is in this folder."""
