"""When somebody speaks: from the energy of the mel, against a floor that adapts to the recording.

A column counts as speech when its energy between 150 and 5000 Hz is MARGIN above the noise floor of the 10 s around
it and not DEEP below the loudest of the recording.  Where floor and loudest lie closer than RANGE there is no telling,
and everything audible counts as speech: a mouth that moves in noise is a lesser evil than one shut on words.  Clicks
are dropped, short gaps between words kept, and speech is held on to before it begins and after it ends, since lips
move before they sound and close after.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from audio.mel import HIGHEST_HZ, LIMIT, LOWEST_HZ, MEL_RATE, MELS, MIN_LEVEL_DB, SILENCE, Mel
from audio.waveform import SAMPLE_RATE
from core.runs import runs

MARGIN = 6.0  # dB above the floor, and at least a quarter of what lies between floor and loudest
DEEP = 38.0  # dB below the loudest
RANGE = 10.0  # dB between floor and loudest, below which there is no telling
AUDIBLE = -98.0  # dB at or below which a column is silent, whatever is around it; -100 is digital silence
AROUND = 5.0  # seconds on either side in which the floor is sought
CLICK = 0.08  # seconds; what fills fewer columns is not speech: a click fills 0.05 s, the length of their window
GAP = 0.25  # seconds; shorter pauses belong to speech
PRE_ROLL = 0.10  # seconds that speech is opened before it sounds
HANGOVER = 0.15  # seconds that it is held after it sounded
ATTACK = 0.08  # seconds from shut to open
RELEASE = 0.20  # seconds from open to shut
LOWEST, HIGHEST = 150.0, 5000.0

Flags = NDArray[np.bool_]
Series = NDArray[np.float32]


@dataclass(frozen=True)
class Activity:
    """speaking bool [t], one per mel column: speech, its lead and its hangover."""

    speaking: Flags

    @property
    def gate_gain(self) -> Series:
        """f32 [t], 0 in silence to 1 in speech: it rises in ATTACK until speech begins, and falls in RELEASE after."""
        ahead, since = _until(self.speaking[::-1])[::-1], _until(self.speaking)
        rising, falling = 1 - ahead / (ATTACK * MEL_RATE), 1 - since / (RELEASE * MEL_RATE)
        return np.asarray(np.clip(np.maximum(rising, falling), 0, 1), np.float32)

    def gate(self, start: int, stop: int, fps: Fraction) -> Series:
        """f32 [stop - start]: the gate's gain at each frame; past the end there is silence."""
        columns = np.array([round(MEL_RATE * frame / fps) for frame in range(start, stop)], np.int64)
        gate = np.zeros(len(columns), np.float32)
        inside = columns < len(self.speaking)
        gate[inside] = self.gate_gain[columns[inside]]
        return gate

    def silence_suppressed(self, mel: Mel) -> Mel:
        """The sound without what is heard between the words: faded to digital silence by the gate's gain, in dB."""
        gain = self.gate_gain[: len(mel.columns), None]
        faded = SILENCE + (mel.columns - SILENCE) * gain
        return Mel(np.where(gain < 1, faded, mel.columns).astype(np.float32), mel.seconds)

    def faded(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Samples f32 of the same sound at 16 kHz, block after block, times the gate's gain; silent behind its end."""
        gain, first = np.append(self.gate_gain, np.float32(0)), 0
        for block in blocks:
            places = (first + np.arange(block.size)) / (SAMPLE_RATE / MEL_RATE)
            yield (block * np.interp(places, np.arange(len(gain)), gain)).astype(np.float32)
            first += block.size


def speech_activity(mel: Mel) -> Activity:
    """When somebody speaks in a sound."""
    level = _level(mel)
    floor, loudest = _floor(level), np.percentile(level, 95) if level.size else 0.0
    telling = loudest - floor >= RANGE
    above = np.maximum(floor + np.maximum(MARGIN, (loudest - floor) / 4), loudest - DEEP)
    audible = (level > AUDIBLE) & (~telling | (level > above))
    return settled(audible)


def settled(heard: Flags) -> Activity:
    """Speech of the columns in which some is heard, bool [t]: no clicks, short pauses bridged, lead and hangover."""
    speech = _without_short(heard, round(CLICK * MEL_RATE))
    speech = ~_without_short(~speech, round(GAP * MEL_RATE))
    return Activity(_held(speech, round(PRE_ROLL * MEL_RATE), round(HANGOVER * MEL_RATE)))


def _level(mel: Mel) -> Series:
    """f32 [t]: decibels of each column's energy in the band of speech."""
    hertz = _centres()
    band = mel.columns[:, (hertz > LOWEST) & (hertz < HIGHEST)]
    decibels = (band + LIMIT) / (2 * LIMIT) * -MIN_LEVEL_DB + MIN_LEVEL_DB
    return np.asarray(10 * np.log10((10 ** (decibels / 10)).mean(axis=1)), np.float32)


def _centres() -> Series:
    """f32 [80]: about where the mel bands lie, in Hz (the common mel formula; nothing here needs it exact)."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    return np.asarray(700 * (10 ** (np.linspace(low, high, MELS + 2)[1:-1] / 2595) - 1), np.float32)


def _floor(level: Series) -> Series:
    """f32 [t]: the 10th percentile of the level around each column, found every half second, lines between."""
    reach, step = round(AROUND * MEL_RATE), MEL_RATE // 2
    places = np.arange(0, max(len(level), 1), step)
    levels = [np.percentile(level[max(place - reach, 0) : place + reach + 1], 10) for place in places]
    return np.interp(np.arange(len(level)), places, levels).astype(np.float32)


def _without_short(flags: Flags, least: int) -> Flags:
    """Runs of True shorter than `least` made False; a run at either end may have been cut short, and stays."""
    result = flags.copy()
    for start, stop in runs(flags):
        if stop - start < least and start > 0 and stop < len(flags):
            result[start:stop] = False
    return result


def _held(flags: Flags, before: int, after: int) -> Flags:
    """Each run of True from `before` columns earlier to `after` later."""
    result = flags.copy()
    for start, stop in runs(flags):
        result[max(start - before, 0) : stop + after] = True
    return result


def _until(flags: Flags) -> Series:
    """f32 [t]: how many columns ago the last True was, 0 where it is True; infinite before the first."""
    index = np.arange(len(flags), dtype=np.float32)
    last = np.maximum.accumulate(np.where(flags, index, -np.inf))
    return np.asarray(index - last, np.float32)
