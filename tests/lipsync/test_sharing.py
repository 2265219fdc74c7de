"""Who makes what: everything once, one video's faces by one process, more hands than results share one."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from guided_diffusion.engine.distributed import Group
from lipsync.jobs.item import FilelistItem
from lipsync.jobs.job import Job
from lipsync.jobs.scheduler import tasks
from lipsync.settings import Settings


def cross(videos, sounds):
    names = [(v, s) for s in range(sounds) for v in range(videos)]
    return [
        FilelistItem(f"{v} {s}", Job(Path(f"{v}.mp4"), Path(f"{s}.wav"), Path(f"{v}_{s}.mp4")), Settings())
        for v, s in names
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("videos", "sounds"), [(4, 4), (1, 16), (16, 1), (3, 5)])
def test_each_result_is_made_once_and_each_video_searched_by_one(size, videos, sounds):
    items = cross(videos, sounds)
    shares = [tasks(items, Group(rank, size)) for rank in range(size)]
    assert Counter(task.item.where for share in shares for task in share) == Counter(item.where for item in items)
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1
    searchers = Counter(
        video for share in shares for video in {t.item.job.video for t in share if not t.searched_elsewhere}
    )
    assert set(searchers.values()) == {1} and len(searchers) == videos


@pytest.mark.parametrize("size", [2, 3, 5])
def test_who_searches_for_another_does_so_first_and_who_waits_does_so_last(size):
    items = cross(4, 4)
    shares = [tasks(items, Group(rank, size)) for rank in range(size)]
    for share, following in pairwise(shares):
        waited = [task.item.job.video for task in following if task.searched_elsewhere]
        if waited:
            assert share[0].item.job.video == waited[0] or share[0].searched_elsewhere
        flags = [task.searched_elsewhere for task in following]
        assert flags == sorted(flags)


@pytest.mark.parametrize(("count", "size"), [(1, 3), (2, 3), (3, 7), (1, 2), (4, 5)])
def test_more_processes_than_results_make_teams(count, size):
    items = cross(count, 1)
    teams: dict[str, list[Group]] = {}
    for rank in range(size):
        (task,) = tasks(items, Group(rank, size))
        teams.setdefault(task.item.where, []).append(task.team)
    assert set(teams) == {item.where for item in items}
    for groups in teams.values():
        assert [group.rank for group in groups] == list(range(len(groups)))
        assert {group.size for group in groups} == {len(groups)}
    sizes = [len(groups) for groups in teams.values()]
    assert max(sizes) - min(sizes) <= 1
