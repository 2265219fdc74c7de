"""How somebody speaks in a video: what is heard and what the lips do, frame by frame, of at most a minute of it."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio import Sound
from core.errors import NoFace
from dataset import to_network
from face_detection import Box, FaceTrack, cut
from systems.stage1 import Stage1
from video import VideoInfo, picked_ahead

FPS = Fraction(25)  # at which stage 1 learned to move
STRETCHES = 6       # that a longer video is seen in, spread over all of it
STRETCH = 250       # frames of each: 10 s
HELD = 32           # faces in memory

Tracks = Callable[[int, int], FaceTrack]  # the face in source frames start..stop-1; NoFace if there is none


def read_style(info: VideoInfo, sound: Sound, tracks: Tracks, model: Stage1) -> tuple[Tensor, Tensor]:
    """What is heard, f32 [r, h], and motion f32 [r, d] of the frames that show a face, at 25 a second.

    NoFace if there is none in any.  Memory is a few faces, whatever the length.
    """
    sounds, motions, features = [], [], model.hear(sound, stretches_of(info))
    for stretch in stretches_of(info):
        sources = [min(int(k / FPS * info.fps), info.frames - 1) for k in stretch]
        try:
            track = tracks(sources[0], sources[-1] + 1)
        except NoFace:
            continue
        boxes = [track.box(source) for source in sources]
        sounds.append(features(stretch.start, stretch.stop)[[box is not None for box in boxes]])
        shown = [(source, box) for source, box in zip(sources, boxes, strict=True) if box is not None]
        motions += [model.read(faces) for faces in _faces(info.path, shown, model.size)]
    if not motions:
        raise NoFace(f"{info.path}: no face was found in it; use a video that shows one from the front")
    return torch.cat(sounds), torch.cat(motions)


def stretches_of(info: VideoInfo) -> list[range]:
    """Which frames of a video are looked at, at 25 a second."""
    return stretches(int(info.seconds * FPS) or 1)


def stretches(frames: int) -> list[range]:
    """Which frames of so many are looked at: all, or, of more than a minute, some stretches."""
    if frames <= STRETCHES * STRETCH:
        return [range(frames)]
    starts = np.linspace(0, frames - STRETCH, STRETCHES).round().astype(int)
    return [range(start, start + STRETCH) for start in starts.tolist()]


def _faces(video: Path, shown: Sequence[tuple[int, Box]], size: int) -> Iterator[Tensor]:
    """The faces in these boxes of source frames, some at a time.  [n, 3, s, s] in [-1, 1]"""
    with picked_ahead(video, [number for number, _ in shown]) as pictures:
        for first in range(0, len(shown), HELD):
            some = zip(shown[first : first + HELD], pictures, strict=False)  # zip stops before it takes one too many
            yield to_network(np.stack([cut(picture, box, size) for (_, box), picture in some]))
