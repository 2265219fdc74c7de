"""One video as the metrics see it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from audio import Mel, Waveform
from core.arrays import Pictures
from face_detection import Box

FPS = Fraction(25)  # every video is looked at 25 times a second, whatever its own rate
WIDE = 224  # pixels of SyncNet's crop

Points = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class VideoSample:
    """t moments of a talking face and its sound, 25 a second.

    faces  u8 [t, s, s, 3] RGB, framed as VoxCeleb2's crop: what the picture metrics compare
    wide   u8 [t, 224, 224, 3] RGB, with the surroundings: what SyncNet and the landmark finders see
    place  where the face of `faces` is within `wide`
    sound  16 kHz mono, of the video from its first picture on; mel is the same sound
    mouth  f32 [t, 20, 2], the mouth's points in pixels of `wide`, iBUG's 48..67; NaN where there is no face, None if
           nobody looked
    lips   f32 [t, p, 2], MediaPipe's points lip_points.LIPS, likewise
    """

    faces: Pictures
    wide: Pictures
    place: Box
    sound: Waveform
    mel: Mel
    mouth: Points | None = field(default=None)
    lips: Points | None = field(default=None)

    def __post_init__(self) -> None:
        t = len(self.faces)
        if not t or self.faces.ndim != 4 or self.faces.dtype != np.uint8 or self.wide.shape != (t, WIDE, WIDE, 3):
            raise ValueError(f"faces {self.faces.shape} and wide {self.wide.shape} are not of the same moments")
        if self.mouth is not None and self.mouth.shape != (t, 20, 2):
            raise ValueError(f"a mouth is [{t}, 20, 2], not {list(self.mouth.shape)}")

    def __len__(self) -> int:
        return len(self.faces)


class CachedPerSample(Generic[T]):
    """A function of a sample, computed once for each: several metrics ask for the same, and it goes with the sample."""

    def __init__(self, function: Callable[[VideoSample], T]) -> None:
        self._function = function
        self._known: WeakKeyDictionary[VideoSample, T] = WeakKeyDictionary()

    def __call__(self, sample: VideoSample) -> T:
        if sample not in self._known:
            self._known[sample] = self._function(sample)
        return self._known[sample]
