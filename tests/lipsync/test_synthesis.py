"""Enough memory, or a clear word; a picture, or a clear word."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import Mismatch, OutOfMemory, lacks_memory
from lipsync.rendering import renderer
from lipsync.rendering.renderer import NetworkInputs, Synthesizer
from lipsync.settings import Settings
from tests.helpers.failing import fails

SETTINGS = Settings(device="cpu", precision="fp32", batch=8)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def synthesizer(checkpoint, said) -> Synthesizer:
    return Synthesizer(checkpoint, SETTINGS, said.append)


def crops(count: int, size: int = 32):
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    return faces, faces[::-1].copy(), {"mel": rng.normal(size=(count, 80, 16)).astype(np.float32)}


def failing(synthesizer: Synthesizer, problem: BaseException, above: int):
    """Makes batches of more than `above` fail."""
    speaker = synthesizer.sampler

    def speak(clips):
        if clips.faces.shape[1] > above:
            raise problem
        return speaker(clips)

    synthesizer.sampler = speak


@pytest.mark.slow
def test_what_a_machine_cannot_quicken_it_says(checkpoint, said, monkeypatch):
    monkeypatch.setattr(renderer, "compiler_problem", lambda device: "no compiler")
    plain = Synthesizer(checkpoint, SETTINGS, said.append)
    graphs = Synthesizer(checkpoint, replace(SETTINGS, compile="graphs"), said.append)
    full = Synthesizer(checkpoint, replace(SETTINGS, compile="full"), said.append)
    assert said == [
        "--compile graphs has no effect on cpu: CUDA graphs want a CUDA device",
        "--compile full: torch's compiler does not work here (no compiler); going on without",
    ]
    assert not graphs.compiled and not full.compiled
    faces = plain(range(4), NetworkInputs(*crops(4)))
    assert all(np.array_equal(other(range(4), NetworkInputs(*crops(4))), faces) for other in (graphs, full))


def test_a_halved_batch_lets_go_of_what_was_recorded(synthesizer, said):
    class Kept:
        gone = False

        def forget(self):
            self.gone = True

    synthesizer._recorded = [kept := Kept()]
    failing(synthesizer, MemoryError(), above=4)
    synthesizer(range(8), NetworkInputs(*crops(8)))
    assert kept.gone and synthesizer.batch == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("MPS backend out of memory (MPS allocated: 18.00 GB"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_said(synthesizer, said, problem):
    whole = synthesizer(range(8), NetworkInputs(*crops(8)))
    failing(synthesizer, problem, above=3)
    halved = synthesizer(range(8), NetworkInputs(*crops(8)))
    assert np.abs(halved.astype(int) - whole).max() <= 1
    assert (synthesizer.batch, synthesizer.grid) == (2, 8)
    assert len(said) == 2 and "2 frames at a time" in said[1]


def test_what_does_not_fit_even_alone_lacks_memory(synthesizer):
    failing(synthesizer, MemoryError(), above=0)
    with fails(OutOfMemory, "cpu", "--device"):
        synthesizer([0, 3], NetworkInputs(*crops(2)))


def test_another_problem_is_a_bug(synthesizer):
    failing(synthesizer, RuntimeError("shapes do not match"), above=0)
    with fails(RuntimeError, "shapes do not match"):
        synthesizer([0], NetworkInputs(*crops(1)))
    assert not lacks_memory(ValueError("out of memory"))


@pytest.mark.slow
def test_a_frame_depends_on_its_slot_alone(synthesizer):
    """Bit for bit, whoever else is in the batch."""
    whole = synthesizer(range(8), NetworkInputs(*crops(8)))
    some = [1, 4, 7]
    assert np.array_equal(synthesizer(some, NetworkInputs(*crops(8)).part(some)), whole[some])


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["nan", "blank"])
def test_no_picture_is_repeated_in_float32(checkpoint, said, broken):
    synthesizer = Synthesizer(checkpoint, replace(SETTINGS, precision="bf16"), said.append)
    exact = Synthesizer(checkpoint, SETTINGS, said.append)
    wrong = float("nan") if broken == "nan" else 0.3
    speaker = synthesizer.sampler

    def speak(clips):
        spoken = speaker(clips).clone()
        spoken[:, 2, :, 16:] = wrong
        return spoken

    synthesizer.sampler = speak
    assert np.array_equal(synthesizer(range(8), NetworkInputs(*crops(8))), exact(range(8), NetworkInputs(*crops(8))))
    synthesizer(range(8), NetworkInputs(*crops(8)))
    assert len(said) == 1 and "float32" in said[0]


def test_no_picture_in_float32_either_is_never_written(synthesizer):
    synthesizer.sampler = lambda clips: clips.faces * float("nan")
    with fails(Mismatch, "tiny.safetensors", "--model_path"):
        synthesizer([0], NetworkInputs(*crops(1)))


def test_a_face_that_was_blank_may_stay_so(synthesizer):
    synthesizer.sampler = lambda clips: torch.zeros_like(clips.faces)
    _, references, windows = crops(1)
    grey = np.full((1, 32, 32, 3), 128, np.uint8)
    assert synthesizer([0], NetworkInputs(grey, references, windows)).shape == grey.shape
