"""What a network hears around each frame, described once: for training windows and for results alike.

A system lists its conditions in `Needs.audio`; every batch carries them by name in `ClipBatch.audio`.  A new one is a
class with a name, a shape and `windows`; nothing else has to know it.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from audio import BANK_RATE, HOP, LEAD, MEL_RATE, MELS, ROW, SILENCE, WINDOW, FilterBanks, Mel
from audio.filterbank import FRAME, STACK, STEP
from audio.mel import FFT
from core.errors import Mismatch

AudioWindows = NDArray[np.float32]


@dataclass(frozen=True)
class AudioFeatures:
    """What is known of a sound.  banks: None where they were not read; name: for errors."""

    mel: Mel
    banks: FilterBanks | None = None
    name: str = "the sound"


class AudioCondition(Protocol):
    """name: in ClipBatch.audio; filterbanks: whether it is made of those; silence: what every number is where nothing
    is heard.  These and the type must survive pickling."""

    @property
    def name(self) -> str: ...

    @property
    def filterbanks(self) -> bool: ...

    @property
    def silence(self) -> float: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame."""
        ...

    def windows(self, sound: AudioFeatures, start: int, stop: int, fps: Fraction) -> AudioWindows:
        """What is heard around frames start..stop-1 of a sound, seen at k / fps seconds: f32 [stop - start, *shape]."""
        ...

    def samples(self, frame: int, fps: Fraction) -> int:
        """How many samples of a sound, 16,000 a second, say all that is heard around a frame: what a stream waits for.
        """
        ...


@dataclass(frozen=True)
class MelWindows:
    """The log-mel window of each frame (`Mel.windows`): 0.2 s from 40 ms before it, in [-4, 4]."""

    name: ClassVar[str] = "mel"
    filterbanks: ClassVar[bool] = False
    silence: ClassVar[float] = SILENCE
    shape: ClassVar[tuple[int, ...]] = (MELS, WINDOW)

    def windows(self, sound: AudioFeatures, start: int, stop: int, fps: Fraction) -> AudioWindows:
        return sound.mel.windows(start, stop, fps)

    def samples(self, frame: int, fps: Fraction) -> int:
        """Up to the end of the last column's transform: at most 0.1725 s from the frame on."""
        opens = floor(MEL_RATE * max(frame / fps - LEAD, Fraction(0)))
        return (opens + WINDOW - 1) * HOP + FFT // 2


@dataclass(frozen=True)
class FilterBankWindows:
    """So many frames of filter banks, 40 ms each, around each frame, as AV-HuBERT hears them."""

    frames: int
    name: ClassVar[str] = "banks"
    filterbanks: ClassVar[bool] = True
    silence: ClassVar[float] = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frames, ROW

    def windows(self, sound: AudioFeatures, start: int, stop: int, fps: Fraction) -> AudioWindows:
        """Raises BadInput if the sound was prepared without."""
        if sound.banks is None:
            raise Mismatch(
                f"{sound.name}: was prepared without the filter banks that AV-HuBERT hears; prepare the data again into"
                " another folder, or train on the mel with --set model.audio_encoder=mel"
            )
        return sound.banks.windows(start, stop, fps, self.frames)

    def samples(self, frame: int, fps: Fraction) -> int:
        """Up to the end of the last column's window: for 50 frames 1.015 s from the frame on."""
        opens = floor(BANK_RATE * frame / fps)
        return (opens + STACK * (self.frames - self.frames // 2) - 1) * STEP + FRAME


MEL = MelWindows()
