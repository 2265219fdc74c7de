"""LSE-C and LSE-D are those of syncnet_python, step by step."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import Mismatch
from evaluation.metrics.mfcc import mfcc
from evaluation.metrics.syncnet import SyncNet, SyncScore, lse, whole_numbers
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.video_samples import SAMPLES, noise, video_sample

SHARED = Path(__file__).parents[2].parent / "shared"
CPU = torch.device("cpu")
GROWTH = 1.1  # of the sound's amplitude, from frame to frame


class Listening(nn.Module):
    """Keeps what it is shown; embeds it as its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.faces: list[Tensor] = []
        self.sound: list[Tensor] = []

    def embed_faces(self, faces: Tensor) -> Tensor:
        self.faces += faces
        return faces.mean(dim=(2, 3, 4))

    def embed_sound(self, cepstrum: Tensor) -> Tensor:
        self.sound += cepstrum
        return cepstrum[:, 0, :3].mean(dim=2)


class Knowing(nn.Module):
    """Embeds both sides as the moment they are of: the picture's brightness, the loudness of the sound."""

    def embed_faces(self, faces: Tensor) -> Tensor:
        return _circle(faces[:, 0, 0, 0, 0])

    def embed_sound(self, cepstrum: Tensor) -> Tensor:
        return _circle((cepstrum[:, 0, 0, 0] - LOUDNESS) / (2 * math.log(GROWTH)))


def _circle(moment: Tensor) -> Tensor:
    angle = moment * torch.pi / 40
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def swelling(late: int, frames: int = 60) -> np.ndarray:
    """A tone that is GROWTH louder with each frame, `late` frames late."""
    t = np.arange(frames * SAMPLES)
    return 0.002 * GROWTH ** (t // SAMPLES - late) * np.sin(2 * np.pi * t / 16)


LOUDNESS = float(mfcc(whole_numbers(swelling(0, 1)))[0, 0])


def by_the_book(seen: np.ndarray, heard: np.ndarray, reach: int) -> tuple[float, float, int]:
    """The program's arithmetic, written out: one frame and one offset at a time."""
    n, d = seen.shape
    padded = np.concatenate([np.zeros((reach, d)), heard, np.zeros((reach, d))])
    table = [[np.sqrt((((seen[i] - padded[i + k]) + 1e-6) ** 2).sum()) for k in range(2 * reach + 1)] for i in range(n)]
    means = np.mean(table, axis=0)
    place = int(np.argmin(means))
    return float(means[place]), float(np.median(means) - means[place]), reach - place


@pytest.mark.parametrize("reach", [2, 15])
def test_the_arithmetic_is_the_programs(reach: int) -> None:
    generator = np.random.default_rng(reach)
    seen, heard = generator.normal(size=(2, 9, 4))
    found = lse(torch.from_numpy(seen), torch.from_numpy(heard), reach)
    assert (found.distance, found.confidence, found.offset) == pytest.approx(by_the_book(seen, heard, reach))


@pytest.mark.parametrize("late", [-4, -1, 0, 1, 7])
def test_sound_that_is_shifted_moves_the_offset_by_as_much(late: int) -> None:
    wide = np.ascontiguousarray(np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None, None], (60, 224, 224, 3)))
    found = SyncScore(Knowing(), CPU)(video_sample(noise(60), wide=wide, samples=swelling(late)))
    assert found is not None and found.offset == -late
    assert found.confidence > 0.5


def test_windows_are_five_frames_in_bgr_and_twenty_columns_of_sixteen_bit_sound() -> None:
    network, wide = Listening(), noise(8, 224)
    sound = np.random.default_rng(1).uniform(-1, 1, 8 * SAMPLES)
    SyncScore(network, CPU)(video_sample(noise(8), wide=wide, samples=sound))
    assert len(network.faces) == len(network.sound) == 3  # 8 - 5: the program leaves the last window out
    whole = mfcc(np.clip(np.rint(sound.astype(np.float32) * 32768), -32768, 32767).astype(np.int16))
    for k in range(3):
        assert np.array_equal(network.faces[k].numpy(), wide[k : k + 5, ..., ::-1].transpose(3, 0, 1, 2))
        assert np.allclose(network.sound[k][0].numpy(), whole[4 * k : 4 * k + 20].T, atol=1e-4)


def test_what_is_too_short_has_no_score() -> None:
    assert SyncScore(Listening(), CPU)(video_sample(noise(5))) is None
    assert SyncScore(Listening(), CPU)(video_sample(noise(20), samples=np.zeros(5 * SAMPLES))) is None


@seeded()
def test_the_network_takes_224_pixels_and_20_columns(tmp_path: Path) -> None:
    network = SyncNet().eval()
    with torch.no_grad():
        assert network.embed_faces(torch.full((1, 3, 5, 224, 224), 0.5)).shape == (1, 1024)
        assert network.embed_sound(torch.full((2, 1, 13, 20), 0.5)).shape == (2, 1024)
    torch.save(network.state_dict(), tmp_path / "syncnet_v2.model")
    loaded = SyncScore.load(tmp_path / "syncnet_v2.model", CPU)
    assert torch.equal(loaded._network.netfclip[0].weight, network.netfclip[0].weight)
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.model")
    with fails(Mismatch, "other.model"):
        SyncScore.load(tmp_path / "other.model", CPU)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published layout lies in ../shared")
def test_the_network_has_the_published_keys_and_shapes() -> None:
    published = json.loads((SHARED / "parity" / "syncnet_python_state_dict.json").read_text())
    own = SyncNet().state_dict()
    assert {key: list(value.shape) for key, value in own.items()} == {key: list(s) for key, s in published.items()}
