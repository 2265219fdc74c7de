"""A voice without the music around it, by a network of the user's, before the sound drives the lips.

Waveform in, waveform out, float32 in [-1, 1], at the rate that the file's metadata says (`sample_rate`), else the flag:

    input   [1, c, n]: one channel or two, n samples; a varying n is taken as 10 s
    output  [1, c, n] or [1, 1, n], the voice; or [1, k, c, n], several stems, of which the metadata says the voice's
            (`voice`, counted from 0); of four and of six it is the fourth (drums, bass, other, vocals: Demucs)

A sound goes through in chunks that overlap by a quarter and are faded into each other, whatever its length.  What comes
out is kept at 16 kHz in 16 bits, 32 kB per second: everybody who listens hears the same, and it is made once.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from audio import (
    SAMPLE_RATE,
    FilterBanks,
    Sound,
    channel_blocks,
    filterbanks_of,
    louder_channel,
    mel_of,
    resampled,
    sound_blocks,
)
from core.arrays import Samples
from core.errors import BadInput
from core.progress import Bar

from .model import OnnxModel

SECONDS = 10  # of a chunk, where the file leaves its length open
OVERLAP = 4  # a chunk shares one part of so many with the next one
VOICE = {4: 3, 6: 3}  # which of so many stems is the voice, in Demucs' order
KEPT = 2  # sounds: the words, and the source video's own
RATES = (8_000, 192_000)
FULL = 32767  # of 16 bits
WANTED = (
    "a voice separator takes one waveform [1, channels, samples] float of one or two channels, and gives the voice in"
    " the same form, or stems [1, stems, channels, samples]"
)


class VoiceSeparator:
    """rate: of the waveforms that the network knows, samples per second."""

    def __init__(self, path: Path, device: torch.device, rate: int | None = None) -> None:
        """rate: said by a flag; None: the metadata says it.

        BadInput for a network of another layout, or whose rate nobody says.
        """
        self.model = OnnxModel(path, "--voice_separator", device)
        taken, output = self.model.only_input(WANTED), self.model.output
        fits = len(taken.shape) == 3 and taken.fits((1, None, None)) and taken.shape[1] in (1, 2)
        several = len(output.shape) == 4
        fits &= output.real and (output.fits((1, None, None, None)) if several else output.fits((1, None, None)))
        if not fits:
            raise self.model.wrong(f"takes {taken} and gives {output}", WANTED)
        self.channels = taken.shape[1] or 1
        self.rate = self._rate(rate)
        self.size = taken.shape[2] or SECONDS * self.rate
        self._stem = self._voice(output.shape[1]) if several else None
        if self.size < self.rate // 4:
            raise self.model.wrong(f"takes {taken}, less than a quarter of a second", WANTED)
        self._kept = lru_cache(maxsize=KEPT)(self._separated)

    def open_sound(self, path: Path) -> Sound:
        """As `audio.open_sound`, of the voice alone."""
        samples = self._kept(path, path.stat().st_mtime_ns) if path.is_file() else self._separated(path, 0)
        return Sound(mel_of(_blocks(samples)), lambda: _blocks(samples))

    def read_filterbanks(self, path: Path) -> FilterBanks:
        """As `audio.read_filterbanks`, of the voice alone."""
        return filterbanks_of(_blocks(self._kept(path, path.stat().st_mtime_ns)))

    def voice(self, path: Path) -> Iterator[Samples]:
        """The voice in a file at the network's rate, mono f32 [n], some seconds at a time.

        Where the two channels of a sound cancel when they are mixed, the louder one is heard, as elsewhere.
        """
        louder = louder_channel(path)
        blocks = channel_blocks(path, rate=self.rate)
        channels = blocks if self.channels == 2 else (_mono(block, louder)[None] for block in blocks)
        for block in overlapped(channels, self.size, self._run):
            yield np.clip(_mono(block, louder), -1, 1)

    @staticmethod
    def seconds(path: Path) -> float:
        """How long a sound is, and with it its voice.  BadInput as `audio.read_sound`."""
        return sum(block.size for block in sound_blocks(path)) / SAMPLE_RATE

    def cost(self) -> float:
        """Seconds of work for a second of sound, from one chunk of silence."""
        begin = time.perf_counter()
        self._run(np.zeros((self.channels, self.size), np.float32))
        return (time.perf_counter() - begin) * self.rate / (self.size - self.size // OVERLAP)

    def _separated(self, path: Path, changed: int) -> np.ndarray:
        """The voice in 16 bits at 16 kHz, i16 [n]; changed: when the file was."""
        length = sum(block.size for block in sound_blocks(path))
        voice, done = np.zeros(length, np.int16), 0  # as long as it is without a separator, to the sample
        with Bar(total=-(-length // SAMPLE_RATE), desc="separate voice", unit="s") as bar:
            for block in resampled(self._counted(self.voice(path), bar), self.rate, SAMPLE_RATE):
                part = block[: length - done]
                voice[done : done + part.size] = np.round(np.clip(part, -1, 1) * FULL)
                done += part.size
        return voice

    def _counted(self, blocks: Iterable[Samples], bar: Bar) -> Iterator[Samples]:
        done = 0
        for block in blocks:
            bar.update((done + block.size) // self.rate - done // self.rate)
            done += block.size
            yield block

    def _run(self, chunk: Samples) -> Samples:
        """f32 [c, size] -> the voice, f32 [c or 1, size]."""
        stems = self.model(chunk[None])[0]
        if self._stem is not None:
            stems = stems[self._stem] if len(stems) > self._stem else stems[:0]
        if stems.ndim != 2 or not len(stems) or stems.shape[1] != self.size:
            raise self.model.wrong(f"gives {list(stems.shape)} for {list(chunk.shape)}", WANTED)
        return np.asarray(stems, np.float32)

    def _rate(self, said: int | None) -> int:
        text, (lowest, highest) = self.model.metadata.get("sample_rate", ""), RATES
        if said is None and not text:
            raise BadInput(
                f"--voice_separator {self.model.path}: its metadata do not say sample_rate; pass --separator_rate, such"
                " as 44100"
            )
        try:
            rate = said or int(text)
        except ValueError:
            rate = 0
        if not lowest <= rate <= highest:
            raise self.model.wrong(f"says sample_rate: {text} in its metadata", f"that is from {lowest} to {highest}")
        return rate

    def _voice(self, stems: int | None) -> int:
        text = self.model.metadata.get("voice", "")
        if text.isdigit() and (stems is None or int(text) < stems):
            return int(text)
        if text or stems not in VOICE:
            what = f"of the {stems or 'any'} stems that it gives its metadata do not say which is the voice"
            raise self.model.wrong(what, "`voice` says it, counted from 0")
        return VOICE[stems]


def overlapped(blocks: Iterable[Samples], size: int, work: Callable[[Samples], Samples]) -> Iterator[Samples]:
    """f32 [c, n] blocks -> what `work` makes of each [c, size] of them, faded into each other, f32 [c', n] in all.

    Chunks share a quarter; the last one ends in zeros, and what they give behind the sound is left out.
    """
    shared = size // OVERLAP
    rising = ((np.arange(shared) + 0.5) / shared).astype(np.float32)
    waiting: Samples | None = None
    tail: Samples | None = None

    def faded(chunk: Samples) -> Samples:
        """A chunk whose beginning is laid over the end of the one before it."""
        if tail is not None:
            count = min(shared, chunk.shape[1])
            share = rising[:count]
            chunk[:, :count] = tail[:, :count] * (1 - share) + chunk[:, :count] * share
        return chunk

    for block in blocks:
        waiting = block if waiting is None else np.concatenate([waiting, block], axis=1)
        while waiting.shape[1] >= size:
            chunk = faded(work(np.ascontiguousarray(waiting[:, :size])).copy())
            yield chunk[:, : size - shared]
            tail, waiting = chunk[:, size - shared :], waiting[:, size - shared :]
    if waiting is None or not waiting.shape[1]:
        return
    if tail is not None and waiting.shape[1] <= shared:
        yield tail[:, : waiting.shape[1]]
        return
    length = waiting.shape[1]
    padded = np.pad(waiting, ((0, 0), (0, size - length)))
    yield faded(work(np.ascontiguousarray(padded))[:, :length].copy())


def _mono(block: Samples, louder: int | None) -> Samples:
    """[c, n] -> [n]"""
    if len(block) == 1:
        return np.asarray(block[0])
    return np.asarray(block.mean(axis=0) if louder is None else block[louder], np.float32)


def _blocks(kept: np.ndarray) -> Iterator[np.ndarray]:
    """i16 [n] -> f32 blocks of a second."""
    for start in range(0, len(kept), SAMPLE_RATE):
        yield kept[start : start + SAMPLE_RATE].astype(np.float32) / FULL
