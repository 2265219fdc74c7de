"""The same frames give the same file, whatever lay in memory before."""

from fractions import Fraction

import numpy as np
import pytest

from video import write_video


@pytest.mark.slow
def test_a_file_does_not_depend_on_what_memory_held(tmp_path):
    """The macroblock tree of x264 did, with AVX-512."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (12, 12, 3)).repeat(16, axis=0).repeat(16, axis=1).astype(np.int16)
    frames = [np.clip(noise + random.normal(0, 6, noise.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    frames = [np.roll(frame, 2 * k, axis=1) for k, frame in enumerate(frames)]
    files = set()
    for _ in range(6):
        write_video(tmp_path / "x.mp4", iter(frames), Fraction(25))
        files.add((tmp_path / "x.mp4").read_bytes())
        dirt = [random.integers(0, 256, int(size), np.uint8) for size in random.integers(1000, 400_000, 100)]
        del dirt
    assert len(files) == 1
