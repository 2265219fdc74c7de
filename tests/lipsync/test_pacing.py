"""The clock of a stream: ten minutes of a simulated one, on machines quick and slow; no sound lost, no drift."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from audio import SAMPLE_RATE
from lipsync.streaming.live import RealClock, SimulatedClock, play
from lipsync.streaming.pacing import Pacer, PacingReport, Packet

PICTURE = np.zeros((2, 2, 3), np.uint8)
LOOKAHEAD = 0.6


@dataclass
class NoFace:
    """What `play` asks of a stream, without a network: frames are there when their look-ahead of sound is."""

    fps: Fraction = Fraction(25)
    batch: int = 1
    heard: int = 0
    ended: bool = False
    closed: bool = False
    made: list[int] = field(default_factory=list)
    costs: tuple[float, ...] = ()
    change: threading.Condition = field(default_factory=threading.Condition)

    @property
    def available(self) -> int:
        if self.ended:
            return round(Fraction(self.heard, SAMPLE_RATE) * self.fps)
        return max(0, int((Fraction(self.heard, SAMPLE_RATE) - Fraction(LOOKAHEAD)) * self.fps) + 1)

    def push(self, samples: np.ndarray) -> None:
        with self.change:
            self.heard += len(samples)
            self.change.notify_all()

    def finish(self) -> None:
        with self.change:
            self.ended = True
            self.change.notify_all()

    def make(self, frames: range) -> list[np.ndarray]:
        assert frames[-1] < self.available and len(frames) <= self.batch
        self.made += frames
        return [PICTURE for _ in frames]


def voice(seconds: float, *, late: Any = lambda _: 0.0, block: float = 0.02) -> Iterator[tuple[float, np.ndarray]]:
    """Blocks of sound as a microphone gives them; late: seconds by which a block comes after its time."""
    begun = 0.0
    for number in range(round(seconds / block)):
        begun = max(begun, (number + 1) * block + late(number * block))
        yield begun, np.zeros(round(block * SAMPLE_RATE), np.float32)


@dataclass
class Ran:
    """packets: each with when it was handed out."""

    packets: list[tuple[float, Packet]]
    report: PacingReport
    made: list[int]

    def latency(self) -> np.ndarray:
        """Of the sound, from its first sample to when that is handed out [n]."""
        return np.array([now - packet.time for now, packet in self.packets if packet.samples])

    def skew(self) -> float:
        """By how much a picture is away from the sound that is heard when it comes, at most."""
        begins = {packet.time: now for now, packet in self.packets if packet.samples}
        return max(abs(now - begins[packet.time]) for now, packet in self.packets if packet.picture is not None)

    def longest_without_picture(self) -> float:
        shown = [now for now, packet in self.packets if packet.picture is not None]
        return max(b - a for a, b in pairwise(shown))


def ran(stream: NoFace, feed: Iterator[tuple[float, np.ndarray]], cost: Any) -> Ran:
    clock = SimulatedClock(stream, feed, cost)  # type: ignore[arg-type]
    pacer = Pacer(stream.fps, stream.batch, stream.costs)
    found = Ran([(clock.now(), packet) for packet in play(stream, clock, pacer)], pacer.report, stream.made)  # type: ignore[arg-type]
    heard = [sample for _, packet in found.packets for sample in (packet.samples.start, packet.samples.stop)
             if packet.samples]  # fmt: skip
    assert heard[0] == 0 and heard[-1] == stream.heard and heard[1:-1:2] == heard[2::2]  # all of it, once, in order
    times = [now for now, _ in found.packets]
    assert times == sorted(times)
    assert found.report.shown + found.report.dropped + found.report.late == found.report.frames
    return found


SPEEDS = [(0.1, 8.0), (0.005, 24.9), (0.03, 24.0), (0.3, 2.5)]
"""Seconds that a picture takes, and how many a second are shown at least."""


@pytest.mark.parametrize(
    ("seconds", "least"), [SPEEDS[0], *(pytest.param(*speed, marks=pytest.mark.slow) for speed in SPEEDS[1:])]
)
@pytest.mark.slow
def test_ten_minutes_do_not_drift_however_slow_the_machine(seconds: float, least: float) -> None:
    dice = random.Random(3)
    before = tuple(seconds * dice.uniform(0.8, 1.2) for _ in range(6))
    found = ran(NoFace(costs=before), voice(600), lambda _: seconds * dice.uniform(0.8, 1.2))
    latency = found.latency()
    assert found.skew() < 0.04 and found.report.skew < 0.04
    assert np.ptp(latency) < 0.04 and latency[0] < LOOKAHEAD + 1.5 * seconds + 0.15 and found.report.put_off == 0
    assert found.report.shown / 600 > least and found.report.stalls == 0
    assert found.report.late < 0.02 * found.report.frames


@pytest.mark.slow
def test_pictures_that_take_much_longer_now_and_then_are_dropped_and_the_sound_goes_on() -> None:
    dice = random.Random(4)
    found = ran(NoFace(), voice(600), lambda _: 0.5 if dice.random() < 0.02 else 0.03)
    latency = found.latency()
    assert found.skew() < 0.04 and latency.max() - latency.min() < 0.04
    assert 0 < found.report.dropped < 0.4 * found.report.frames and found.report.shown > 0.5 * found.report.frames


def test_pictures_that_take_longer_than_a_second_are_still_shown() -> None:
    dice = random.Random(5)
    found = ran(NoFace(), voice(120), lambda _: dice.uniform(1.2, 1.8))
    assert found.skew() < 0.04 and found.report.shown / 120 > 0.3 and found.longest_without_picture() < 10


def test_what_was_made_before_says_how_late_the_sound_must_be() -> None:
    """The first picture is quick, those after it are as slow as some of those that were made to warm up."""
    costs = iter([0.1])
    found = ran(NoFace(costs=(0.1, 0.3, 0.2, 0.3, 3.0)), voice(60), lambda _: next(costs, 0.3))
    assert found.latency()[0] < LOOKAHEAD + 0.5  # however long one of them took
    assert found.skew() < 0.04 and np.ptp(found.latency()) < 0.04 and found.report.put_off == 0
    assert found.report.late == 0 and found.report.shown / 60 > 3


@pytest.mark.parametrize("hop", [1, 5])
def test_a_machine_that_is_slow_for_two_seconds_drops_pictures_and_puts_nothing_off(hop: int) -> None:
    """hop: frames whose sound is there at once, as of a group of a style model's."""

    class Groups(NoFace):
        @property
        def available(self) -> int:
            return super().available if self.ended else super().available // hop * hop

    stream = Groups(costs=(0.1, 0.12))
    feed, slow = voice(60), range(15 * 25, 17 * 25)
    found = ran(stream, feed, lambda _: 0.7 if stream.made and stream.made[-1] in slow else 0.11)
    assert found.skew() < 0.04 and np.ptp(found.latency()) < 0.04 and found.report.put_off == 0
    assert found.report.shown > 8 * 57 and found.longest_without_picture() < 4


def test_a_machine_that_becomes_slower_for_good_goes_on_showing_pictures() -> None:
    costs = iter([0.02] * 500)
    found = ran(NoFace(), voice(60), lambda _: next(costs, 0.4))
    assert found.skew() < 0.04 and found.longest_without_picture() < 11.5
    assert 0.2 < found.report.put_off < 0.7 and np.ptp(found.latency()) == pytest.approx(found.report.put_off, abs=0.04)


def test_sound_that_comes_late_puts_all_off_once_and_nothing_is_lost() -> None:
    found = ran(NoFace(), voice(60, late=lambda at: 0.9 if 20 < at < 21 else 0.0), lambda _: 0.02)
    assert found.skew() < 0.04 and 1 <= found.report.stalls < 5
    assert found.latency()[-1] - found.latency()[0] == pytest.approx(found.report.stalled, abs=0.04)


@pytest.mark.slow
def test_batches_and_other_rates_are_kept_to_as_well() -> None:
    found = ran(NoFace(Fraction(30000, 1001), 5), voice(600), lambda _: 0.12)
    assert found.skew() < 0.04 and np.ptp(found.latency()) < 0.04 and found.report.dropped == 0


def test_sound_that_comes_all_at_once_is_played_in_its_own_time() -> None:
    stream = NoFace()
    found = ran(stream, iter([(0.0, np.zeros(10 * SAMPLE_RATE, np.float32))]), lambda _: 0.01)
    last = found.packets[-1][0] - found.packets[0][0]
    assert last == pytest.approx(9.96, abs=0.04) and found.report.dropped == 0


@pytest.mark.slow
def test_a_real_clock_hands_out_everything_in_time() -> None:
    stream, found = NoFace(), []

    def speak() -> None:
        for _, samples in voice(0.8):
            stream.push(samples)
        stream.finish()

    speaker = threading.Thread(target=speak)
    speaker.start()
    with RealClock.of(stream) as clock:  # type: ignore[arg-type]
        pacer = Pacer(stream.fps)
        found = [(clock.now(), packet) for packet in play(stream, clock, pacer)]  # type: ignore[arg-type]
    speaker.join()
    assert found[-1][1].samples.stop == stream.heard == 12_800
    assert found[-1][0] - found[0][0] > 0.7 and pacer.report.frames == 20


def test_a_problem_in_making_a_picture_is_raised_where_it_is_played() -> None:
    stream = NoFace()
    stream.make = lambda frames: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    stream.push(np.zeros(SAMPLE_RATE, np.float32))
    with RealClock.of(stream) as clock, pytest.raises(ZeroDivisionError):  # type: ignore[arg-type]
        list(play(stream, clock))  # type: ignore[arg-type]
