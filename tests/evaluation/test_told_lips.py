"""What style models are told of held-out clips when they are judged: the sound that is heard, in the own manner."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from audio import Sound
from core.errors import Mismatch, NoData
from dataset import Clip, Needs, save_clip, to_network
from evaluation import windows
from evaluation.cli import main
from evaluation.commands import opening, sync
from evaluation.stage1 import Lips
from guided_diffusion.engine.checkpoint import save_checkpoint
from systems.registry import build, describe
from systems.sound import SoundConfig
from systems.stage1 import Heard
from systems.style import StyleReference
from systems.sync import SyncConfig
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_style import save
from tests.helpers.toy import talking
from tests.helpers.video_samples import mouths

EXPERT = SyncConfig(size=32, shrink=1, widths=(32, 32), embedding=16, sound=SoundConfig(res_blocks=1))
CPU = torch.device("cpu")


def test_what_is_held_out_is_any_data_and_either_split(tmp_path: Path) -> None:
    """Whatever train.py reads; cut as the model sees faces, or refused."""
    for number in range(2):
        save_clip(tmp_path / "test" / "eve" / f"{number}.npz", talking(number))
    boxed = SimpleNamespace(size=32, config=SimpleNamespace(framing="box"))
    found = windows.held_out(tmp_path, boxed)  # type: ignore[arg-type]
    assert {split: [clip.name for clip in clips] for split, clips in found.items()} == {"test": ["0", "1"]}
    with fails(Mismatch, tmp_path, "pack"):
        windows.held_out(tmp_path, SimpleNamespace(size=32, config=SimpleNamespace(framing="aligned")))  # type: ignore[arg-type]
    with fails(NoData, "0", "split test"):
        windows.wrong_sounds(found["test"][:1], "test")
    (tmp_path / "test").rename(tmp_path / "train")
    with fails(NoData, tmp_path, "seen and test"):
        windows.held_out(tmp_path, boxed)  # type: ignore[arg-type]


class Echo:
    """Stands in for stage 1: motion is how loud the sound is; of a face, how bright.  Knows what it was asked."""

    predictor: "Echo"
    reference_of = StyleReference

    def __init__(self) -> None:
        self.predictor = self
        self.neutral = torch.empty(0)

    def to(self, device: torch.device) -> "Echo":
        return self

    def read(self, faces: Tensor) -> Tensor:
        return faces.mean(dim=(2, 3))[:, :1]

    def hear(self, sound: Sound, shown: list[range]) -> Heard:
        def heard(first: int, stop: int) -> Tensor:
            return torch.from_numpy(sound.mel.windows(first, stop, Fraction(25))).flatten(1)

        return heard

    def predict(self, heard: Tensor, reference: StyleReference | None, *, neutral: Tensor) -> Tensor:
        self.neutral = neutral
        return heard.mean(dim=1, keepdim=True)


def lips(*clips: Clip) -> Lips:
    return Lips(Echo(), clips, CPU)  # type: ignore[arg-type]


def test_each_clip_is_told_what_is_heard_with_it() -> None:
    clips = [talking(number, frames=frames) for number, frames in enumerate((16, 22, 29, 31, 20))]
    speaker: Any = SimpleNamespace(system=SimpleNamespace(needs=Needs(motion=1)))
    own, wrong = sync.windows(speaker, clips, lips(*clips))
    for batch in (own, wrong):
        assert batch.motion is not None
        assert torch.allclose(batch.motion[..., 0], batch.mel.mean(dim=(2, 3)), atol=1e-5)
    assert not torch.allclose(own.motion, wrong.motion, atol=0.1)


def test_the_manner_is_that_of_another_clip_of_the_speaker() -> None:
    first, second, short, alone = clips = [
        talking(0, frames=20), talking(1, frames=30), talking(2, frames=5), talking(3, speaker="bob"),
    ]  # fmt: skip
    told = lips(*clips)
    for clip, other in ((first, second), (second, first), (short, first)):
        reference = told.reference(clip)
        assert reference is not None
        assert torch.equal(reference.motion, told.model.read(to_network(other.faces)))
        assert torch.equal(reference.heard, torch.from_numpy(other.mel.windows(0, len(other), other.fps)).flatten(1))
    assert told.reference(alone) is None
    told(first, second, range(3), Fraction(25))
    assert torch.equal(told.model.neutral, told.model.read(to_network(first.faces)).mean(dim=0))


def test_lips_move_by_time_not_by_frame() -> None:
    clip = talking(0)
    told = lips(clip)
    whole, half = (told(clip, clip, range(n), Fraction(25 * n, 16)) for n in (16, 8))
    assert torch.allclose(half, whole[::2], atol=1e-5)
    assert torch.allclose(told(clip, clip, range(3, 7), clip.fps), whole[3:7], atol=1e-5)


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., None]:
    """Runs a subcommand on a style model and held-out clips of two speakers."""
    places = [("train", "ann"), ("seen", "ann"), ("seen", "ann"), ("test", "eve"), ("test", "eve"), ("test", "fay")]
    for number, (split, speaker) in enumerate(places):
        save_clip(tmp_path / "data" / split / speaker / f"{number}.npz", talking(number))
    (tmp_path / "model").mkdir()

    def run(*words: object) -> None:
        given = [*words, "--data", tmp_path / "data", "--model_path", save(tmp_path / "model"), "--device", "cpu"]
        assert main([*map(str, given)]) == 0

    return run


@pytest.mark.slow
@seeded()
def test_an_expert_judges_a_style_model(
    judged: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build("sync", EXPERT)
    save_checkpoint(tmp_path / "expert.safetensors", describe("sync", model, 0, model.state_dict()))
    judged("sync", "--expert", tmp_path / "expert.safetensors", "--steps", "1")
    said = capsys.readouterr().out
    assert "| model | dpm++ 1 | seen | 2 |" in said and "| model | dpm++ 1 | test | 3 |" in said


class Bright:
    """Stands in for MediaPipe: a mouth is open as its picture is bright, which is of the size that a model makes."""

    seen: ClassVar[list[np.ndarray]] = []

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "Bright":
        return self

    def __exit__(self, *_: object) -> None: ...

    def find(self, pictures: np.ndarray) -> np.ndarray:
        self.seen.append(pictures)
        return mouths(pictures[:, 64:-64, 64:-64].mean(axis=(1, 2, 3)) / 255)


@pytest.mark.slow
def test_openings_are_held_against_the_real_ones(
    judged: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(opening, "MediaPipe", Bright)
    judged("opening", "--landmarker", "x.task", "--spacing", "1")
    assert "| clips | n | r own sound | r other sound |" in capsys.readouterr().out
    assert len(Bright.seen) == 3 * 5 and {seen.shape for seen in Bright.seen} == {(16, 160, 160, 3)}
    assert (Bright.seen[1] != Bright.seen[2]).any()


@pytest.mark.parametrize("count", [1, 3])
def test_a_frame_is_shown_the_other_half_of_its_clip(count: int) -> None:
    places = windows.shown(17, count)
    assert places.shape == (17, count)
    assert ((places >= 8) == (np.arange(17) < 8)[:, None]).all() and len(set(places[0])) == count
