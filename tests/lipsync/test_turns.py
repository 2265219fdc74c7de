"""Turns: who speaks when, what is heard with it, and the mouth in silence: the model's, closed, or the original's."""

from fractions import Fraction

import numpy as np
import pytest

from audio import SAMPLE_RATE, SILENCE, Waveform, log_mel
from audio.activity import speech_activity
from dataset import MEL
from face_detection import Box, FaceTrack
from lipsync.planning.references import References
from lipsync.planning.timeline import Plan
from lipsync.planning.turns import SpeakerTurn

FPS = Fraction(25)
PLAN = Plan(200, 200, "hold", FPS)


@pytest.fixture(scope="module")
def mel():
    """Words from 2 s to 4 s, and a little noise throughout 8 s."""
    t = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    words = np.where((t >= 2) & (t < 4), 0.3 * np.sin(2 * np.pi * 300 * t) * (1 + np.sin(2 * np.pi * 700 * t)), 0)
    noise = np.random.default_rng(0).normal(0, 0.002, len(t))
    return log_mel(Waveform((words + noise).clip(-1, 1).astype(np.float32), SAMPLE_RATE))


def turn(mel, *, first=0, stop=200, origin=0, gate=None) -> SpeakerTurn:
    references = References(np.zeros((0, 8, 8, 3), np.uint8), np.full(200, -1))
    return SpeakerTurn(first, stop, origin, FaceTrack.fixed(200, Box(0, 0, 8, 8)), references, mel, gate)


def test_without_a_gate_the_mouth_is_generated_throughout_the_turn(mel):
    strength = turn(mel, first=10, stop=20).strength(5, 25, PLAN)
    assert strength.tolist() == [0] * 5 + [1] * 10 + [0] * 5


def test_with_a_gate_the_original_mouth_returns_in_silence_without_a_jump(mel):
    gated = turn(mel, gate=speech_activity(mel))
    strength = gated.strength(0, 200, PLAN)
    assert (strength[50:100] == 1).all() and not strength[:44].any() and not strength[112:].any()
    assert np.abs(np.diff(strength)).max() <= 0.51
    assert np.array_equal(np.concatenate([gated.strength(0, 60, PLAN), gated.strength(60, 200, PLAN)]), strength)


def test_a_turn_hears_its_sound_from_its_origin(mel):
    at_start, later = turn(mel, gate=speech_activity(mel)), turn(mel, first=30, origin=30, gate=speech_activity(mel))
    assert np.array_equal(later.audio([80, 83], PLAN, [MEL])["mel"], at_start.audio([50, 53], PLAN, [MEL])["mel"])
    assert np.array_equal(later.strength(20, 130, PLAN)[10:], at_start.strength(0, 100, PLAN))
    assert not later.strength(20, 30, PLAN).any()


def test_words_keep_their_windows_where_silences_are_suppressed_and_silence_is_digital(mel):
    suppressed = turn(speech_activity(mel).silence_suppressed(mel))
    assert np.array_equal(suppressed.audio([60, 75], PLAN, [MEL])["mel"], turn(mel).audio([60, 75], PLAN, [MEL])["mel"])
    assert (suppressed.audio([20, 150], PLAN, [MEL])["mel"] == SILENCE).all()
    assert (turn(mel).audio([20, 150], PLAN, [MEL])["mel"] > SILENCE).any()
