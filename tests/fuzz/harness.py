"""Runs a program on hostile inputs, each in a process of its own, and says how it ended.

    python tests/fuzz/harness.py --count 1000 [--seed 0]        (scripts/fuzz.py)
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
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import mutants  # noqa: E402

HANG = 20  # seconds
CLASSES = ("video", "sound", "checkpoint", "list", "segments", "motion", "state")
BEYOND, BUG = 64, 63  # bits and codes of a child's exit
ALLOWED = {0, 2, 3, 4, 5}


@dataclass
class Tally:
    """What became of the inputs of one class, and the seeds of what went wrong."""

    tried: int = 0
    beyond: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    wrong: dict[str, list[int]] = field(default_factory=dict)

    def note(self, what: str, seed: int) -> None:
        self.wrong.setdefault(what, []).append(seed)

    def count(self, what: str) -> int:
        return len(self.wrong.get(what, []))


def preload() -> None:
    """Imports what every child needs, once for all; what computed here would hang in them."""
    import librosa  # noqa: F401
    import torch._dynamo  # noqa: F401, comes with the first arithmetic on the meta device

    import lipsync.pipeline  # noqa: F401


class Bench:
    """Good inputs at the size of a thumbnail; `run` makes a bad one of them and tries it."""

    def __init__(self, folder: Path) -> None:
        preload()

        self.folder, self.good = folder, folder / "good"
        self.good.mkdir(parents=True)
        child = os.fork()
        if not child:
            self._make()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, "the good inputs could not be made"

    def _make(self) -> None:
        from fractions import Fraction

        from tests.helpers import tiny_style
        from tests.helpers.talking_head import talking, tone
        from video import write_video

        words = tone(self.good / "words.wav", 0.4)
        write_video(self.good / "person.mp4", talking(8), Fraction(25), sound=words)
        (self.good / "model").mkdir()
        tiny_style.save(self.good / "model")
        self._train(self.good / "run", 1)
        if self._generate(self.good, "--motion_out", str(self.good / "lips.npz")):
            os._exit(1)
        (self.good / "out.mp4").unlink()

    def run(self, kind: str, seed: int, tally: Tally) -> None:
        here = self.folder / "try"
        shutil.copytree(self.good, here)
        self._mutate(kind, here, random.Random(f"{kind} {seed}"))
        before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
        begin = time.monotonic()
        child = os.fork()
        if not child:
            self._child(kind, here)
        status = self._wait(child, begin)
        tally.tried += 1
        code = os.waitstatus_to_exitcode(status) if status is not None else -signal.SIGKILL
        tally.beyond += code >= BEYOND
        code -= BEYOND * (code >= BEYOND)
        tally.codes[code] += 1
        if status is None:
            tally.note("hangs", seed)
        elif code in (BUG, 1):
            tally.note("tracebacks", seed)
        elif code not in ALLOWED:
            tally.note("wrong codes", seed)
        if kind != "state" and any(not path.exists() or path.read_bytes() != data for path, data in before.items()):
            tally.note("changed inputs", seed)
        if code not in (0, 5) and kind != "state" and any(
            path.is_file() and path not in before for path in here.rglob("*") if "cache" not in path.parts
        ):
            tally.note("leftovers", seed)
        shutil.rmtree(here)

    def _wait(self, child: int, begin: float) -> int | None:
        while time.monotonic() - begin < HANG:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None

    def _child(self, kind: str, here: Path) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        if not os.environ.get("FUZZ_SHOW"):
            os.dup2(null, 1)
            os.dup2(null, 2)
        self.beyond = False
        try:
            code = self._try(kind, here)
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:  # noqa: BLE001, whatever it is counts as a traceback
            if os.environ.get("FUZZ_SHOW"):
                import traceback

                traceback.print_exc()
            code = BUG
        os._exit(code + BEYOND * self.beyond)

    def _try(self, kind: str, here: Path) -> int:
        from lipsync.jobs.filelist_runner import FilelistRunner
        from lipsync.pipeline import LipSyncPipeline

        if kind == "state":
            from core.program import exit_code

            return exit_code(lambda: self._train(here / "run", 2))
        where, name = (FilelistRunner, "run") if kind == "list" else (LipSyncPipeline, "plan")
        if kind == "checkpoint":
            from systems import registry as where

            name = "check_size"
        before = getattr(where, name)

        def marks(*args: object, **kwargs: object) -> object:
            self.beyond = True
            return before(*args, **kwargs)

        setattr(where, name, marks)
        os.chdir(here)
        if kind == "list":
            listing = next(path for path in (here / "l.csv", here / "l.jsonl") if path.exists())
            from lipsync.cli.main import generate

            return generate(["--filelist", listing.name, "--sample_path", "out", *self._model(here)])
        more = {"motion": ["--motion_in", "lips.npz"]}.get(kind, [])
        if kind == "segments":
            more = ["--segments", next(path.name for path in (here / "l.csv", here / "l.jsonl") if path.exists())]
        return self._generate(here, *more)

    def _model(self, here: Path) -> list[str]:
        return ["--model_path", str(here / "model"), "--face_detector", "haar", "--no_cache", "--device", "cpu",
                "--precision", "fp32", "--steps", "1", "--threads", "1"]  # fmt: skip

    def _generate(self, here: Path, *more: str) -> int:
        from lipsync.cli.main import generate

        return generate(["--video", str(here / "person.mp4"), "--audio", str(here / "words.wav"), "-o",
                         str(here / "out.mp4"), *self._model(here), *more])  # fmt: skip

    def _train(self, folder: Path, steps: int) -> None:
        import torch

        from guided_diffusion.engine.checkpoint import Checkpoint, save_checkpoint
        from guided_diffusion.engine.trainer import TrainConfig, Trainer
        from tests.helpers.line import Line

        model = Line()
        trainer = Trainer(
            model, lambda indices: (torch.ones(2) for _ in indices),
            TrainConfig(steps=steps, batch=1, save_every=1, log_every=1), folder, averaged=model,
            identity={"system": "line"},
            publish=lambda path, step, weights: save_checkpoint(path, Checkpoint("line", {}, step, weights)),
        )  # fmt: skip
        self.beyond = True
        trainer.run()

    def _mutate(self, kind: str, here: Path, chance: random.Random) -> None:
        bytewise = {"video": "person.mp4", "sound": "words.wav", "motion": "lips.npz"}
        if kind in bytewise:
            path = here / bytewise[kind]
            path.write_bytes(mutants.bytes_of(path.read_bytes(), chance))
        elif kind == "checkpoint":
            path = here / "model" / chance.choice(["renderer", "motion", "autoencoder"])
            mutants.config(path.with_suffix(".safetensors"), path.with_suffix(".new"), chance)
            path.with_suffix(".new").replace(path.with_suffix(".safetensors"))
        elif kind == "state":
            path = here / "run" / chance.choice(["state.pt", "state.pt", "log.jsonl"])
            if path.name == "state.pt" and chance.random() < 0.7:
                mutants.state(path, chance)
                return
            path.write_bytes(mutants.bytes_of(path.read_bytes(), chance, 3))
        else:
            row = {"start": 0, "end": 0.3, "face": "largest", "sound": "words.wav"}
            if kind == "list":
                row = {"video": "person.mp4", "audio": "words.wav", "output": "a.mp4"}
            name, data = mutants.table(kind, [row, row | {"output": "b.mp4"}] if kind == "list" else [row], chance)
            (here / name).write_bytes(data)


def fuzz(count: int, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> dict[str, Tally]:
    """Tries count / 7 inputs of each class."""
    found: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        bench = Bench(Path(folder))
        for kind in classes:
            found[kind] = Tally()
            for number in range(-(-count // len(classes))):
                bench.run(kind, seed + number, found[kind])
            sys.stderr.write(f"{kind}: {found[kind]}\n")
    return found


WRONG = ("tracebacks", "hangs", "wrong codes", "changed inputs", "leftovers")


def table(found: dict[str, Tally]) -> str:
    """The figures, a line a class."""
    lines = ["| class | tried | " + " | ".join(WRONG) + " | beyond the first check |", "|" + "---|" * 8]
    for kind, tally in found.items():
        wrong = " | ".join(f"{tally.count(what)}" for what in WRONG)
        lines.append(f"| {kind} | {tally.tried} | {wrong} | {100 * tally.beyond // max(tally.tried, 1)} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fuzz.py", description=__doc__, formatter_class=shown)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=CLASSES)
    options = parser.parse_args()
    result = fuzz(options.count, options.seed, tuple(options.classes))
    print(table(result))
    for kind, tally in result.items():
        for what, seeds in tally.wrong.items():
            print(f"{kind}: {what}: seeds {seeds[:20]}")
        print(kind, dict(tally.codes))
    sys.exit(any(tally.wrong for tally in result.values()))
