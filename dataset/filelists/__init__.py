"""Making test lists from a data root: python -m dataset.filelists.make.  The lists of others are theirs to share."""
