"""The sound that goes with written pictures: the packets as they were, or AAC where the container cannot hold them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from media import changes, demuxed, heard, open_media, opened_sound, zero

AAC_BITS = 192_000  # per second
AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
AAC_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1")  # another becomes stereo
COPIED = {  # what common players play in these containers; anything else becomes AAC
    ".mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    ".mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"}),
}


@dataclass(frozen=True)
class Mono:
    """A sound that is made while it is written: blocks f32 [n] in [-1, 1], `rate` samples per second, from time 0."""

    blocks: Iterable[np.ndarray]
    rate: int


class SoundStream:
    """Packets on the clock of the pictures, handed over little by little so that neither waits for the other."""

    def __init__(self, output: OutputContainer, packets: Iterator["Packet[AudioStream]"]) -> None:
        self._output = output
        self._packets = packets
        self._waiting: Packet[AudioStream] | None = None

    def write_until(self, seconds: Fraction) -> None:
        """Mux the packets that are over by then."""
        while (packet := self._next()) is not None and _start(packet) + _duration(packet) <= seconds:
            self._mux(packet)

    def finish(self, seconds: Fraction) -> None:
        """Mux the rest up to then; the packet across that moment is shown for as long as is left."""
        self.write_until(seconds)
        packet = self._next()
        if packet is not None and _start(packet) < seconds:
            packet.duration = max(1, round((seconds - _start(packet)) / Fraction(packet.time_base)))
            self._mux(packet)

    def _next(self) -> "Packet[AudioStream] | None":
        self._waiting = self._waiting or next(self._packets, None)
        return self._waiting

    def _mux(self, packet: "Packet[AudioStream]") -> None:
        self._output.mux(packet)
        self._waiting = None


@contextmanager
def sound_of(path: Path | Mono | None, output: OutputContainer, suffix: str) -> Iterator[SoundStream]:
    """The sound of a file as a stream of `output`; BadInput if it has none.  None is no sound at all."""
    if path is None:
        yield SoundStream(output, iter(()))
        return
    if isinstance(path, Mono):
        yield SoundStream(output, _made(path, output))
        return
    with opened_sound(path) as (container, stream):
        with open_media(path, "sound or video file", "") as again:  # read to its end
            changing = changes(again, again.streams.audio[container.streams.audio.index(stream)])
        copied = None if changing else _copied(container, stream, output, suffix)
        yield SoundStream(output, copied or _encoded(path, container, stream, output))


def _start(packet: "Packet[AudioStream]") -> Fraction:
    return (packet.pts or 0) * Fraction(packet.time_base)


def _duration(packet: "Packet[AudioStream]") -> Fraction:
    return (packet.duration or 0) * Fraction(packet.time_base)


def _copied(
    container: InputContainer, stream: AudioStream, output: OutputContainer, suffix: str
) -> "Iterator[Packet[AudioStream]] | None":
    """The packets untouched but for their clock; None if this container does not take them."""
    codec = Codec(stream.codec_context.name, "r").canonical_name
    if codec not in COPIED.get(suffix, {codec}):
        return None
    try:
        copy = output.add_stream_from_template(stream)
    except ValueError:
        return None
    return _shifted(container, stream, copy)


def _shifted(container: InputContainer, stream: AudioStream, copy: AudioStream) -> Iterator["Packet[AudioStream]"]:
    begin = round(zero(container, stream) / Fraction(stream.time_base or 1))
    last: int | None = None
    for packet in filter(lambda packet: packet.size, demuxed(container, stream)):
        packet.pts = (packet.dts or 0 if packet.pts is None else packet.pts) - begin
        packet.dts = packet.pts
        audible = packet.pts + 2 * (packet.duration or 0) > 0  # one packet before the start warms the decoder up
        if audible and (last is None or packet.pts > last):  # a clock that steps back stops a muxer
            last = packet.pts
            packet.stream = copy
            yield packet


def _encoded(
    path: Path, container: InputContainer, stream: AudioStream, output: OutputContainer
) -> Iterator["Packet[AudioStream]"]:
    """As AAC, from what is heard, at its own rate and with its own channels where AAC has them."""
    rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout.name
    rate = rate if rate in AAC_RATES else 48_000
    layout = layout if layout in AAC_LAYOUTS else AAC_LAYOUTS[stream.codec_context.channels != 1]
    encoder = output.add_stream("aac", rate=rate, bit_rate=AAC_BITS)
    encoder.codec_context.layout = layout
    return _packets(heard(path, container, stream, rate, layout), rate, layout, encoder)


def _made(sound: Mono, output: OutputContainer) -> Iterator["Packet[AudioStream]"]:
    """As AAC, from the samples themselves."""
    encoder = output.add_stream("aac", rate=sound.rate, bit_rate=AAC_BITS)
    encoder.codec_context.layout = "mono"
    return _packets((block[None] for block in sound.blocks), sound.rate, "mono", encoder)


def _packets(
    blocks: Iterable[np.ndarray], rate: int, layout: str, encoder: AudioStream
) -> Iterator["Packet[AudioStream]"]:
    """blocks f32 [channels, n], one after the other from time 0."""
    placed = 0
    for block in blocks:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block, np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, placed, Fraction(1, rate)
        placed += block.shape[1]
        yield from encoder.encode(frame)
    yield from encoder.encode(None)
