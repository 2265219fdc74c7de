"""Kills generate.py and train.py (kill -9) at moments that a seed chooses, runs them again, and compares.

    python scripts/fuzz.py kills [--generate 100] [--train 30] [--seed 0]

A moment is the k-th call of something that a phase does: first all are counted in a run that nobody kills.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from harness import preload  # noqa: E402

GENERATE = {
    "detecting": [("face_detection.haar:HaarDetector", "_detect_one"), ("face_detection.cache:SightingCache", "store")],
    "making": [("lipsync.planning.timeline:Plan", "read"), ("lipsync.rendering.renderer:Synthesizer", "__call__")],
    "writing": [("video.encoding:Encoder", "encode"), ("video.encoding:Encoder", "finish")],
    "joining": [("video.joining", "_shifted")],
    "renaming": [("core.atomic", "_flush"), ("core.atomic", "_rename")],
}
TRAIN = {
    "stepping": [("torch.optim.AdamW", "step")],
    "saving": [("torch", "save"), ("guided_diffusion.trainer:Trainer", "save")],
    "renaming": [("core.atomic", "_flush"), ("core.atomic", "_rename")],
}
HANG = 60  # seconds
Phases = dict[str, list[tuple[str, str]]]


@dataclass
class Fate:
    """Counts the calls of each phase; dies at the k-th of one, before or after what it does."""

    phase: str = ""
    k: int = 0
    before: bool = True

    def __post_init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def watch(self, phases: Phases) -> None:
        """Puts itself in front of everything that the phases do."""
        for phase, places in phases.items():
            for place, name in places:
                holder = resolve_name(place)
                setattr(holder, name, self._wrapped(phase, getattr(holder, name)))

    def _wrapped(self, phase: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._meet(phase, before=True)
            result = call(*args, **kwargs)
            self._meet(phase, before=False)
            return self._each(phase, result) if isinstance(result, Iterator) else result

        return watched

    def _each(self, phase: str, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self._meet(phase, before=True)
            yield item
            self._meet(phase, before=False)

    def _meet(self, phase: str, *, before: bool) -> None:
        self.calls[phase] += before
        if (phase, self.calls[phase], before) == (self.phase, self.k, self.before):
            os.kill(os.getpid(), signal.SIGKILL)


def child(work: Callable[[], int], phases: Phases, fate: Fate, counts: Path | None = None) -> int:
    """Runs it in a process of its own.  -> its exit code, -9 if its fate found it, 62 if it hung."""
    process = os.fork()
    if not process:
        null = os.open(os.devnull, os.O_RDWR)
        if not os.environ.get("FUZZ_SHOW"):
            os.dup2(null, 1)
            os.dup2(null, 2)
        code = 63
        try:
            fate.watch(phases)
            code = work()
            if counts is not None:
                counts.write_text("\n".join(f"{phase} {number}" for phase, number in fate.calls.items()))
        finally:
            os._exit(code)
    begin = time.monotonic()
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() - begin > HANG:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return 62
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(ended[1])


def kill_often(
    work: Callable[[Path], int], phases: Phases, folder: Path, times: int, seed: int, same: Callable[[Path, Path], bool]
) -> dict[str, Counter[str]]:
    """Per phase how often it was killed, how often the second run failed, and how often its result was another."""
    counts = folder / "counts"
    alone = folder / "alone"
    alone.mkdir()
    assert child(lambda: work(alone), phases, Fate(), counts) == 0, "the run that nobody kills failed"
    calls = {line.split()[0]: int(line.split()[1]) for line in counts.read_text().splitlines()}
    found = {phase: Counter[str]() for phase in phases}
    for number in range(times):
        chance = random.Random(f"{seed} {number}")
        phase = list(phases)[number % len(phases)]
        fate = Fate(phase, chance.randint(1, calls[phase]), chance.random() < 0.5)
        here = folder / "here"
        here.mkdir()
        code = child(lambda here=here: work(here), phases, fate)  # type: ignore[misc]
        found[phase]["killed"] += code == -signal.SIGKILL
        again = child(lambda here=here: work(here), {}, Fate())  # type: ignore[misc]
        found[phase]["failed"] += again != 0
        if again == 0 and not same(alone, here):
            found[phase]["other"] += 1
            sys.stderr.write(f"another result: {number}, {fate}\n")
        # what was left in the cache is removed an hour later; TensorBoard has a file of its own for every run
        left = [p.name for p in here.rglob("*") if p.is_file() and not (alone / p.relative_to(here)).exists()
                and "cache" not in p.parts and "tfevents" not in p.name]
        found[phase]["leftovers"] += bool(left)
        if again or left:
            sys.stderr.write(f"{number}, {fate}: exit {again}, left {left}\n")
        shutil.rmtree(here)
    return found


def generating(bench: Path) -> Callable[[Path], int]:
    """generate.py on 40 frames, in chunks of 8."""

    import video.encoding
    from lipsync.cli.main import generate
    from lipsync.jobs import chunks
    from lipsync.rendering import frame_source

    video.encoding.CHUNK = chunks.CHUNK = frame_source.CHUNK = 8

    def work(here: Path) -> int:
        return generate([
            "--video", str(bench / "person.mp4"), "--audio", str(bench / "words.wav"), "-o", str(here / "out.mp4"),
            "--model_path", str(bench / "model"), "--face_detector", "haar", "--cache_dir",
            str(here / "cache"), "--device", "cpu", "--precision", "fp32", "--steps", "1", "--batch", "4", "--threads",
            "1",
        ])  # fmt: skip

    return work


def training(bench: Path) -> Callable[[Path], int]:
    """train.py on the sync expert, six steps, saved every other one."""
    from core.program import exit_code
    from systems.training import train

    settings = ["model.size=32", "model.shrink=1", "model.widths=[32,32]", "model.embedding=16", "train.batch=8",
                "train.precision=fp32", "train.warmup=0", "train.cooldown=0", "train.steps=6", "train.save_every=2",
                "train.log_every=1", "train.evaluate_every=3"]  # fmt: skip

    def work(here: Path) -> int:
        return exit_code(lambda: train("sync", bench / "data", here / "run", settings=settings, device="cpu"))

    return work


def same_frames(one: Path, other: Path) -> bool:
    """Whether both results are the same, picture for picture, and the files besides."""
    return (one / "out.mp4").read_bytes() == (other / "out.mp4").read_bytes()


def same_weights(one: Path, other: Path) -> bool:
    """Whether both runs published the same weights, bit for bit."""
    from safetensors.numpy import load_file  # not torch: its threads would hang in whoever is forked afterwards

    first, second = (load_file(folder / "run" / "weights.safetensors") for folder in (one, other))
    return first.keys() == second.keys() and all(bool((first[name] == second[name]).all()) for name in first)


def prepare(folder: Path) -> Path:
    """The inputs of both; made in a process of its own, so that no thread of it is there when others are forked."""
    bench = folder / "bench"
    bench.mkdir()
    process = os.fork()
    if not process:
        code = 1
        try:
            from tests.helpers import tiny_motion, tiny_style
            from tests.helpers.talking_head import talking, tone
            from video import write_video

            write_video(bench / "person.mp4", talking(40), Fraction(25))
            tone(bench / "words.wav", 1.6)
            (bench / "model").mkdir()
            tiny_style.save(bench / "model")
            tiny_motion.prepare(bench / "data")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(process, 0)[1] == 0, "the inputs could not be made"
    return bench


def table(found: dict[str, dict[str, Counter[str]]]) -> str:
    """The figures, a line a phase."""
    lines = ["| program | phase | killed | second run failed | another result | leftovers |", "|" + "---|" * 6]
    for program, phases in found.items():
        for phase, counted in phases.items():
            figures = " | ".join(f"{counted[what]}" for what in ("killed", "failed", "other", "leftovers"))
            lines.append(f"| {program} | {phase} | {figures} |")
    return "\n".join(lines)


def kills(generate: int, train: int, seed: int = 0) -> dict[str, dict[str, Counter[str]]]:
    """Both programs, killed so often."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        preload()
        bench = prepare(Path(name))
        for program, times, begin, phases, same in (
            ("generate.py", generate, generating, GENERATE, same_frames),
            ("train.py", train, training, TRAIN, same_weights),
        ):
            if times:
                folder = Path(name) / program
                folder.mkdir()
                found[program] = kill_often(begin(bench), phases, folder, times, seed, same)
    return found


if __name__ == "__main__":
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fuzz.py kills", description=__doc__, formatter_class=shown)
    parser.add_argument("--generate", type=int, default=100)
    parser.add_argument("--train", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    result = kills(options.generate, options.train, options.seed)
    print(table(result))
    sys.exit(any(counted[what] for phases in result.values() for counted in phases.values()
                 for what in ("failed", "other", "leftovers")))  # fmt: skip
