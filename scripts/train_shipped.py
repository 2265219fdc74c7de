"""Makes every checkpoint that ships, stage after stage, from one pack (scripts/train_shipped.sh calls it).

    python scripts/train_shipped.py PACK [OUTPUT] --features VGG16 [--stages sync,framing] [--dry_run]

OUTPUT/checkpoints/ becomes what checkpoints/ is; OUTPUT/runs/ holds the runs, OUTPUT/parts/ what only later stages use.
The plan is printed, and what the stages need is checked, before the first of them begins.  The same command goes on
where it stopped: a stage whose result is there is passed over, train.py goes on from its last saved step, and the two
that take minutes (framing, landmarks) begin anew.  To make a stage again, remove its result and its run.
"""

import argparse
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
from core.atomic import atomic
from core.errors import BadInput, LipSyncError, Mismatch, NoData, NotFound, Stopped, Unreadable, Unwritable
from core.flags import Parser
from core.guard import guard, reads, writes_into
from core.lock import locked
from core.paths import CHECKPOINTS
from core.program import GOES_ON, exit_code
from scripts.shipped_stages import NAMES, Stage, chosen, makers

ROOT = Path(__file__).resolve().parent.parent
EARS = CHECKPOINTS / "style-medium" / "motion.safetensors"  # holds Whisper's blocks
DISK = 0.5e9  # bytes that a run of train.py takes: state, earlier weights, a state that is being written
SIZE = 128  # pixels of a face in all presets that ship
SENTENCES = {
    "--features": "stage {name} compares faces by the first layers of a VGG-16",
    "--audio_encoder": "stage {name} hears by the first blocks of Whisper tiny.en's encoder",
}


def main() -> int:
    return exit_code(run, stopped=GOES_ON)


def run() -> None:
    parser, options = arguments()
    stages = chosen(options.stages, quick=options.quick)
    outputs = [("OUTPUT", options.output / name) for stage in stages for name in (stage.result, stage.record)]
    folders = [("OUTPUT", options.output / stage.run) for stage in stages]
    guard(parser, options, outputs=outputs, owned=folders)
    for line in plan(stages, options):
        print(line, flush=True)
    if options.dry_run:
        return
    waiting = [stage for stage in stages if not (options.output / stage.result).exists()]
    check(stages, waiting, options)
    with locked(options.output / ".lock", options.output):
        for stage in waiting:
            print(f"\n{stage.name}", flush=True)
            make(stage, options)
    print(f"\nwhat these stages make is in {options.output}")


def arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = Parser(__doc__)
    parser.add_argument("data", type=reads, metavar="PACK", help="made by scripts/pack_training.py")
    parser.add_argument("output", type=writes_into, nargs="?", default=Path("runs/shipped"), metavar="OUTPUT",
                        help="runs/shipped if left out")  # fmt: skip
    parser.add_argument("--stages", default=",".join(NAMES), help=f"some of {', '.join(NAMES)} (all)")
    parser.add_argument("--features", type=reads, help="a VGG-16's first layers, which style-medium learns by")
    parser.add_argument("--audio_encoder", "--hearing", type=reads, default=EARS,
                        help="the first blocks of Whisper tiny.en's encoder, or a stage 1 that has them"
                        " (style-medium's, which ships)")  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--quick", action="store_true", help="two steps of each stage, to see that all fits together")
    parser.add_argument("--dry_run", action="store_true", help="print the plan and do nothing")
    options = parser.parse_args()
    options.stages = [name.strip() for name in options.stages.split(",")]
    if unknown := [name for name in options.stages if name not in NAMES]:
        parser.error(f"--stages: {unknown[0]!r} is unknown; choose of {', '.join(NAMES)}")
    return parser, options


def plan(stages: Sequence[Stage], options: argparse.Namespace) -> Iterator[str]:
    """What will be done: each stage, how far it is, its command, and what comes of it."""
    for number, stage in enumerate(stages, 1):
        yield f"{number}. {stage.name} ({state(stage, options.output)})"
        yield f"   {shlex.join(command(stage, options))}"
        yield f"   -> {options.output / stage.result}"


def state(stage: Stage, output: Path) -> str:
    if (output / stage.result).exists():
        return "finished: passed over"
    return "goes on" if (output / stage.run / "state.pt").exists() else "to be done"


def command(stage: Stage, options: argparse.Namespace) -> list[str]:
    """The words of its command."""
    output: Path = options.output
    words = [sys.executable, str(ROOT / stage.script)]
    if stage.preset:
        words += ["--system", stage.preset]
    words += ["--data", str(options.data), "--output", str(output / (stage.run if stage.preset else stage.result))]
    words += [word for flag, name in stage.inputs for word in (flag, str(output / name))]
    words += [word for flag in stage.files for word in (flag, str(named(flag, options)))]
    if not stage.cpu:
        words += ["--device", options.device]
    return [*words, *stage.words]


def named(flag: str, options: argparse.Namespace) -> Path | str:
    """The file that a flag names."""
    path: Path | None = getattr(options, flag.removeprefix("--"))
    return path or "(not given)"


def check(stages: Sequence[Stage], waiting: Sequence[Stage], options: argparse.Namespace) -> None:
    """BadInput if something lacks that a stage would miss hours later, or a stage was begun otherwise."""
    for stage in stages:
        _check_record(stage, options)
    for stage in waiting:
        for maker in makers(stage, quick=options.quick):
            _check_record(maker, options)
            if maker not in waiting and not (options.output / maker.result).exists():
                raise NotFound(
                    f"{options.output / maker.result}: is missing, which stage {stage.name} needs; add {maker.name} to"
                    " --stages"
                )
        for flag in stage.files:
            _check_file(flag, stage, options)
    if waiting:
        _check_data(waiting, options)
    _check_disk(sum(bool(stage.preset) for stage in waiting) * DISK, options.output)


def _check_record(stage: Stage, options: argparse.Namespace) -> None:
    path = options.output / stage.record
    result = options.output / stage.result
    if not path.exists():
        if result.exists():
            raise Mismatch(f"{result}: was not made by this program; move it away, or choose another OUTPUT")
        return
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Unreadable(f"{path}: cannot be read ({problem}); choose another OUTPUT") from problem
    if record != noted(stage):
        raise Mismatch(
            f"{path}: stage {stage.name} was begun with other settings (--quick, or an earlier version of this"
            f" program); choose another OUTPUT, or remove this file, {options.output / stage.run} and {result}"
        )


def _check_file(flag: str, stage: Stage, options: argparse.Namespace) -> None:
    from systems.initialisation import adopt_audio_encoder
    from systems.perceptual import load_features
    from systems.registry import build, find_preset, specifications

    path = named(flag, options)
    if isinstance(path, str) or not path.is_file():
        what = SENTENCES[flag].format(name=stage.name)
        lacking = "is missing" if isinstance(path, str) else f"{path}: there is no such file"
        raise BadInput(f"{flag} {lacking}: {what}; name their file, or leave the stage out with --stages")
    if flag == "--features":
        load_features(path)
    else:
        model = build("motion", find_preset(stage.preset).model)
        adopt_audio_encoder(specifications()["motion"], model, path)


def _check_data(waiting: Sequence[Stage], options: argparse.Namespace) -> None:
    """The pack, its labels and space, and whether its frames fit into the memory of the device."""
    from dataset.pack import is_pack, packed
    from dataset.resident import check_fits
    from guided_diffusion.engine.device import resolve_device
    from systems.style import SPACE, MotionSpace, labelled
    from systems.style.sequences import SequenceData, Sequences
    from systems.style.specification import MOTION_PRESETS

    device = resolve_device(options.device)
    if not is_pack(options.data):
        raise Unreadable(f"{options.data}: is no pack; make one of your clips with scripts/pack_training.py")
    splits = packed(options.data, SIZE, "box")
    if not splits["train"]:
        raise NoData(f"{options.data}: has no clips to train on (split train); take more of its pieces")
    for clip in (clip for clips in splits.values() for clip in clips):
        if not clip.path.with_suffix(".npz").exists():
            raise NotFound(f"{clip.path.with_suffix('.npz')}: is missing; copy the piece again, or pack anew")
    numbers = MOTION_PRESETS["motion"].model.motion_dim
    known = labelled(options.data, SIZE, MotionSpace(numbers))["train"]
    wanted = {stage.preset for stage in waiting}
    if "motion-reader" in wanted:
        MotionSpace.load(options.data / SPACE, numbers)
    if "motion" in wanted:
        Sequences(known, lambda clip: clip.motion, SequenceData(), batch=1, seed=0)  # refuses what is too little
    if wanted - {"", "motion-reader", "motion"}:
        check_fits(sum(map(len, known)), SIZE, device)


def _check_disk(needed: float, output: Path) -> None:
    place = next(folder for folder in (output.resolve(), *output.resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise Unwritable(
            f"{output}: the stages that are left take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; make room,"
            " or choose another OUTPUT"
        )


def noted(stage: Stage) -> list[str]:
    """What the user does not decide: two runs that differ in it are not one."""
    return [stage.preset or stage.script, *stage.words]


def make(stage: Stage, options: argparse.Namespace) -> None:
    """Runs a stage to its end and puts what came of it into its place.  Raises what its command ended with."""
    output: Path = options.output
    result, record = output / stage.result, output / stage.record
    for folder in (result.parent, record.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic(record) as temporary:
        temporary.write_text(json.dumps(noted(stage)), encoding="utf-8")
    call(stage.name, command(stage, options))
    if stage.preset:
        with atomic(result) as temporary:
            shutil.copyfile(output / stage.run / "weights.safetensors", temporary)


def call(name: str, words: Sequence[str]) -> None:
    """Runs a command; a signal to stop is handed on, and waits for it to save its step."""
    child = subprocess.Popen(words)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.terminate()  # Ctrl-C has reached it already, a signal to this process alone has not
        child.wait()
        raise
    if code in (Stopped.exit_code, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP):
        raise Stopped(f"stage {name} was stopped; the same command goes on there")
    if code:
        how = f"ended with exit code {code}, see above" if code > 0 else f"was killed by signal {-code}"
        problem = LipSyncError(f"stage {name} {how}; the same command goes on there")
        problem.exit_code = max(code, 1)
        raise problem


if __name__ == "__main__":
    sys.exit(main())
