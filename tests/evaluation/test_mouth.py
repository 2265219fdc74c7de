"""What mouths do, on mouths that are known."""

import numpy as np
import pytest

from evaluation.metrics import mouth
from tests.helpers.failing import fails
from tests.helpers.video_samples import SAMPLES, mouths, noise, video_sample

SWING = 0.3 + 0.2 * np.sin(np.arange(40))


def test_opening_does_not_depend_on_where_or_how_large_the_mouth_is() -> None:
    assert np.allclose(mouth.opening(mouths(SWING)), SWING, atol=1e-5)
    assert np.allclose(mouth.opening(mouths(SWING, (10, 20), 90)), SWING, atol=1e-5)
    assert np.isnan(mouth.opening(np.zeros((1, 20, 2), np.float32))).all()


def test_distance_is_the_mean_over_points_after_the_means_are_laid_on_each_other() -> None:
    one, other = np.random.default_rng(0).uniform(0, 224, (2, 15, 20, 2)).astype(np.float32)
    found = []
    for a, b in zip(one, other, strict=True):
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        found.append(np.mean([np.hypot(*(p - q)) for p, q in zip(a, b, strict=True)]))
    assert mouth.distance(one, other) == pytest.approx(np.mean(found), rel=1e-5)
    assert mouth.distance(one, one + 7) == pytest.approx(0, abs=1e-4)


def test_frames_without_a_face_do_not_count_and_too_few_say_nothing() -> None:
    one, other = mouths(SWING), mouths(SWING, (90, 140))
    other[:5] = np.nan
    assert mouth.distance(one, other) == pytest.approx(0, abs=1e-4)
    other[:35] = np.nan
    assert mouth.distance(one, other) is None
    real, fake = (video_sample(noise(40), mouth=points) for points in (one, other))
    r = next(spec for spec in mouth.metric_specs("FAN") if "correlation" in spec.figure.name)
    assert r.make is not None and r.make().update(real, fake) is None


def test_motion_counts_only_while_nobody_speaks() -> None:
    t = np.arange(120 * SAMPLES)
    speech = 0.3 * np.sin(2 * np.pi * 300 * t / 16000) * (t < 60 * SAMPLES)  # 2.4 s, then silence
    moves = np.where(np.arange(120) < 80, 0.5 * (np.arange(120) % 2), 0.3)  # at rest only well within the silence
    still = video_sample(noise(120), samples=speech, mouth=mouths(np.where(np.arange(120) < 60, moves, 0.3)))
    chatter = video_sample(noise(120), samples=speech, mouth=mouths(0.5 * (np.arange(120) % 2)))
    assert mouth.silence_motion(still) == pytest.approx(0, abs=0.01)
    assert mouth.silence_motion(chatter) == pytest.approx(0.5 * 25, rel=0.01)


def test_where_nobody_pauses_there_is_no_silence_motion() -> None:
    speech = 0.3 * np.sin(2 * np.pi * 300 * np.arange(40 * SAMPLES) / 16000)
    assert mouth.silence_motion(video_sample(noise(40), samples=speech, mouth=mouths(SWING))) is None


def test_leakage_is_asked_across_and_correlation_at_home_and_both_bear_the_finders_name() -> None:
    settings = {spec.figure.name: spec.figure.settings for spec in mouth.metric_specs("FAN")}
    assert settings["leakage (FAN)"] == ("cross",)
    assert settings["mouth opening, correlation (FAN)"] == settings["LMD (FAN)"] == ("reconstruction",)
    one, other = (video_sample(noise(40), mouth=mouths(SWING * scale)) for scale in (1, 0.5))
    for spec in mouth.metric_specs("FAN")[1:3]:
        assert spec.make().update(one, other) == pytest.approx(1)
    with fails(ValueError, "landmarks"):
        mouth.metric_specs("FAN")[0].make().update(one, video_sample(noise(40)))
