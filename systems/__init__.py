"""The lip-sync systems, one folder a paper, and the sync expert; `registry` finds them."""
