"""The programs generate.py and generate_dist.py: flags, lists, paths; imports nothing heavy until a run begins."""
