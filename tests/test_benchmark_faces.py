"""What a face costs beside the network is told step by step."""

import numpy as np
import pytest

from core.errors import NoFace
from scripts.benchmark_faces import HEIGHT, WIDTH, moving, steps


@pytest.mark.slow
def test_every_step_takes_some_time(capsys: pytest.CaptureFixture[str]) -> None:
    times = steps(moving(8), "haar", 1)
    assert list(times) == [
        "points", "cut", "registration", "mouth detail", "skin detail", "mask and layer", "paste"
    ]  # fmt: skip
    assert all(time > 0 for name, time in times.items() if name != "mask and layer")
    assert f"{WIDTH} x {HEIGHT}" in capsys.readouterr().out


def test_frames_without_a_face_are_refused() -> None:
    with pytest.raises(NoFace):
        steps([np.zeros((120, 160, 3), np.uint8)] * 2, "haar", 1)
