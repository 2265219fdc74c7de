"""The lip-sync systems, one folder a paper, and the sync expert; `registry` is the only file that sees them all."""
