"""A sync expert's figures: sound that is shifted moves its offset by as much."""

from dataclasses import replace

import numpy as np
import pytest

from audio import Mel
from evaluation.metrics.expert import ExpertScore, resized
from tests.helpers.knowing import Knowing
from tests.helpers.video_samples import noise, video_sample


@pytest.mark.parametrize("late", [-3, 0, 4])
def test_the_shift_is_found(late: int) -> None:
    shades = np.arange(40, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 64, 64, 3), np.uint8)
    columns = np.repeat((((np.arange(200) / 3.2 - late) / 20) - 1)[:, None], 80, axis=1).astype(np.float32)
    said = replace(video_sample(shades), mel=Mel(columns, 2.5))
    cosine, offset = (spec.make() for spec in ExpertScore(Knowing(), "knowing").metric_specs())
    assert offset.update(said, said) == abs(late)
    assert (cosine.update(said, said) > 0.99) == (late == 0)


def test_what_is_too_short_has_none_and_faces_are_fitted_to_the_expert() -> None:
    short = video_sample(noise(4))
    assert [spec.make().update(short, short) for spec in ExpertScore(Knowing(), "knowing").metric_specs()] == [None] * 2
    faces = noise(2, 64)
    assert resized(faces, 32).shape == (2, 32, 32, 3) and resized(faces, 64) is faces
