"""A pack of one person's videos, made with the networks that ship: what scripts/finetune.py learns from.

It is no program: finetune.py calls `make_pack`.

A pack of scripts/pack_training.py has its points and its lip motion of MediaPipe; here the landmark network that aligns
faces in generation finds the points, and stage 1 of the checkpoint reads the motion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio import SAMPLE_RATE, read_sound
from core.arrays import Picture
from core.errors import BadInput
from core.progress import say
from dataset import PackClip, to_network
from dataset.pack import Labels
from face_detection import Box, Detector, FaceTrack, Landmarks, cut, track_face
from face_detection.alignment import POINTS
from systems.stage1 import Stage1
from systems.style import MotionSpace
from systems.style.labels import SPACE
from video import Mono, VideoInfo, probe, read_frames, write_video

SIDE = 288       # pixels of a crop, of which a face is 0.55 wide: about what a network of 128 px and its margin keep
INNER = 0.55     # of a crop's width, the face as VoxCeleb2 frames it (face_detection.voxceleb2_box)
SECONDS = 5      # of a clip, at most: in one the crop stays where it is
LEAST = 1        # seconds of a clip
BRIDGED, STEADY = Fraction(1, 5), (2.0, 4.0)  # as in dataset/cutting.py
APART = 1        # seconds between what is learnt and what is held out, which no clip shows
CRF = 12         # of the crops, as x264 counts: hardly any loss


@dataclass(frozen=True)
class Stretch:
    """Frames start..stop-1 of a video, all with a face in one shot, and the split that they go into."""

    start: int
    stop: int
    split: str


def make_pack(
    videos: Sequence[Path], folder: Path, speaker: str, motion: Stage1, detector: Detector, *, held_out: float
) -> dict[str, int]:
    """Writes the pack of one person, the last share of each video held out (split seen).  -> frames of each split.

    Raises BadInput if nothing is left to learn from or to hold out.
    """
    finder, frames = Landmarks(), {"train": 0, "seen": 0}
    folder.mkdir(parents=True, exist_ok=True)
    assert isinstance(motion.space, MotionSpace)
    motion.space.save(folder / SPACE)
    for place, video in enumerate(videos):
        info = probe(video)
        pace = float(info.fps / 25)
        track = track_face(read_frames(video), detector)
        track = track.filled(round(BRIDGED * info.fps)).smoothed(STEADY[0] * pace, STEADY[1] * pace)
        samples = _samples(info)
        for number, stretch in enumerate(stretches(track, info, held_out)):
            clip = folder / "piece-000" / stretch.split / speaker / f"{place:02d}__{number:03d}.mp4"
            clip.parent.mkdir(parents=True, exist_ok=True)
            _write(clip, info, track, stretch, samples, finder, motion)
            frames[stretch.split] += stretch.stop - stretch.start
    if not all(frames.values()):
        raise BadInput(
            f"{videos[0]}: {frames['train']} frames with a face can be learnt from and {frames['seen']} held out; give"
            " longer videos of one person who is seen well, best five minutes of them"
        )
    say(f"{speaker}: {frames['train']} frames to learn from, {frames['seen']} held out")
    return frames


def stretches(track: FaceTrack, info: VideoInfo, held_out: float) -> Iterator[Stretch]:
    """Clips of at most 5 s between cuts and gaps; a second before the part that is held out belongs to neither."""
    first_held = round(len(track) * (1 - held_out))
    spare = round(APART * info.fps)
    edges = {0, len(track), first_held, max(first_held - spare, 0), *track.shots}
    edges |= {int(place) + 1 for place in np.flatnonzero(np.diff(track.present))}
    for start, stop in pairwise(sorted(edges)):
        if not track.present[start] or first_held - spare <= start < first_held:
            continue
        parts = -(-(stop - start) // round(SECONDS * info.fps))
        cuts = [start + (stop - start) * part // parts for part in range(parts + 1)]
        for first, last in pairwise(cuts):
            if last - first >= LEAST * info.fps:
                yield Stretch(first, last, "seen" if first >= first_held else "train")


def _write(
    clip: Path, info: VideoInfo, track: FaceTrack, stretch: Stretch, samples: NDArray[np.float32], finder: Landmarks,
    motion: Stage1,
) -> None:  # fmt: skip
    """The crop, at one place for all of the stretch, with its sound, and its labels beside it."""
    square = crop_of(track.boxes[stretch.start : stretch.stop])
    scale = SIDE / square.width
    points = np.empty((stretch.stop - stretch.start, len(POINTS), 2), np.float32)

    def crops() -> Iterator[Picture]:
        frames = read_frames(info.path, start=stretch.start, stop=stretch.stop)
        for number, frame in enumerate(frames, start=stretch.start):
            box = track.box(number)
            assert box is not None, "a stretch has a face throughout"
            points[number - stretch.start] = finder.find(frame, box).points
            yield cut(frame, square, SIDE)

    ends = (round(float(number / info.fps) * SAMPLE_RATE) for number in (stretch.start, stretch.stop))
    sound = Mono([samples[slice(*ends)]], SAMPLE_RATE)
    write_video(clip, crops(), info.fps, sound=sound, crf=CRF)
    points = (points - np.array([square.x0, square.y0], np.float32)) * scale
    count = len(points)
    blank = Labels(points, np.zeros((count, 1), np.float32), np.zeros(count, np.float32))
    blank.save(clip.with_suffix(".npz"))  # which says how faces are aligned, in which their motion is read
    faces = PackClip(clip, "", motion.size, "aligned").pictures(range(count))
    read = motion.read(to_network(faces))
    Labels(points, read.numpy(), motion.space.opening(read).numpy()).save(clip.with_suffix(".npz"))


def crop_of(boxes: NDArray[np.float32]) -> Box:
    """The square that shows a face as crops of VoxCeleb2 do: the median of its boxes f32 [n, 4], from the top down."""
    x0, y0, x1, _ = np.median(boxes, axis=0).tolist()
    side = (x1 - x0) / INNER
    middle = (x0 + x1) / 2
    return Box(middle - side / 2, y0, middle + side / 2, y0 + side)


def _samples(info: VideoInfo) -> NDArray[np.float32]:
    """The sound of a video, with silence behind it, or all silence: to see how somebody looks it takes none."""
    length = round(float(info.seconds) * SAMPLE_RATE) + SAMPLE_RATE
    there = read_sound(info.path).samples if info.audio else np.zeros(0, np.float32)
    return np.concatenate([there, np.zeros(max(length - len(there), 0), np.float32)])
