"""A tiny checkpoint and a folder with a talking head and its words: everything from files to files within seconds."""

from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from face_detection import haar
from face_detection.box import Box, Detection
from face_detection.haar import Cascade
from face_detection.landmarks import Found, Landmarks, _Surroundings
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.engine.checkpoint import save_checkpoint
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig
from systems import registry
from systems.diff2lip import Diff2LipConfig
from systems.sound import SoundConfig
from tests.helpers.seeded import seeded
from tests.helpers.talking_head import talking, tone
from video import write_video

TINY = Diff2LipConfig(
    unet=UNetConfig(
        image_size=32, channels=32, channel_mult=(1, 2), res_blocks=1, attention_resolutions=(16,), head_channels=32,
        out_channels=3, patch=2,
    ),
    sound=SoundConfig(res_blocks=1),
    diffusion=DiffusionConfig(schedule="cosine", predict="v", learn_variance=False),
    sampling=SampleConfig(sampler="dpm++", spacing="2"),
    mask_fill="zeros",
)  # fmt: skip


_searched: dict[tuple[Cascade, tuple[int, ...], bytes], list[Detection]] = {}
_looked: dict[tuple[Box, bytes], Found] = {}


@pytest.fixture(autouse=True, scope="module")
def each_picture_is_searched_once() -> Iterator[None]:
    """Most tests show the same few pictures: what a cascade, or the network of landmarks, says of one is remembered."""
    search, look = haar._found, Landmarks._look

    def remembered(cascade: Cascade, classifier: "cv2.CascadeClassifier", grey: np.ndarray) -> list[Detection]:
        key = cascade, grey.shape, sha256(grey.tobytes()).digest()
        if key not in _searched:
            _searched[key] = search(cascade, classifier, grey)
        return list(_searched[key])

    def looked(self: Landmarks, near: _Surroundings, square: Box) -> Found:
        key = square, sha256(near.cut(square).tobytes()).digest()
        if key not in _looked:
            _looked[key] = look(self, near, square)
        found = _looked[key]
        return found._replace(points=found.points.copy())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(haar, "_found", remembered)
        patch.setattr(Landmarks, "_look", looked)
        yield


@pytest.fixture(autouse=True)
def no_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))


@pytest.fixture(scope="session")
@seeded()
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Diff2Lip of 32 px whose weights are random everywhere, so that its mouth depends on all it is given."""
    model = registry.build("diff2lip", TINY)
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, registry.describe("diff2lip", model, 1, model.state_dict()))
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """person.mp4: 20 frames at 25 fps.  words.wav: 1 s.  A folder whose name is not easy."""
    folder = tmp_path_factory.mktemp("häßliche Namen here")
    write_video(folder / "person.mp4", talking(20), Fraction(25))
    tone(folder / "words.wav", 1.0)
    return folder
