"""What every folder may use and nothing else knows: errors, exit codes, paths, whole files, rows of lists, runs."""
