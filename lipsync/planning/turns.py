"""A turn: one face says one sound in one stretch of the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio import MEL_RATE, FilterBanks, Mel, Sound
from audio.activity import Activity, speech_activity
from core.errors import BadInput
from face_detection import FaceTrack, unfit_ranges
from lipsync.settings import Settings

from .face_selection import FaceSelector, missing_in
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

    def windows(self, frames: Sequence[int], plan: Plan) -> NDArray[np.float32]:
        """What is heard with these frames of the result: f32 [n, 80, 16]."""
        low, high = min(frames), max(frames) + 1
        windows = self.mel.windows(low - self.origin, high - self.origin, plan.fps)
        return np.asarray(windows[np.array(frames) - low], np.float32)

    def rows(self, frames: Sequence[int], plan: Plan, count: int) -> NDArray[np.float32] | None:
        """So many rows of filter banks around these frames of the result: f32 [n, count, 104], if there are banks."""
        if self.banks is None:
            return None
        low, high = min(frames), max(frames) + 1
        rows = self.banks.windows(low - self.origin, high - self.origin, plan.fps, count)
        return np.asarray(rows[np.array(frames) - low], np.float32)

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


def make_turns(
    segments: Sequence[SpeakerSegment],
    plan: Plan,
    casting: FaceSelector,
    sound_of: Callable[[SpeakerSegment], Sound],
    references_of: Callable[[FaceTrack], References],
    *,
    within: tuple[int, int] | None = None,
    banks_of: Callable[[SpeakerSegment], FilterBanks | None] = lambda segment: None,
    motion_of: Callable[[Callable[[], FaceTrack], Sound, int], NDArray[np.float32] | None] = lambda *_: None,
) -> list[SpeakerTurn]:
    """The segments as turns, those of frames `within` alone if given (what lies outside is then not searched).

    sound_of: what a segment says; references_of: what the network is shown of a face; banks_of: what a segment says,
    for a system that hears filter banks; motion_of: what the lips of a face do that says so many frames of a sound,
    given what finds that face in the whole of its segment, whatever is `within`: its manner is the same for every
    process.
    BadInput: a segment lies outside the result, or two that overlap in time mean the same face.
    """
    low, high = within or (0, plan.frames)
    turns = []
    for segment in segments:
        first, stop = frames_of(segment, plan)
        if max(first, low) < min(stop, high):
            shown = plan.sources(max(first, low), min(stop, high))
            track, sound, banks = casting.track(segment.face, *shown), sound_of(segment), banks_of(segment)
            activity = None if casting.settings.silence == "model" else speech_activity(sound.mel)
            if activity is not None and casting.settings.silence == "close":
                banks = None if banks is None else banks.faded(activity.openness, MEL_RATE)
                sound, activity = sound.hushed(activity), None
            origin = 0 if segment.sound is None else first
            whole = partial(casting.track, segment.face, *plan.sources(first, stop))
            motion = motion_of(whole, sound, stop - origin)
            turns.append(SpeakerTurn(
                first, stop, origin, track, references_of(track), sound.mel, activity, banks, motion,
                casting.opacity(track, *shown),
            ))  # fmt: skip
    _check_apart(turns, plan)
    return turns


def frames_of(segment: SpeakerSegment, plan: Plan) -> tuple[int, int]:
    """The half-open range of result frames.  BadInput if it lies outside the result."""
    first = plan.frame_at(segment.start)
    stop = plan.frames if segment.end is None else plan.frame_at(segment.end)
    if first >= stop:
        raise BadInput(
            f"the edit from {segment.start:g} s lies outside the result, which ends at "
            f"{float(plan.frames / plan.fps):.2f} s; give an earlier --start, or --length video"
        )
    return first, stop


def missing(turns: Sequence[SpeakerTurn], plan: Plan) -> list[tuple[int, int]]:
    """The source frames that were to speak and have no face: inclusive ranges, in order."""
    found = {gap for turn in turns for gap in missing_in(turn.track, *plan.sources(turn.first, turn.stop))}
    return sorted(found)


def unfit(turns: Sequence[SpeakerTurn], plan: Plan) -> list[tuple[int, int, str]]:
    """The source frames that were to speak and in which no mouth can be made well: first, last, why; in order."""
    found = {span for turn in turns for span in unfit_ranges(turn.track, *plan.sources(turn.first, turn.stop))}
    return sorted(found)


def _check_apart(turns: Sequence[SpeakerTurn], plan: Plan) -> None:
    """BadInput if one face is to say two things at once: two boxes that overlap by half in a frame of both turns."""
    for place, turn in enumerate(turns):
        for other in turns[:place]:
            for k in range(max(turn.first, other.first), min(turn.stop, other.stop)):
                one, two = turn.track.box(plan[k]), other.track.box(plan[k])
                if one is not None and two is not None and one.iou(two) > 0.5:
                    raise BadInput(
                        f"--segments: one face is to say two things at {float(k / plan.fps):.2f} s; let the one end "
                        "before the other starts, or choose another face"
                    )


def segments_of(
    audio: Path | None, listed: Sequence[SpeakerSegment] | None, settings: Settings
) -> list[SpeakerSegment]:
    """What was listed, else one segment: the face of the settings says the sound, from their start to their end."""
    if listed is not None:
        return list(listed)
    if audio is None:
        raise BadInput("there are no words; pass --audio, or --segments")
    return [SpeakerSegment(settings.start, settings.end, settings.face, None)]
