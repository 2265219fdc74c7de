"""Which process makes which results of a list."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from guided_diffusion.engine.distributed import Group

from .item import FilelistItem
from .runner import ALONE


@dataclass(frozen=True)
class Task:
    """A result for this process to make, alone or as one of a team.

    number: its place in the list, those of one video together; the same for all processes, however many.
    searched_elsewhere: another process meets the same video, and searches its faces for both.
    """

    item: FilelistItem
    number: int
    team: Group = ALONE
    searched_elsewhere: bool = False


def tasks(items: Sequence[FilelistItem], group: Group) -> list[Task]:
    """What this process makes, in this order.  A function of the list and the rank alone: nobody is asked.

    At least as many results as processes: whole ones, as many for each, those of one video together so that its faces
    are searched once.  Where a video lies on the border of two shares, the process before the border begins with it,
    and the one behind ends with it.  Fewer results than processes: all make a part of one.
    """
    ordered = sorted(items, key=lambda item: str(item.job.video))  # stable: else in the list's order
    if len(items) < group.size:
        return [_team(ordered, group)]
    mine = group.share(range(len(ordered)))
    before, behind = _video(ordered, mine[0] - 1), _video(ordered, mine[-1] + 1)
    all_own = [Task(ordered[number], number) for number in mine]
    begun = [replace(task, searched_elsewhere=True) for task in all_own if task.item.job.video == before]
    own = [task for task in all_own if task.item.job.video != before]
    return sorted(own, key=lambda task: task.item.job.video != behind) + begun


def _team(items: Sequence[FilelistItem], group: Group) -> Task:
    """Ranks in a row make one result; no two teams differ by more than one in size."""
    numbers = [rank * len(items) // group.size for rank in range(group.size)]
    number = numbers[group.rank]
    return Task(items[number], number, Group(group.rank - numbers.index(number), numbers.count(number)))


def _video(items: Sequence[FilelistItem], place: int) -> object:
    return items[place].job.video if 0 <= place < len(items) else None
