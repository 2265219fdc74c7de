"""generate.py on many processes; alone it is the same:

    torchrun --nproc_per_node=4 generate_dist.py --filelist LIST --test_video_dir VIDEOS --sample_path RESULTS
    mpiexec -n 4 python generate_dist.py --video V --audio A --output O
"""

import core  # noqa: F401 - what Ctrl-C is while the rest is imported

# isort: split
import sys

from lipsync.cli.main import generate_dist

if __name__ == "__main__":
    sys.exit(generate_dist())
