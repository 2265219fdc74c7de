"""Who is who: which tracklets of sightings, from whatever shot, are one person.

Two tracklets that share a moment are two people.  Others are one if they are alike enough in three things: how the face
looks (appearance.py), how large it is, and where the one ends and the other begins.  Size and place say little after a
cut or an absence, so what they can count is limited: a look that is quite another is another person anywhere.
"""

from collections.abc import Sequence
from math import log

import numpy as np

from face_detection.appearance import difference
from face_detection.linking import Tracklet

LOOK = 8.0
"""Two looks this far apart count 1.  Within one of the shared face clips they differ by 2.2 (median; 99 % below 7.4),
between two clips of one speaker by 5.7, between two speakers of the same kind of recording by 13.9 (5 % below 7.4)."""
SIZE = 1.6
"""One face this many times taller than the other counts 1/2; more than its 1.5th power counts no more."""
PLACE = 3.0
"""Two places this many face heights apart count 1/2; farther counts no more."""
UNLIKE = 1.5
"""Chains that differ by more than this are two people."""


def unlikeness(one: Tracklet, other: Tracklet) -> float:
    """How much two tracklets differ, 0 upwards; infinite if they share a moment."""
    first, second = (one, other) if one.span <= other.span else (other, one)
    if first.span[1] >= second.span[0]:
        return float("inf")
    looks = difference(first.look, second.look) / LOOK
    size = abs(log(first.height / second.height)) / log(SIZE)
    left, entered = ((box[:2] + box[2:]) / 2 for box in (first.boxes[-1], second.boxes[0]))
    place = float(np.linalg.norm(left - entered)) * 2 / (first.height + second.height) / PLACE
    return looks + min(size, 1.5) / 2 + min(place, 1.0) / 2


def people(tracklets: Sequence[Tracklet]) -> list[list[Tracklet]]:
    """The tracklets of each person, in order of time; the likest are joined first."""
    pairs = [(unlikeness(a, b), i, j) for i, a in enumerate(tracklets) for j, b in enumerate(tracklets[:i])]
    person = list(range(len(tracklets)))
    members = {number: [number] for number in person}
    for cost, i, j in sorted(pairs):
        a, b = person[i], person[j]
        if cost > UNLIKE:
            break
        if a != b and not _meet([tracklets[k] for k in members[a]], [tracklets[k] for k in members[b]]):
            for number in members[b]:
                person[number] = a
            members[a] += members.pop(b)
    return [sorted((tracklets[k] for k in group), key=lambda tracklet: tracklet.span) for group in members.values()]


def _meet(these: Sequence[Tracklet], those: Sequence[Tracklet]) -> bool:
    """Whether two groups of tracklets share a moment."""
    return any(a.span[0] <= b.span[1] and b.span[0] <= a.span[1] for a in these for b in those)
