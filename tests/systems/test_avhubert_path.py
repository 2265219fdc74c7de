"""SyncDiff by AV-HuBERT as a researcher goes: a published file, features of a sound, a training, a result."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training import SHORT

from audio import read_filterbanks
from audio.avhubert import AvHubert
from lipsync.cli.main import generate
from systems.avhubert_weights import adopt_avhubert
from systems.registry import load
from systems.training import train
from tests.helpers.fairseq import save_published
from tests.helpers.talking_head import talking, tone
from tests.helpers.tiny_syncdiff import EARS
from video import read_frames, write_video

FACE = ["27", "87", "89", "137"]  # top, bottom, left, right
TINY = [
    *SHORT, "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]",
    "model.unet.head_channels=32", "model.unet.res_blocks=1", "model.sampling.spacing=2", "model.pose.width=4",
    "model.pose.widths=[32,32]", "model.unet.attention_resolutions=[16]", "model.avhubert.layers=3",
    "model.avhubert.width=32", "model.avhubert.heads=2", "model.avhubert.hidden=32", "model.avhubert.kernel=8",
    "model.avhubert.groups=4", "model.fbank_frames=8", "model.audio_tokens=3", "train.batch=2",
    "train.learning_rate=0.01",
]  # fmt: skip
WAYS = {
    "as in the paper": ("syncdiff-128", ["model.frozen=2"]),
    "all layers as published": ("syncdiff-128", ["model.frozen=3"]),
    "small": ("syncdiff-small", [
        "model.frozen=2", "model.audio_encoder=avhubert", "model.unet.patch=1", "data.margin=0", "loss.own_warmup=1",
    ]),
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_published(tmp_path_factory.mktemp("published") / "base_lrs3_iter5.pt", EARS)


@pytest.fixture(scope="module")
def voxceleb2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Face crops as VoxCeleb2 is published."""
    root = tmp_path_factory.mktemp("VoxCeleb2")
    for number in range(4):
        clip = root / f"id{number:05d}" / "21Uxsk56VDQ" / "00001.mp4"
        clip.parent.mkdir(parents=True)
        sound = tone(root / f"{number}.wav", 0.6, 200 + 40 * number)
        write_video(clip, (frame[:, 32:224] for frame in talking(14)), Fraction(25), sound=sound)
        sound.unlink()
    return root


def ears(published: Path) -> AvHubert:
    found = AvHubert(EARS).eval()
    adopt_avhubert(found, published, "--audio_encoder")
    return found


def test_features_of_a_sound(published: Path, tmp_path: Path) -> None:
    """As docs/training.md says it."""
    rows = [
        torch.from_numpy(read_filterbanks(tone(tmp_path / f"{pitch}.wav", 0.6, pitch)).windows(0, 15, Fraction(25), 8))
        for pitch in (200.0, 320.0)
    ]
    with torch.no_grad():
        one, other, again = (ears(published)(windows) for windows in (*rows, rows[0]))
        last = ears(published)(rows[0], layer=2)
    assert one.shape == last.shape == (15, 8, EARS.width) and one.isfinite().all()
    assert torch.equal(one, again) and not torch.allclose(one, other, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_network_is_trained_by_a_published_file_and_speaks_without_it(
    way: str, voxceleb2: Path, published: Path, tmp_path: Path
) -> None:
    system, settings = WAYS[way]
    run = tmp_path / "run"
    for steps in (4, 8):  # the same command goes on
        train(
            system, voxceleb2, run, audio_encoder=published, settings=[*TINY, *settings, f"train.steps={steps}"],
            device="cpu",
        )  # fmt: skip
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert max(steps) == 8
    trained, original = load(run / "weights.safetensors").hearing.encoder.state_dict(), ears(published).state_dict()
    same = {name for name, value in original.items() if torch.allclose(trained[name], value, atol=1e-3)}
    assert {name for name in original if name.startswith(("layer_norm.", "encoder.layers.1."))} <= same
    write_video(tmp_path / "person.mp4", talking(6), Fraction(25))
    made = []
    for pitch in (200.0, 320.0):
        words, result = tone(tmp_path / "words.wav", 0.24, pitch), tmp_path / f"{pitch}.mkv"
        files = [str(path) for path in (tmp_path / "person.mp4", words, result)]
        assert generate([
            *files, "--model_path", str(run / "weights.safetensors"), "--box", *FACE, "--codec", "ffv1", "--device",
            "cpu", "--precision", "fp32",
        ]) == 0  # fmt: skip
        made.append(np.stack(list(read_frames(result))))
    assert made[0].shape == made[1].shape == (6, 192, 256, 3)
    assert not np.array_equal(*made)  # it listens
