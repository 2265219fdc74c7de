"""Measures streams: what a short look-ahead costs, how long a frame takes to come after its sound, and drift.

    python scripts/benchmark_stream.py lookahead --sounds SOUND ...      of stage 1 against the offline prediction
    python scripts/benchmark_stream.py live --seconds 60                 in real time, with the models that ship
    python scripts/benchmark_stream.py simulated --seconds 600           minutes of a clock that jumps over idle time

`live` pushes 20 ms of sound every 20 ms and notes when each packet comes.  Latency: from when a sample is heard to when
it is handed out with its picture; its growth: from the median of the first tenth to that of the last; its jitter: from
the least to the 99th of a hundred; skew: by how much a picture comes after the sound that it belongs to.  `simulated`
counts the seconds that pictures take here, and jumps over those in which nothing would happen.
"""

import argparse
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np

from core.arrays import Samples
from core.flags import Parser
from core.guard import guard, reads
from core.program import exit_code

if TYPE_CHECKING:
    from audio import Mel

DEMO = ROOT / "scripts" / "demo"
BLOCK = 320  # samples pushed at a time: 20 ms
LOOKAHEADS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0)
SHIPPED = ("style-medium", "style-small", "diff2lip-small.safetensors", "syncdiff-small.safetensors")


@dataclass
class Seen:
    """What came of a stream: when each packet was handed out, its time, its samples, and whether with a picture."""

    packets: list[tuple[float, float, int, bool]]
    report: Any
    cpu: float
    seconds: float

    def row(self, name: str, lookahead: float) -> str:
        """A line of a table."""
        latency = np.array([now - moment for now, moment, samples, _ in self.packets if samples])
        pictures = sum(shown for *_, shown in self.packets)
        report, frames = self.report, max(self.report.shown + self.report.late, 1)
        some = max(len(latency) // 10, 1)
        grown = np.median(latency[-some:]) - np.median(latency[:some])
        jitter = np.quantile(latency, 0.99) - latency.min()
        return (
            f"| {name} | {lookahead:.2f} | {latency[0]:.2f} | {np.max(latency):.2f} | {pictures / self.seconds:.1f} |"
            f" {report.dropped} | {report.late} | {1000 * grown:.0f} | {1000 * jitter:.0f} |"
            f" {1000 * report.skew:.0f} | {report.stalls}, {report.put_off:.2f} | {1000 * self.cpu / frames:.0f} |"
        )


HEADING = (
    "| | look-ahead, s | first frame after its sound, s | the latest, s | frames/s | never begun | made in vain |"
    " growth of the latency, ms | its jitter, ms | largest skew, ms | stalls, put off s | CPU ms a frame made |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def main(args: Sequence[str] | None = None) -> int:
    """The program.  Returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("lookahead", "live", "simulated"))
    parser.add_argument("--sounds", type=reads, nargs="+", default=[DEMO / "speech.flac"], metavar="FILE",
                        help="what is said, again and again (the demo's sentence)")
    parser.add_argument("--face", type=reads, default=DEMO / "portrait.jpg", help="a video or picture (the demo's)")
    parser.add_argument("--models", type=reads, nargs="+", metavar="FILE", help="checkpoints (those that ship)")
    parser.add_argument("--seconds", type=float, default=60, help="of each stream (%(default)g)")
    parser.add_argument("--quality", default="balanced", help="of the sampling (%(default)s)")
    parser.add_argument("--device", default="cpu", help="%(default)s")
    parser.add_argument("--threads", type=int, default=1, help="on a CPU (%(default)s)")
    options = parser.parse_args(args)  # fmt: skip

    def run() -> None:
        guard(parser, options)
        import torch

        torch.set_num_threads(options.threads)
        models = options.models or [ROOT / "checkpoints" / name for name in SHIPPED]
        if options.what == "lookahead":
            for path in models:
                if path.is_dir():
                    print(f"\n{path.name}\n\n{lookahead(path, options.sounds)}", flush=True)
            return
        print(HEADING)
        for path in models:
            delays, ahead = streamed(path, options)
            print(delays.row(path.name.partition(".")[0], ahead), flush=True)

    return exit_code(run)


def streamed(path: Path, options: argparse.Namespace) -> tuple[Seen, float]:
    """A stream of a model, in real or in simulated time; and its look-ahead."""
    from lipsync import LipSync
    from lipsync.streaming.live import RealClock, SimulatedClock, play
    from lipsync.streaming.pacing import Pacer

    model = LipSync.from_pretrained(path, device=options.device, quality=options.quality)
    stream = model.stream(options.face)
    pacer, sound = Pacer(stream.fps, stream.batch, stream.costs), _sound(options.sounds, options.seconds)
    cpu, packets = time.process_time(), []
    if options.what == "simulated":
        clock = SimulatedClock(stream, ((now, samples) for now, samples in sound))
        packets = [(clock.now(), one.time, len(one.samples), one.picture is not None) for one in
                   play(stream, clock, pacer)]  # fmt: skip
    else:
        begun = time.monotonic()

        def speak() -> None:
            for moment, samples in sound:
                time.sleep(max(begun + moment - time.monotonic(), 0))
                stream.push(samples)
            stream.finish()

        speaker = threading.Thread(target=speak)
        speaker.start()
        with RealClock.of(stream) as real:
            packets = [(real.now() - begun, one.time, len(one.samples), one.picture is not None) for one in
                       play(stream, real, pacer)]  # fmt: skip
        speaker.join()
    return Seen(packets, pacer.report, time.process_time() - cpu, options.seconds), stream.lookahead


def _sound(paths: Sequence[Path], seconds: float) -> Iterator[tuple[float, Samples]]:
    """Blocks of the sounds, one after another, again and again; each with when a microphone has heard all of it."""
    from audio import SAMPLE_RATE, read_sound

    samples = np.concatenate([read_sound(path).samples for path in paths])
    places = itertools.count(0, BLOCK)
    for place in itertools.takewhile(lambda place: place + BLOCK <= seconds * SAMPLE_RATE, places):
        yield (place + BLOCK) / SAMPLE_RATE, np.take(samples, range(place, place + BLOCK), mode="wrap")


def lookahead(path: Path, sounds: Sequence[Path]) -> str:
    """How far the motion of a stream is from that of a file, as a table; nobody's manner, up to 12 s of each sound."""
    import torch

    from audio import SAMPLE_RATE, LiveSound, Sound, read_sound
    from systems import registry

    model = registry.load_motion(path)
    rows = []
    for seconds in LOOKAHEADS:
        apart, r, spread, jumps, waited, cpu = [], [], [], [], 0.0, []
        for sound in sounds:
            samples = read_sound(sound).samples[: 12 * SAMPLE_RATE]
            frames = len(samples) // 640
            features = model.hear(Sound(log_mel_of(samples), partial(list, [samples])), [range(frames)])
            whole = model.predictor.predict(features(0, frames), None)
            begun = time.process_time()
            live, source = model.live(None, 1.0, None, seconds), LiveSound()
            parts: list[torch.Tensor] = []
            for place in range(0, len(samples), BLOCK):
                source.push(samples[place : place + BLOCK])
                while live.samples(sum(len(part) for part in parts)) <= source.length:
                    parts.append(live(source))
            source.end()
            while sum(len(part) for part in parts) < frames:
                parts.append(live(source))
            motion, real = torch.cat(parts)[:frames], whole
            cpu.append((time.process_time() - begun) / frames)
            waited = max(live.samples(k) / SAMPLE_RATE - k / 25 for k in range(200))
            apart.append(float(model.space.distance(motion, real).mean()))
            opened, wide = (np.asarray(model.space.opening(one)) for one in (motion, real))
            r.append(float(np.corrcoef(opened, wide)[0, 1]))
            spread.append(float(opened.std() / wide.std()))
            steps = [one.diff(dim=0).norm(dim=1).mean() for one in (motion, real)]
            jumps.append(float(steps[0] / steps[1]))
        rows.append(
            f"| {seconds:g} | {waited:.2f} | {100 * np.mean(apart):.2f} | {np.mean(r):.3f} | {np.mean(spread):.2f} |"
            f" {np.mean(jumps):.2f} | {1000 * np.mean(cpu):.0f} |"
        )
    heading = (
        "| look-ahead asked for, s | waited for at most, s | points apart, % of the distance between the eyes |"
        " opening, r with offline | its range, times offline | movement from frame to frame, times offline | CPU ms a"
        " frame |\n|---|---|---|---|---|---|---|"
    )
    return "\n".join([heading, *rows])


def log_mel_of(samples: Samples) -> "Mel":
    """The mel of samples at 16 kHz."""
    from audio import SAMPLE_RATE, Waveform, log_mel

    return log_mel(Waveform(samples, SAMPLE_RATE))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
