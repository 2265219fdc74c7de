"""Whisper's ears hear any length in constant windows: whoever makes a stretch makes the same numbers."""

import numpy as np
import pytest
import torch

from audio.whisper import KEPT, MARGIN, POSITIONS, SAMPLES, WhisperConfig, WhisperEncoder, log_mel, sinusoids, windows
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded

TINY = WhisperConfig(width=8, heads=2, blocks=1)
SECOND = 16_000


@pytest.fixture(scope="module")
@seeded()
def ears() -> WhisperEncoder:
    return WhisperEncoder(TINY).eval()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * SECOND)).astype(np.float32)


def test_blocks_of_any_size_are_one_sound(ears: WhisperEncoder) -> None:
    sound = noise(9.3)
    whole = ears.hear([sound])
    assert torch.equal(ears.hear(np.array_split(sound, 37)), whole)
    assert whole.shape == (3 * KEPT, 8) and whole.dtype == torch.float16


@pytest.mark.parametrize(("seconds", "grids"), [(0.0, 1), (0.5, 1), (2.9, 1), (3.1, 2), (4.0, 2), (7.5, 3)])
def test_a_second_of_silence_or_more_is_heard_behind_the_end(seconds: float, grids: int) -> None:
    assert len(list(windows([noise(seconds)]))) == grids


def test_a_stretch_is_that_stretch_of_the_whole(ears: WhisperEncoder) -> None:
    sound = [noise(20)]
    whole, part = ears.hear(sound), ears.hear(sound, [range(130, 180), range(410, 420)])
    assert torch.equal(part[100:200], whole[100:200]) and torch.equal(part[400:500], whole[400:500])
    assert not part[:100].any() and not part[200:400].any()


def test_two_seconds_ahead_and_no_more_change_what_is_heard(ears: WhisperEncoder) -> None:
    sound = noise(16)
    other = sound.copy()
    end = (KEPT + MARGIN) * SAMPLES + 200  # the last sample that the first 4 s see
    other[end:] = noise(16, seed=1)[end:]
    one, another = ears.hear([sound]), ears.hear([other])
    assert torch.equal(one[:KEPT], another[:KEPT]) and not torch.equal(one[KEPT:], another[KEPT:])


def test_features_lie_where_their_sound_lies(ears: WhisperEncoder) -> None:
    quiet = np.zeros(8 * SECOND, np.float32)
    knock = quiet.copy()
    knock[5 * SECOND : 5 * SECOND + 800] = noise(0.05)
    stem = WhisperEncoder(WhisperConfig(width=8, heads=2, blocks=1)).eval()
    for parameter in stem.blocks[0].parameters():
        torch.nn.init.zeros_(parameter)
    moved = (stem.hear([knock]).float() - stem.hear([quiet]).float()).norm(dim=1)
    elsewhere = torch.cat([moved[:120], moved[132:]])  # where a loud knock lifts the floor a little
    assert 124 <= int(moved.argmax()) <= 126 and elsewhere.max() < moved.max() / 10


def test_log_mel_is_whispers() -> None:
    sound = torch.from_numpy(noise(1))
    mel = log_mel(torch.nn.functional.pad(sound, (200, 200)))
    assert mel.shape == (80, 100) and float(mel.max() - mel.min()) <= 2 + 1e-6
    spectrum = torch.stft(sound, 400, 160, window=torch.hann_window(400), pad_mode="constant", return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    loud = (mel * 4 - 4).exp2().sum(dim=0)
    assert torch.corrcoef(torch.stack([loud, power.sum(dim=0).sqrt()]))[0, 1] > 0.5
    silence = log_mel(torch.zeros(400 + 160 * 3))
    assert torch.equal(silence, torch.full((80, 3), -1.0))  # 8 decades below 1


def test_positions_are_sines_and_cosines() -> None:
    table = sinusoids(POSITIONS, 8)
    assert table.shape == (400, 8) and torch.equal(table[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    assert float(table[1, 0]) == pytest.approx(np.sin(1)) and float(table[3, 7]) == pytest.approx(np.cos(3e-4))


def test_configs_that_cannot_be_are_refused() -> None:
    with fails(ValueError, 8, "3 heads"):
        WhisperConfig(width=8, heads=3)
