"""A system that is shown the frame before each: its frames follow each other, and any segment is made alone."""

import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dataset import ClipBatch, Needs
from guided_diffusion.engine.checkpoint import save_checkpoint
from lipsync.cli.main import generate
from lipsync.inspect.dry_run import estimate
from lipsync.jobs.job import Job
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering import frame_source
from lipsync.rendering.frame_source import AutoregressiveFaces, AutoregressiveFrames, StepInput
from lipsync.rendering.renderer import NetworkInputs
from lipsync.settings import Settings
from systems import registry
from systems.system import AutoregressiveState
from tests.helpers.prepared import prepared
from tests.helpers.seeded import seeded
from tests.helpers.tiny_syncdiff import PAPER
from video import probe

SETTINGS = Settings(
    box=(10, 150, 60, 200), device="cpu", precision="fp32", batch=8, cache=None, steps="2", length="video"
)


@pytest.fixture(scope="module")
@seeded()
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SyncDiff of 32 px that hears by AV-HuBERT, its weights random everywhere."""
    model = registry.build("syncdiff", PAPER)
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    path = tmp_path_factory.mktemp("syncdiff") / "tiny.safetensors"
    save_checkpoint(path, registry.describe("syncdiff", model, 1, model.state_dict()))
    return path


def frames(pipeline: LipSyncPipeline, folder: Path, start: int = 0, stop: int | None = None) -> np.ndarray:
    render_job = prepared(pipeline, Job(folder / "person.mp4", folder / "words.wav", folder / "unused.mp4"))
    return np.stack(list(render_job.frames(start, stop)))


@pytest.mark.slow
def test_its_checkpoint_makes_a_video_with_no_other_flag(speaking: Path, folder: Path, tmp_path: Path) -> None:
    code = generate(
        ["--video", str(folder / "person.mp4"), "--audio", str(folder / "words.wav"), "--face-detector", "haar",
         "--output", str(tmp_path / "result.mp4"), "--model-path", str(speaking), "--device", "cpu"]
    )  # fmt: skip
    assert code == 0 and probe(tmp_path / "result.mp4").frames == 25


@pytest.mark.slow
def test_any_segment_is_made_alone_bit_for_bit(speaking: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_source, "CHUNK", 6)
    pipeline = LipSyncPipeline(speaking, SETTINGS)
    whole = frames(pipeline, folder, 0, 12)
    assert np.array_equal(frames(pipeline, folder, 6, 12), whole[6:])
    other = LipSyncPipeline(speaking, replace(SETTINGS, batch=5))  # how frames are handed on changes nothing
    assert np.array_equal(frames(other, folder, 0, 12), whole)
    assert not np.array_equal(frames(pipeline, folder, 8, 10), whole[8:10])  # a stretch that begins within a segment


def test_silence_is_closed_for_whatever_listens(speaking: Path, folder: Path, tmp_path: Path) -> None:
    """Filter banks are faded as the mel is: after a second of speech, a murmur 40 dB below it is not heard."""
    time = np.arange(32000) / 16000
    samples = np.sin(2 * np.pi * 440 * time) * np.where(time < 1, 0.6, 0.006)
    with wave.open(str(tmp_path / "words.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    pipeline = LipSyncPipeline(speaking, replace(SETTINGS, length="audio"))
    job = Job(folder / "person.mp4", tmp_path / "words.wav", tmp_path / "unused.mp4")
    open_, shut = (prepared(pipeline.adjusted(silence=how), job) for how in ("model", "close"))
    for first, alike in ((5, True), (45, False)):
        pairs = zip(open_.frames(first, first + 1), shut.frames(first, first + 1), strict=True)
        assert all(np.array_equal(one, other) == alike for one, other in pairs)


def test_frames_that_are_made_by_themselves_are_made_as_the_first_of_a_stretch(speaking: Path, folder: Path) -> None:
    """As registration makes them."""
    synthesizer = LipSyncPipeline(speaking, SETTINGS).models.synthesizer
    size = synthesizer.size
    rng = np.random.default_rng(0)
    faces, references = rng.integers(0, 256, (2, 3, size, size, 3), dtype=np.uint8)
    audio = {one.name: rng.normal(size=(3, *one.shape)).astype(np.float32) for one in synthesizer.needs.audio}
    shown = NetworkInputs(faces, references, audio)
    alone = synthesizer([0, 1, 2], shown)
    for k in range(3):
        first = AutoregressiveFrames(synthesizer).faces([0])([k], [k], shown.part(slice(k, k + 1)))
        assert np.abs(alone[k].astype(int) - first[0]).max() <= 1


@pytest.mark.slow
def test_its_cost_is_estimated_as_that_of_any_system(speaking: Path, folder: Path, tmp_path: Path) -> None:
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out.mp4")
    assert estimate(LipSyncPipeline(speaking, SETTINGS), job).seconds["generate"] > 0


class Recorder:
    """Makes each face its own number; says after what."""

    def __init__(self) -> None:
        self.said: list[tuple[int | None, int]] = []

    def __call__(self, step: StepInput) -> np.ndarray:
        (made,) = step.shown.faces[:, 0, 0, 0].tolist()
        self.said.append((None if step.state.before is None else int(step.state.before), made))
        step.state.advance(torch.full((1, 1), float(made)))
        return step.shown.faces


def test_a_frame_is_read_from_its_own_slot_whoever_shares_the_batch() -> None:
    class Rows(SimpleNamespace):
        """Each item of a batch comes out as a picture of its place in it."""

        def within_memory(self, attempt: Callable[[int], None]) -> None:
            attempt(4)

        def sample(self, clips: ClipBatch) -> tuple[torch.Tensor, torch.Tensor]:
            rows = torch.arange(len(clips.faces)) / 127.5 - 1
            return rows[:, None, None, None].expand(-1, 3, 2, 2), torch.ones(len(rows), dtype=torch.bool)

    rows: Any = Rows(device="cpu", needs=Needs(before=1), past=lambda before, face: face)
    source = AutoregressiveFrames(rows)
    for asked in ([2], [0, 3], [0, 1, 2, 3]):
        steps = {place: StepInput(AutoregressiveState(1), numbered([place])) for place in asked}
        faces = source.next_frames(steps, 4)
        assert {place: int(np.asarray(face).flat[0]) for place, face in faces.items()} == {p: p for p in asked}
        assert all(steps[place].state.before is not None for place in asked)


def numbered(numbers: list[int]) -> NetworkInputs:
    faces = np.tile(np.array(numbers, np.uint8)[:, None, None, None], (1, 2, 2, 3))
    return NetworkInputs(faces, faces, {"mel": np.zeros((len(numbers), 80, 16), np.float32)})


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([[3, 4], [5, 6]], [(None, 3), (3, 4), (4, 5), (5, 6)]),
        ([[3, 4], [6, 7]], [(None, 3), (3, 4), (None, 6), (6, 7)]),  # frame 5 was not made
        ([[3, 5, 6], [7]], [(None, 3), (None, 5), (5, 6), (6, 7)]),
        ([[8, 9, 10, 11]], [(None, 8), (8, 9), (None, 10), (10, 11)]),  # a segment of 10 ends
        ([[19], [20], [21]], [(None, 19), (None, 20), (20, 21)]),
        ([[13, 14], [15, 16]], [(None, 13), (13, 14), (None, 15), (15, 16)]),  # a shot begins at 15
    ],
)
def test_a_chain_goes_on_where_the_frame_before_was_made(
    batches: list[list[int]], said: list[tuple[int | None, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_source, "CHUNK", 10)
    recorder = Recorder()
    faces = AutoregressiveFaces(recorder, (0, 15), 1)
    for batch in batches:
        made = faces(batch, batch, numbered(batch))
        assert np.array_equal(made, numbered(batch).faces)
    assert recorder.said == said


def test_a_shot_also_begins_where_a_video_plays_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    AutoregressiveFaces(recorder, (0, 15), 1)([30, 31, 32], [16, 15, 14], numbered([30, 31, 32]))
    assert recorder.said == [(None, 30), (30, 31), (None, 32)]
