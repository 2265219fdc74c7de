"""LockstepBatcher: what all ask is answered at once, nobody waits for ever, and a segment keeps its place."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_chain import SETTINGS, speaking  # noqa: F401, a fixture

from core.errors import BadInput, Mismatch
from guided_diffusion.engine.distributed import Group
from lipsync.jobs.job import Job
from lipsync.jobs.runner import JobRunner, dub
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering.lockstep import LockstepBatcher, Slot, slot_in_list, slots
from lipsync.rendering.renderer import Synthesizer
from tests.helpers.failing import fails
from tests.helpers.prepared import prepared
from video import read_frames


def doubled(asked: Mapping[int, int]) -> dict[int, int]:
    return {place: 2 * question for place, question in asked.items()}


def test_lanes_of_any_length_are_answered_and_all_at_once() -> None:
    heard: dict[int, list[int]] = {}
    calls: list[list[int]] = []

    def answer(asked: Mapping[int, int]) -> dict[int, int]:
        assert threading.current_thread() is threading.main_thread()
        calls.append(sorted(asked))
        return doubled(asked)

    def work(place: int, count: int):  # type: ignore[no-untyped-def]
        return lambda ask: heard.__setitem__(place, [ask(10 * place + i) for i in range(count)])

    LockstepBatcher(answer).run({place: [work(place, count)] for place, count in ((0, 3), (1, 1), (4, 5), (2, 0))})
    assert heard == {0: [0, 2, 4], 1: [20], 4: [80, 82, 84, 86, 88], 2: []}
    assert calls == [[0, 1, 4], [0, 4], [0, 4], [4], [4]]


def test_a_lane_goes_on_with_its_next_work_while_others_are_at_theirs() -> None:
    calls: list[dict[int, int]] = []

    def answer(asked: Mapping[int, int]) -> dict[int, int]:
        calls.append(dict(asked))
        return doubled(asked)

    def work(*questions: int):  # type: ignore[no-untyped-def]
        return lambda ask: [ask(question) for question in questions]

    LockstepBatcher(answer).run({0: [work(1), work(2, 3)], 1: [work(4, 5)]})
    assert calls == [{0: 1, 1: 4}, {0: 2, 1: 5}, {0: 3}]


@pytest.mark.timeout(60)
def test_nothing_to_do_ends() -> None:
    LockstepBatcher(doubled).run({})


def test_a_lane_that_fails_ends_the_others() -> None:
    closed = []

    def breaks(ask) -> None:  # type: ignore[no-untyped-def]
        ask(1)
        raise BadInput("one of the videos broke off")

    def goes_on(ask) -> None:  # type: ignore[no-untyped-def]
        try:
            while True:
                ask(2)
        finally:
            closed.append(True)

    with fails(BadInput, "videos"):
        LockstepBatcher(doubled).run({0: [goes_on], 1: [breaks], 2: [goes_on]})
    assert closed == [True, True]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, BadInput("no picture")])
def test_so_does_a_network_that_fails_or_a_user_that_stops(problem: BaseException) -> None:
    def answer(asked: Mapping[int, int]) -> dict[int, int]:
        raise problem

    before = threading.active_count()
    with pytest.raises(type(problem) if isinstance(problem, BadInput) else KeyboardInterrupt):
        LockstepBatcher(answer).run({0: [lambda ask: ask(1)], 1: [lambda ask: ask(2)]})
    assert threading.active_count() == before


def test_a_lane_that_gets_no_answer_may_go_on_and_so_do_the_others() -> None:
    heard: list[int] = []

    def answer(asked: Mapping[int, int]) -> dict[int, int | BadInput]:
        return {place: BadInput("no picture") if question == 1 else 2 * question for place, question in asked.items()}

    def careful(ask) -> None:  # type: ignore[no-untyped-def]
        with fails(BadInput, "no picture"):
            ask(1)
        heard.append(ask(3))

    LockstepBatcher(answer).run({0: [careful], 1: [lambda ask: heard.append(ask(2))]})
    assert sorted(heard) == [4, 6]


@pytest.mark.parametrize(("total", "most", "side"), [(8, 8, 8), (9, 8, 5), (9, 4, 3), (17, 8, 6), (5, 1, 1)])
def test_rounds_are_filled_evenly(total: int, most: int, side: int) -> None:
    assert slots(total, most, Slot(7, 9)) == [Slot(number % side, side) for number in range(total)]


def test_an_only_segment_has_the_seat_of_its_result() -> None:
    assert slots(1, 8, Slot(2, 3)) == [Slot(2, 3)]


@pytest.mark.parametrize(("results", "most", "side"), [(1, 8, 1), (3, 8, 1), (5, 8, 2), (16, 8, 8), (500, 32, 32)])
def test_half_of_a_list_is_made_side_by_side(results: int, most: int, side: int) -> None:
    assert [slot_in_list(number, results, most).place for number in range(4)] == [number % side for number in range(4)]
    assert slot_in_list(0, results, most).side == side


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("video.encoding", "lipsync.jobs.chunks", "lipsync.rendering.frame_source"):
        monkeypatch.setattr(f"{place}.CHUNK", 8)


def made(pipeline: LipSyncPipeline, folder: Path, output: Path, *teams: Group) -> np.ndarray:
    """The result of 25 frames, 4 segments, made by processes that follow each other here."""
    job = Job(folder / "person.mp4", folder / "words.wav", output)
    productions = [JobRunner(pipeline, job, team) for team in teams]
    for runner in reversed(productions):
        runner.prepare()
        runner.render()
    productions[0].finish()
    return np.stack(list(read_frames(output)))


@pytest.mark.slow
@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize("batch", [1, 4])
def test_one_process_or_three_or_one_that_goes_on_make_the_same_frames(
    speaking: Path, folder: Path, tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    settings = replace(SETTINGS, batch=batch, steps="1", length="audio", cache=tmp_path / "cache")
    pipeline, sizes = LipSyncPipeline(speaking, settings), []
    synthesizer, sample = pipeline.models.synthesizer, pipeline.models.synthesizer.sampler
    monkeypatch.setattr(synthesizer, "sampler", lambda clips: sizes.append(len(clips.faces)) or sample(clips))
    whole = made(pipeline, folder, tmp_path / "whole.mp4", Group())
    assert set(sizes) == {batch} and len(sizes) == {1: 25, 4: 8}[batch]
    assert np.array_equal(made(pipeline, folder, tmp_path / "team.mp4", *(Group(rank, 3) for rank in range(3))), whole)
    alone = prepared(pipeline, Job(folder / "person.mp4", folder / "words.wav", tmp_path / "unused.mp4"))
    assert np.abs(np.stack(list(alone.frames())).astype(int) - whole).mean() < 3  # encoded and not

    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "again.mp4")
    with JobRunner(pipeline, job, keep=True) as runner:
        runner.prepare()
        runner.render()
        first = sorted(runner.store.folder.glob("*.mp4"))
        first[1].unlink()
    assert np.array_equal(made(pipeline, folder, job.output, Group()), whole)


@pytest.mark.slow
@pytest.mark.usefixtures("short_chunks")
def test_without_memory_for_all_lanes_some_are_made_at_a_time(
    speaking: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:
    pipeline = LipSyncPipeline(speaking, replace(SETTINGS, batch=4, length="audio"))
    checked = Synthesizer.sample

    def full(self: Synthesizer, clips):  # type: ignore[no-untyped-def]
        if len(clips.faces) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return checked(self, clips)

    monkeypatch.setattr(Synthesizer, "sample", full)
    assert len(made(pipeline, folder, tmp_path / "out.mp4", Group())) == 25 and pipeline.models.synthesizer.batch == 2
    assert "going on with 2 frames at a time" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("short_chunks")
def test_a_network_that_gives_no_picture_leaves_no_result(
    speaking: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    pipeline = LipSyncPipeline(speaking, replace(SETTINGS, batch=4, length="audio"))
    nothing = lambda spoken, _: torch.zeros(len(spoken), dtype=torch.bool)  # noqa: E731
    monkeypatch.setattr("lipsync.rendering.renderer.is_picture", nothing)
    with fails(Mismatch, "tiny.safetensors", "--model_path"):
        dub(pipeline, Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out" / "result.mp4"))
    assert list((tmp_path / "out").iterdir()) == []
