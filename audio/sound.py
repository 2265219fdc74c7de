"""A sound as whoever listens may want it: its mel, or its samples from the first to the last."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from audio.activity import Activity
from audio.mel import Mel, read_mel
from audio.waveform import sound_blocks
from core.errors import Mismatch


@dataclass(frozen=True)
class Sound:
    """samples: f32 blocks at 16 kHz, from the first one whenever it is called; None where only the mel was kept."""

    mel: Mel
    samples: Callable[[], Iterable[np.ndarray]] | None = None

    def blocks(self) -> Iterable[np.ndarray]:
        """The samples.  Raises BadInput if they were not kept."""
        if self.samples is None:
            raise Mismatch(
                "of this sound only the mel was kept, and Whisper's ears need the samples; give the videos themselves,"
                " or a pack of them, made by scripts/pack_training.py"
            )
        return self.samples()

    def silence_suppressed(self, activity: Activity) -> "Sound":
        """Without what is heard between the words, faded to digital silence."""
        samples = None if self.samples is None else lambda: activity.faded(self.blocks())
        return Sound(activity.silence_suppressed(self.mel), samples)


def open_sound(path: Path) -> Sound:
    """The sound of a file, its mel read.  BadInput as `read_sound`."""
    return Sound(read_mel(path), partial(sound_blocks, path))
