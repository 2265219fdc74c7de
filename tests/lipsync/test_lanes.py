"""Lanes: what all ask is answered at once, nobody waits for ever, and a segment keeps its place."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_chain import SETTINGS, speaking  # noqa: F401, a fixture

from errors import BadInput
from guided_diffusion.distributed import Group
from lipsync.jobs import Job
from lipsync.lanes import Lanes, Seat, seat_in_list, seats
from lipsync.pipeline import Dubber
from lipsync.production import Production
from lipsync.synthesis import Synthesizer
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

    Lanes(answer).run({place: [work(place, count)] for place, count in ((0, 3), (1, 1), (4, 5), (2, 0))})
    assert heard == {0: [0, 2, 4], 1: [20], 4: [80, 82, 84, 86, 88], 2: []}
    assert calls == [[0, 1, 4], [0, 4], [0, 4], [4], [4]]


def test_a_lane_goes_on_with_its_next_work_while_others_are_at_theirs() -> None:
    calls: list[dict[int, int]] = []

    def answer(asked: Mapping[int, int]) -> dict[int, int]:
        calls.append(dict(asked))
        return doubled(asked)

    def work(*questions: int):  # type: ignore[no-untyped-def]
        return lambda ask: [ask(question) for question in questions]

    Lanes(answer).run({0: [work(1), work(2, 3)], 1: [work(4, 5)]})
    assert calls == [{0: 1, 1: 4}, {0: 2, 1: 5}, {0: 3}]


@pytest.mark.timeout(60)
def test_nothing_to_do_ends() -> None:
    Lanes(doubled).run({})


def test_a_lane_that_fails_ends_the_others() -> None:
    closed = []

    def fails(ask) -> None:  # type: ignore[no-untyped-def]
        ask(1)
        raise BadInput("one of the videos broke off")

    def goes_on(ask) -> None:  # type: ignore[no-untyped-def]
        try:
            while True:
                ask(2)
        finally:
            closed.append(True)

    with pytest.raises(BadInput, match="broke off"):
        Lanes(doubled).run({0: [goes_on], 1: [fails], 2: [goes_on]})
    assert closed == [True, True]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, BadInput("no picture")])
def test_so_does_a_network_that_fails_or_a_user_that_stops(problem: BaseException) -> None:
    def answer(asked: Mapping[int, int]) -> dict[int, int]:
        raise problem

    before = threading.active_count()
    with pytest.raises(type(problem) if isinstance(problem, BadInput) else KeyboardInterrupt):
        Lanes(answer).run({0: [lambda ask: ask(1)], 1: [lambda ask: ask(2)]})
    assert threading.active_count() == before


def test_a_lane_that_gets_no_answer_may_go_on_and_so_do_the_others() -> None:
    heard: list[int] = []

    def answer(asked: Mapping[int, int]) -> dict[int, int | BadInput]:
        return {place: BadInput("no picture") if question == 1 else 2 * question for place, question in asked.items()}

    def careful(ask) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(BadInput, match="no picture"):
            ask(1)
        heard.append(ask(3))

    Lanes(answer).run({0: [careful], 1: [lambda ask: heard.append(ask(2))]})
    assert sorted(heard) == [4, 6]


@pytest.mark.parametrize(("total", "most", "side"), [(8, 8, 8), (9, 8, 5), (9, 4, 3), (17, 8, 6), (5, 1, 1)])
def test_rounds_are_filled_evenly(total: int, most: int, side: int) -> None:
    assert seats(total, most, Seat(7, 9)) == [Seat(number % side, side) for number in range(total)]


def test_an_only_segment_has_the_seat_of_its_result() -> None:
    assert seats(1, 8, Seat(2, 3)) == [Seat(2, 3)]


@pytest.mark.parametrize(("results", "most", "side"), [(1, 8, 1), (3, 8, 1), (5, 8, 2), (16, 8, 8), (500, 32, 32)])
def test_half_of_a_list_is_made_side_by_side(results: int, most: int, side: int) -> None:
    assert [seat_in_list(number, results, most).place for number in range(4)] == [number % side for number in range(4)]
    assert seat_in_list(0, results, most).side == side


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("video.encoding", "lipsync.parts", "lipsync.chain"):
        monkeypatch.setattr(f"{place}.SEGMENT", 8)


def made(dubber: Dubber, folder: Path, output: Path, *teams: Group) -> np.ndarray:
    """The result of 25 frames, 4 segments, made by processes that follow each other here."""
    job = Job(folder / "person.mp4", folder / "words.wav", output)
    productions = [Production(dubber, job, team) for team in teams]
    for production in reversed(productions):
        production.make()
    productions[0].finish()
    return np.stack(list(read_frames(output)))


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_one_process_or_three_or_one_that_goes_on_make_the_same_frames(
    speaking: Path, folder: Path, tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    settings = replace(SETTINGS, batch=batch, length="audio", cache=tmp_path / "cache")
    dubber, sizes = Dubber(speaking, settings), []
    speak = dubber.synthesizer.speaker
    monkeypatch.setattr(dubber.synthesizer, "speaker", lambda clips: sizes.append(len(clips.faces)) or speak(clips))
    whole = made(dubber, folder, tmp_path / "whole.mp4", Group())
    assert set(sizes) == {batch} and len(sizes) == {1: 25, 2: 16, 4: 8}[batch]
    assert np.array_equal(made(dubber, folder, tmp_path / "team.mp4", *(Group(rank, 3) for rank in range(3))), whole)
    alone = dubber.prepare(Job(folder / "person.mp4", folder / "words.wav", tmp_path / "unused.mp4"))
    assert np.abs(np.stack(list(alone.frames())).astype(int) - whole).mean() < 3  # encoded and not

    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "again.mp4")
    with Production(dubber, job, keep=True) as production:
        production.make()
        first = sorted(production.parts.folder.glob("*.mp4"))
        first[1].unlink()
    assert np.array_equal(made(dubber, folder, job.output, Group()), whole)


@pytest.mark.usefixtures("short_segments")
def test_without_memory_for_all_lanes_some_are_made_at_a_time(
    speaking: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:
    dubber = Dubber(speaking, replace(SETTINGS, batch=4, length="audio"))
    checked = Synthesizer._checked

    def full(self: Synthesizer, clips):  # type: ignore[no-untyped-def]
        if len(clips.faces) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return checked(self, clips)

    monkeypatch.setattr(Synthesizer, "_checked", full)
    assert len(made(dubber, folder, tmp_path / "out.mp4", Group())) == 25 and dubber.synthesizer.batch == 2
    assert "going on with 2 frames at a time" in capsys.readouterr().err


@pytest.mark.usefixtures("short_segments")
def test_a_network_that_gives_no_picture_leaves_no_result(
    speaking: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    dubber = Dubber(speaking, replace(SETTINGS, batch=4, length="audio"))
    monkeypatch.setattr("lipsync.synthesis.is_picture", lambda spoken, _: torch.zeros(len(spoken), dtype=torch.bool))
    with pytest.raises(BadInput, match="gives no picture"):
        dubber.dub(Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out" / "result.mp4"))
    assert list((tmp_path / "out").iterdir()) == []
