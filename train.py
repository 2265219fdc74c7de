"""Train one of the systems, or the sync expert.

    python train.py --system sync --data DATA --output runs/sync --steps 1500
    python train.py --system diff2lip-small --data DATA --output runs/small \\
        --audio_encoder runs/sync/weights.safetensors
    torchrun --nproc_per_node=8 train.py --system diff2lip-128 --data DATA --output runs/paper \\
        --expert runs/sync/weights.safetensors

The same command goes on where it stopped; --list_settings PRESET says what --set knows.  DATA is VoxCeleb2, LRS2,
LRS3, LRW or MEAD as published, clips of HDTF, short videos in a folder a speaker, a list of face crops, a folder made
by `python -m dataset.prepare`, shards, or a pack made by scripts/pack_training.py, which feeds a GPU best; `python -m
dataset.check DATA` says what it is.
"""

import core  # noqa: F401 - what Ctrl-C is while the rest is imported

# isort: split
import argparse
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import BadValue, Mismatch
from core.flags import Parser, add_config, spelled, write_config
from core.guard import guard, reads, writes_into
from core.program import GOES_ON, exit_code
from core.starting import STOPPED

HINTS = {
    "data": "--data DATA, what python -m dataset.prepare or scripts/pack_training.py made, or data as published",
    "output": "--output runs/NAME, where state, log and weights go",
}
ELSEWHERE = {
    "preset": "system", "model": "system", "data_dir": "data", "data_root": "data", "dataset": "data", "out": "output",
    "output_dir": "output", "run": "output", "max_steps": "steps", "iterations": "steps", "batch_size": "batch",
    "learning_rate": "lr", "num_workers": "workers", "resume": "init", "checkpoint": "init", "syncnet": "expert",
    "settings": "list_settings",
}  # fmt: skip
"""How other programs for the same purpose call it."""


def arguments() -> argparse.Namespace:
    parser = Parser(__doc__, names=ELSEWHERE)
    parser.add_argument(
        "--system", default="diff2lip-small",
        help="preset: diff2lip-{128,256,small}, syncdiff-{128,small}, sync, style-{128,256,small,medium}, or what that"
        " needs: autoencoder, autoencoder-{128,256}, motion-reader, motion",
    )  # fmt: skip
    parser.add_argument("--data", type=reads, help="data as published, prepared, in shards or packed; see above")
    parser.add_argument("--output", type=writes_into, metavar="RUN",
                        help="run folder, or gs:// or az://: state, log, weights")  # fmt: skip
    parser.add_argument("--init", type=reads, help="checkpoint to start from; of another make, what fits of it")
    parser.add_argument("--distill", type=reads, metavar="CHECKPOINT",
                        help="teacher, and start: learn to make what it makes in loss.distill_steps steps")  # fmt: skip
    parser.add_argument("--audio_encoder", "--hearing", type=reads,
                        help="what to listen with at first: a sync expert's, AV-HuBERT's or Whisper's")  # fmt: skip
    parser.add_argument("--expert", type=reads, help="sync expert that judges, for the sync term; Wav2Lip's fits too")
    parser.add_argument("--features", type=reads, help="a VGG-16's first layers, for the perceptual term; else LPIPS")
    parser.add_argument("--components", "--parts", type=reads,
                        help="folder of an autoencoder (to work in its latents), stage 1")  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    parser.add_argument("--steps", type=int, metavar="N", help="updates of the weights: --set train.steps=N")
    parser.add_argument("--batch", type=int, metavar="N", help="items of a batch: --set train.batch=N")
    parser.add_argument("--lr", type=float, metavar="RATE", help="--set train.learning_rate=RATE")
    parser.add_argument("--dry_run", action="store_true",
                        help="check all that the first step needs, say the plan, and do nothing")  # fmt: skip
    parser.add_argument("--list_settings", metavar="PRESET",
                        help="say what --set knows of a preset: name, value, what it is")  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="any setting, such as train.steps=1000, train.learning_rate=2e-4, loss.sync=0.03, data.frames=5",
    )  # fmt: skip
    add_config(parser)
    options = parser.parse_args()
    if options.list_settings is not None:
        return options
    for name in ("data", "output"):
        if getattr(options, name) is None:
            raise BadValue(f"--{name} is missing: pass {HINTS[name]}")
    if options.workers < 0:
        raise BadValue(f"--workers {options.workers}: give 0 or more processes")
    short = {"train.steps": options.steps, "train.batch": options.batch, "train.learning_rate": options.lr}
    options.set = [f"{name}={value}" for name, value in short.items() if value is not None] + options.set
    files = [options.output / name for name in ("state.pt", "weights.safetensors", "log.jsonl")]
    files += options.output.glob("weights-*.safetensors")
    guard(parser, options, outputs=[("--output", path) for path in files],
          owned=[("--output", options.output / name) for name in ("history", "tensorboard", "strips")])  # fmt: skip
    if options.write_config is not None:
        write_config(parser, options, options.write_config)
    return options


def run() -> None:
    options = arguments()
    if options.list_settings is not None:
        from systems.explained import table
        from systems.registry import find_preset

        print(table(find_preset(options.list_settings)))
        return
    from systems.training import train  # torch loads after --help has answered

    check_teachers(options.system, {"expert": ("sync", options.expert), "features": ("perceptual", options.features)})
    main_one = train(
        options.system, options.data, options.output, init=options.init,
        audio_encoder=options.audio_encoder, expert=options.expert, features=options.features,
        components=options.components, distill=options.distill, device=options.device, workers=options.workers,
        settings=options.set, dry_run=print if options.dry_run else None,
    )  # fmt: skip
    if main_one:
        print(f"{options.output / 'weights.safetensors'}: trained; {options.output / 'log.jsonl'} has the figures")
        if step := following(options.system, options.output, options.data):
            print(f"next: {step}")


def check_teachers(system: str, given: Mapping[str, tuple[str, Path | None]]) -> None:
    """Mismatch for a network that judges, where what is trained has no such term.  given: by flag, (term, file)."""
    from systems.registry import find_preset

    loss = find_preset(system).loss
    for flag, (term, path) in given.items():
        if path is not None and not hasattr(loss, term):
            raise Mismatch(f"--{flag} {path}: --system {system} is trained without a {term} term; leave the flag out")


def following(system: str, output: Path, data: Path) -> str | None:
    """The command that one who has trained this wants next."""
    weights = output / "weights.safetensors"
    if system.startswith(("diff2lip", "syncdiff")):
        words = ["generate.py", "person.mp4", "words.wav", "result.mp4", "--model_path", weights]
    elif system.startswith("style"):  # its parts lie beside it
        words = ["generate.py", "person.mp4", "words.wav", "result.mp4", "--model_path", output]
    elif system == "sync":
        words = ["train.py", "--system", "diff2lip-small", "--data", data, "--output", output.with_name("small"),
                 "--audio_encoder", weights]  # fmt: skip
    else:
        return None  # a part of a model
    return shlex.join(["python", *map(str, words)])


def main() -> int:
    planned = "--dry_run" in map(spelled, sys.argv[1:])
    return exit_code(run, stopped=STOPPED if planned else GOES_ON)


if __name__ == "__main__":
    sys.exit(main())
