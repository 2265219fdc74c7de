"""The command line of generate.py: flags to a job and settings, errors to exit codes."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from errors import LipSyncError

from .settings import QUALITIES, Settings

DESCRIPTION = """Make a face speak new words.

    python generate.py --video person.mp4 --audio words.wav --output result.mp4"""


class Parser(argparse.ArgumentParser):
    """Answers a mistake in one sentence with exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def parser() -> Parser:
    d = Settings()
    p = Parser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    paths = p.add_argument_group("paths")
    paths.add_argument("-v", "--video", "--video_path", "--face", type=Path, required=True, metavar="FILE",
                       help="video or still picture of the person")
    paths.add_argument("-a", "--audio", "--audio_path", type=Path, required=True, metavar="FILE",
                       help="the words: a sound, or a video with sound")
    paths.add_argument("-o", "--output", "--out_path", type=Path, required=True, metavar="FILE",
                       help="the result: .mp4, .mov or .mkv")
    paths.add_argument("--model_path", type=Path, metavar="FILE",
                       help="checkpoint; it knows which system it is (default: the one that ships)")

    time = p.add_argument_group("time")
    time.add_argument("--length", choices=("audio", "video", "shortest"), default=d.length,
                      help="how long the result is (%(default)s)")
    time.add_argument("--extend", choices=("pingpong", "loop", "hold"), default=d.extend,
                      help="how a video that is too short goes on (%(default)s)")

    face = p.add_argument_group("face")
    face.add_argument("--face_detector", dest="detector", default=d.detector,
                      help="auto, haar, yunet, retinaface, blazeface or s3fd (%(default)s)")
    face.add_argument("--on_no_face", choices=("keep", "error"), default=d.on_no_face,
                      help="frames without a face pass through untouched, or are an error (%(default)s)")
    face.add_argument("--max_gap", type=float, default=d.max_gap, metavar="SECONDS",
                      help="how long a face may be lost before that counts (%(default)s)")
    face.add_argument("--mask", choices=("jaw", "half"), default=d.mask,
                      help="paste mouth and chin, or all of the lower half of the face (%(default)s)")
    face.add_argument("--feather", type=float, default=d.feather, metavar="SHARE",
                      help="width of the blend, as a share of the face (%(default).3f)")
    face.add_argument("--is_voxceleb2", type=_truth, nargs="?", const=True, default=d.fixed_crop, dest="fixed_crop",
                      help="the video is a VoxCeleb2 face crop: use its fixed margins, detect nothing")

    model = p.add_argument_group("model")
    model.add_argument("--quality", choices=QUALITIES, default=d.quality,
                       help="sampler and steps, as the checkpoint says (%(default)s)")
    model.add_argument("--sampler", choices=("ddim", "ddpm", "dpm++"), help="instead of the quality's")
    model.add_argument("--steps", metavar="SPACING", help="such as 8 or ddim25, instead of the quality's")
    model.add_argument("--seed", "--sampling_seed", type=int, default=d.seed,
                       help="same seed, same video (%(default)s)")
    model.add_argument("--sampling_ref_type", choices=("other", "gt", "first_frame", "random"), default=d.reference,
                       dest="reference", help="which frame shows the mouth: a sharp one of the shot's other half, "
                       "the frame itself, the first, a random one (%(default)s)")
    model.add_argument("--sampling_input_type", choices=("gt", "first_frame"), default="gt",
                       help="what is edited: the video, or its still first frame (%(default)s)")

    run = p.add_argument_group("execution and output")
    run.add_argument("--device", default=d.device, help="auto, cpu, cuda, cuda:1 or mps (%(default)s)")
    run.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default=d.precision,
                     help="of the network (%(default)s)")
    run.add_argument("--batch", "--sampling_batch_size", type=int, default=d.batch,
                     help="frames sampled at a time (8 on a CPU, else 32)")
    run.add_argument("--crf", type=int, default=d.crf, help="H.264 quality, lower is better (%(default)s)")
    return p


def settings(options: argparse.Namespace) -> Settings:
    """The settings that the flags say."""
    values = vars(options)
    chosen = {name: values[name] for name in Settings.__dataclass_fields__ if name in values}
    return Settings(**chosen, first_frame=options.sampling_input_type == "first_frame")


def generate(args: Sequence[str] | None = None) -> int:
    """What generate.py does.  Returns the exit code."""

    def work() -> None:
        options = parser().parse_args([spelled(token) for token in (sys.argv[1:] if args is None else args)])
        chosen = settings(options)
        from systems.registry import DEFAULT_CHECKPOINT  # torch loads after --help has answered

        from .jobs import Job
        from .pipeline import Dubber

        job = Job(options.video, options.audio, options.output)
        job.check()
        report = Dubber(options.model_path or DEFAULT_CHECKPOINT, chosen).dub(job)
        print(report.table())
        print(job.output)

    return exit_code(work)


def exit_code(work: Callable[[], None]) -> int:
    """Runs a program; a problem that the user can act on becomes one sentence and its exit code, a bug still raises."""
    try:
        work()
    except LipSyncError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def spelled(token: str) -> str:
    """--some-flag as --some_flag; values stay."""
    name, equals, value = token.partition("=")
    return name.replace("-", "_").replace("__", "--", 1) + equals + value if name.startswith("--") else token


def _truth(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
