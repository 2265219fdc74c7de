"""One variable keeps FFmpeg from taking every core."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from video import write_video
from video.opening import opened


@pytest.mark.parametrize(("said", "threads"), [("1", 1), ("3", 3), (None, 0), ("2,1", 0)])
def test_pictures_are_decoded_by_as_many_threads_as_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, threads: int
) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((2, 32, 32, 3), np.uint8), Fraction(25))
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    with opened(tmp_path / "a.mp4") as (_, stream):
        assert stream.codec_context.thread_count == threads
