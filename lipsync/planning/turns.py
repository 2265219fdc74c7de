"""A speaker turn: one face says one sound in one stretch of the result."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio import FilterBanks, Mel
from audio.activity import Activity
from core.errors import BadValue
from dataset import AudioCondition, AudioFeatures
from dataset.conditions import AudioWindows
from face_detection import FaceTrack, unfit_ranges

from .face_selection import missing_in
from .references import References
from .speaker_segments import SpeakerSegment
from .timeline import Plan


@dataclass(frozen=True)
class SpeakerTurn:
    """Frames first..stop-1 of the result: who speaks, and what is heard from frame `origin` on.

    gate: when the mouth is generated, elsewhere it is the original's; None: always.
    banks: what is heard, as AV-HuBERT hears it; None if nobody needs it.
    motion: f32 [stop - origin, d], what the lips do from frame `origin` on; None if nobody needs it.
    shown: f32 [source frames], how much of the generated mouth is seen in each, 0 where none can be made well; None:
        all of it in all.
    """

    first: int
    stop: int
    origin: int
    track: FaceTrack
    references: References
    mel: Mel
    gate: Activity | None = None
    banks: FilterBanks | None = None
    motion: NDArray[np.float32] | None = None
    shown: NDArray[np.float32] | None = None

    def moves(self, frames: Sequence[int]) -> NDArray[np.float32] | None:
        """What the lips do in these frames of the result: f32 [n, d], if that is known."""
        return None if self.motion is None else self.motion[np.array(frames) - self.origin]

    def audio(self, frames: Sequence[int], plan: Plan, conditions: Sequence[AudioCondition]) -> dict[str, AudioWindows]:
        """What is heard around these frames of the result, by each condition: f32 [n, ...]."""
        low, high = min(frames), max(frames) + 1
        sound, places = AudioFeatures(self.mel, self.banks), np.array(frames) - low
        return {
            condition.name: condition.windows(sound, low - self.origin, high - self.origin, plan.fps)[places]
            for condition in conditions
        }

    def strength(self, start: int, stop: int, plan: Plan) -> NDArray[np.float32]:
        """f32 [stop - start]: how much of the generated mouth is seen, 0 where none is and none need be made."""
        frames = np.arange(start, stop)
        inside = ((frames >= self.first) & (frames < self.stop)).astype(np.float32)
        if self.shown is not None:
            inside *= self.shown[[plan[k] for k in range(start, stop)]]
        if self.gate is None or not inside.any():
            return np.asarray(inside, np.float32)
        early = max(self.origin - start, 0)
        gate = self.gate.gate(start + early - self.origin, max(stop, start + early) - self.origin, plan.fps)
        return np.asarray(inside * np.concatenate([np.zeros(early), gate])[: stop - start], np.float32)


def frames_of(segment: SpeakerSegment, plan: Plan) -> tuple[int, int]:
    """The half-open range of result frames.  BadInput if it lies outside the result."""
    first = plan.frame_at(segment.start)
    stop = plan.frames if segment.end is None else plan.frame_at(segment.end)
    if first >= stop:
        raise BadValue(
            f"the edit from {segment.start:g} s lies outside the result, which ends at "
            f"{float(plan.frames / plan.fps):.2f} s; give an earlier --start, or --length video"
        )
    return first, stop


def missing(turns: Sequence[SpeakerTurn], plan: Plan) -> list[tuple[int, int]]:
    """The source frames that were to speak and have no face: inclusive ranges, in order."""
    return sorted({gap for turn in turns for gap in missing_in(turn.track, *plan.sources(turn.first, turn.stop))})


def unfit(turns: Sequence[SpeakerTurn], plan: Plan) -> list[tuple[int, int, str]]:
    """The source frames that were to speak and in which no mouth can be made well: first, last, why; in order."""
    return sorted({span for turn in turns for span in unfit_ranges(turn.track, *plan.sources(turn.first, turn.stop))})


def check_apart(turns: Sequence[SpeakerTurn], plan: Plan) -> None:
    """BadInput if one face is to say two things at once: two boxes that overlap by half in a frame of both turns."""
    for place, turn in enumerate(turns):
        for other in turns[:place]:
            for k in range(max(turn.first, other.first), min(turn.stop, other.stop)):
                one, two = turn.track.box(plan[k]), other.track.box(plan[k])
                if one is not None and two is not None and one.iou(two) > 0.5:
                    raise BadValue(
                        f"--segments: one face is to say two things at {float(k / plan.fps):.2f} s; let the one end "
                        "before the other starts, or choose another face"
                    )
