"""What is used once before it is needed changes no result, is loaded once, and fails where it is needed alone."""

import threading
from pathlib import Path

import pytest
import torch

from core.errors import BadInput
from lipsync import models as models_module
from lipsync.models import Models
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering.renderer import Synthesizer
from lipsync.settings import Settings

SETTINGS = Settings(device="cpu", precision="fp32", batch=4, cache=None)


class Fake:
    name = "fake"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def detect(self, frames):  # type: ignore[no-untyped-def]
        self.shapes += [frame.shape for frame in frames]
        return [[] for _ in frames]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    made: list[Fake] = []

    def load(name: str, **others: object) -> Fake:
        made.append(Fake())
        return made[-1]

    monkeypatch.setattr(models_module, "load_detector", load)
    return made


def test_detector_and_network_are_used_once(checkpoint: Path, loaded: list[Fake]) -> None:
    models = Models(checkpoint, SETTINGS)
    batches: list[torch.Size] = []
    before = models.synthesizer.sampler

    def counted(clips):  # type: ignore[no-untyped-def]
        batches.append(clips.faces.shape)
        return before(clips)

    models.synthesizer.sampler = counted  # type: ignore[assignment]
    models.warm(SETTINGS).join()
    assert loaded[0].shapes == [(360, 640, 3)] * 16 and models.detector("auto") is loaded[0] and len(loaded) == 1
    assert batches == [(1, 4, 3, 32, 32)], "as large as the batches that follow"


def test_who_is_told_where_the_face_is_needs_no_detector(checkpoint: Path, loaded: list[Fake]) -> None:
    Models(checkpoint, SETTINGS).warm(Settings(box=(0, 9, 0, 9))).join()
    assert loaded == []


def test_what_fails_fails_where_it_is_needed(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, **others: object) -> None:
        raise BadInput("no detector")

    monkeypatch.setattr(models_module, "load_detector", load)
    models = Models(checkpoint, SETTINGS)
    models.warm(SETTINGS).join()
    with pytest.raises(BadInput, match="no detector"):
        models.detector("auto")


def test_a_pipeline_warms_up_on_a_gpu_alone(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, loaded: list[Fake]
) -> None:
    warmed: list[Settings] = []
    monkeypatch.setattr(Models, "warm", lambda self, settings: warmed.append(settings))
    LipSyncPipeline(checkpoint, SETTINGS)
    assert warmed == []
    start = Synthesizer.__init__

    def pretending(self, *args):  # type: ignore[no-untyped-def]
        start(self, *args)
        self.device = torch.device("cuda")

    monkeypatch.setattr(Synthesizer, "__init__", pretending)
    LipSyncPipeline(checkpoint, SETTINGS)
    assert warmed == [SETTINGS]


def test_two_threads_load_one_detector(checkpoint: Path, loaded: list[Fake]) -> None:
    models = Models(checkpoint, SETTINGS)
    threads = [threading.Thread(target=models.detector, args=("auto",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1


@pytest.mark.slow
@pytest.mark.parametrize("model", ["style-small", "diff2lip-small.safetensors", "syncdiff-small.safetensors"])
def test_every_system_warms_up(model: str) -> None:
    path = Path(__file__).parents[2] / "checkpoints" / model
    synthesizer = Synthesizer(path, Settings(device="cpu", steps="1", batch=2), print)
    synthesizer.warm()

