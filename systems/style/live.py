"""Stage 1 on a sound as it comes: the motion of a few frames at a time, with a look-ahead of less than a second.

Offline a frame's motion knows the sound of 2.5 to 6.5 s after it by Whisper's ears, or 0.65 s by a mel's.  Here a group
of `hop` frames is told when what is heard of `ahead` frames behind it is known; Whisper hears the 4 s that end there.
So the features of the last frames know little of what follows them, and no frame of what comes later: what that costs,
`python scripts/benchmark_stream.py lookahead` measures.  From 6 s on the windows are those of `WhisperEncoder.hear`.
"""

from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Protocol

import torch
from torch import Tensor

from audio import HOP as COLUMN
from audio import LEAD, MEL_RATE, SAMPLE_RATE, WINDOW, LiveSound
from audio.mel import FFT
from audio.whisper import FFT as WHISPER_FFT
from audio.whisper import KEPT, MARGIN, SAMPLES, WhisperEncoder, log_mel
from core.errors import BadValue

from .motion import FPS, MotionPredictor, StyleContext

LOOKAHEAD = 0.5  # seconds, unless another is asked for
HEARD = 100  # frames in a window of Whisper's: 4 s, half of the offline one's, at half of its price
HOP_WHISPER, HOP_MEL = 5, 2  # frames told at a time: each window of Whisper's costs as much as a frame's sound encoder
BLEND = 2  # frames over which the motion of a group goes over into that of the next


class Ears(Protocol):
    """What a frame's motion is predicted from, of a sound of which the first so many frames are known."""

    hop: int
    ahead: int

    def samples(self, frames: int) -> int:
        """How many samples must be there for so many frames to be known."""
        ...

    def heard(self, sound: LiveSound, first: int, stop: int, known: int) -> Tensor:
        """[stop - first, h] float32."""
        ...


class LiveMotion:
    """See systems.stage1.LiveMotion.

    lookahead: seconds, None for LOOKAHEAD.  BadInput if they are too few for these ears.
    """

    def __init__(self, predictor: MotionPredictor, style_context: StyleContext, lookahead: float | None = None) -> None:
        self._predictor, self._style_context = predictor, style_context
        seconds = LOOKAHEAD if lookahead is None else lookahead
        encoder = predictor.sound_encoder
        self._ears: Ears = (
            WhisperEars(encoder, seconds) if isinstance(encoder, WhisperEncoder)
            else MelEars(predictor.hear_windows, seconds)
        )  # fmt: skip
        self._reach = predictor.config.layers * predictor.config.reach
        self._next = 0
        self._tail = torch.empty(0, predictor.numbers)

    def samples(self, frame: int) -> int:
        """How many samples must be there for this frame."""
        hop = self._ears.hop
        return self._ears.samples(frame - frame % hop + hop + self._ears.ahead)

    def skip(self, frame: int) -> int:
        """See systems.stage1.LiveMotion: no frame of the groups that are passed over is heard."""
        first = frame - frame % self._ears.hop
        if first > self._next:
            self._next, self._tail = first, self._tail[:0]
        return self._next

    @torch.inference_mode()
    def __call__(self, sound: LiveSound) -> Tensor:
        """The next `hop` frames [hop, d]; fewer behind the end."""
        ears, first = self._ears, self._next
        known = first + ears.hop + ears.ahead
        low, high = max(0, first - self._reach), min(first + ears.hop + self._reach + BLEND, known)
        if sound.ended:  # as offline, where two frames beyond the last are predicted
            high = max(min(high, round(Fraction(sound.seconds) * FPS) + 2), first + 1)
        motion = self._predictor.move(ears.heard(sound, low, high, known), self._style_context)[first - low :]
        block, tail = motion[: ears.hop].clone(), motion[ears.hop : ears.hop + BLEND]
        for place, before in enumerate(self._tail[: ears.hop]):
            block[place] = before.lerp(block[place], (place + 1) / (len(self._tail) + 1))
        self._next, self._tail = first + ears.hop, tail
        return block


class WhisperEars:
    """Whisper's first blocks on the seconds that end with what is known."""

    def __init__(self, encoder: WhisperEncoder, lookahead: float) -> None:
        self._encoder = encoder
        if lookahead * int(FPS) >= KEPT + MARGIN:
            self.hop, self.ahead, self._window = KEPT, MARGIN, KEPT + 2 * MARGIN
        else:
            self.hop, self.ahead = _groups(round(lookahead * int(FPS)), HOP_WHISPER, lookahead, 1 / int(FPS))
            self._window = min(max(HEARD, self.hop + self.ahead + MARGIN), KEPT + 2 * MARGIN)

    def samples(self, frames: int) -> int:
        """Half a transform beyond the last."""
        return frames * SAMPLES + WHISPER_FFT // 2

    def heard(self, sound: LiveSound, first: int, stop: int, known: int) -> Tensor:
        """[stop - first, h] float32, rounded as `WhisperEncoder.hear` keeps it."""
        begin = known - self._window
        window = sound.samples(begin * SAMPLES - WHISPER_FFT // 2, known * SAMPLES + WHISPER_FFT // 2)
        mel = log_mel(torch.from_numpy(window).to(self._encoder.positions.device))
        features: Tensor = self._encoder.features(mel[None])[0, first - begin : stop - begin]
        return features.half().float()


class MelEars:
    """A sync expert's encoder of each frame's mel window; none is heard twice."""

    def __init__(self, hear: Callable[[Tensor], Tensor], lookahead: float) -> None:
        self._hear = hear
        beyond = ((WINDOW - 1) * COLUMN + FFT // 2) / SAMPLE_RATE - float(LEAD + 1 / FPS)  # the begin of the last frame
        known = floor((lookahead - beyond) * int(FPS) + 1e-6)
        self.hop, self.ahead = _groups(known, HOP_MEL, lookahead, beyond + 1 / int(FPS))
        self._first, self._known = 0, torch.empty(0)

    def samples(self, frames: int) -> int:
        """Up to the end of the last column's transform of the last frame's window."""
        opens = floor(MEL_RATE * max(Fraction(frames - 1) / FPS - LEAD, Fraction(0)))
        return (opens + WINDOW - 1) * COLUMN + FFT // 2

    def heard(self, sound: LiveSound, first: int, stop: int, known: int) -> Tensor:
        """[stop - first, h] float32."""
        begin = self._first + len(self._known)
        if begin < first:  # frames were passed over
            self._first, self._known, begin = first, self._known[:0], first
        if begin < stop:
            new = self._hear(torch.from_numpy(sound.mel.windows(begin, stop, FPS)).to(self._known.device))
            self._known = new if not len(self._known) else torch.cat([self._known, new])
        columns = self._known[first - self._first : stop - self._first]
        self._first, self._known = first, self._known[first - self._first :]
        return columns


def _groups(known: int, hop: int, lookahead: float, least: float) -> tuple[int, int]:
    """How many frames are told at a time, and how many are known behind them, of `known` together.

    BadInput if there is none; least: seconds that would do.
    """
    if known < 1:
        raise BadValue(f"a look-ahead of {lookahead:g} s: this model waits for {least:.3f} s of sound or more; give it")
    hop = min(hop, -(-known // 2))
    return hop, known - hop
