"""What every folder may use and nothing else knows: errors, exit codes, paths, whole files, rows of lists, runs.

The libraries that compute read once, when they are first imported, how their threads behave; so it is said here, which
every program imports before them.  What the user has set stays.  So is what Ctrl-C is while a program still imports.
"""

import os

from .starting import quiet_start

quiet_start()
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")   # numpy's threads and torch's would fight over the cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's would spin while they wait, on cores that others need
