"""The program python -m evaluation: flags to a protocol, cases and tools; what was found to files."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from core.errors import BadInput
from core.guard import guard, reads, writes_into
from core.program import exit_code
from lipsync.cli.flags import Parser

from . import checkpoint_cli

DESCRIPTION = """Every figure of the papers for a folder of results, with the real video beside it.

    python -m evaluation --real videos --fake results --output report
    python -m evaluation --real list.txt --root VoxCeleb2 --fake results --output report --protocol diff2lip-cross

`python -m evaluation checkpoint --help` says how to have a checkpoint make the results first."""


def main(args: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 5 if some clips could not be evaluated; the reports are complete then as well."""
    given = sys.argv[1:] if args is None else list(args)
    if given[:1] == ["checkpoint"]:
        return checkpoint_cli.main(given[1:])
    options = parser().parse(given)
    return exit_code(lambda: run(options))


def parser() -> Parser:
    """All flags."""
    p = Parser(
        prog="python -m evaluation", description=DESCRIPTION, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("--real", type=reads, required=True, metavar="DIR|LIST",
                   help="folder of the real videos, or a list with lines of sound and video")
    p.add_argument("--root", type=reads, metavar="DIR", help="with a list: the folder that its names are below of")
    p.add_argument("--fake", type=reads, required=True, metavar="DIR",
                   help="folder of the results, called as the real videos; for a list SOUND_VIDEO, dots for slashes")
    p.add_argument("-o", "--output", type=writes_into, required=True, metavar="DIR",
                   help="where report.json, .csv, .md and .html go")
    p.add_argument("--protocol", default="reconstruction", metavar="NAME",
                   help="what is compared: reconstruction, cross (faces are detected); diff2lip-reconstruction,"
                   " diff2lip-cross (VoxCeleb2); lrw-reconstruction, lrw-cross; wav2lip-cross (%(default)s)")
    p.add_argument("--expert", type=reads, metavar="FILE", help="a sync expert, of train.py or Wav2Lip's, to judge too")
    p.add_argument("--weights", type=reads, nargs="+", default=[], metavar="DIR",
                   help="more folders with published weights, beside checkpoints/ and torch's cache")
    p.add_argument("--mediapipe_python", type=reads, default=Path(sys.executable), metavar="FILE",
                   help="the python of an environment that has mediapipe, which does not live beside our OpenCV")
    p.add_argument("--face_detector", default="auto", metavar="NAME", help="as for generate.py (%(default)s)")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (%(default)s)")
    return p  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Evaluates, writes the reports and prints the table.  Raises BatchFailed, after that, if clips were left out."""
    from guided_diffusion.engine.device import resolve_device

    from .cases import from_folder, from_list
    from .evaluate import evaluate
    from .protocol import PROTOCOLS
    from .report import ENDINGS, check, write
    from .suite import Tools, assemble
    from .tables import as_markdown

    if options.protocol not in PROTOCOLS:
        raise BadInput(f"--protocol {options.protocol}: unknown; choose one of {', '.join(PROTOCOLS)}")
    if options.real.is_file() and options.root is None:
        raise BadInput(f"--real {options.real}: is a list; say with --root which folder its names are below of")
    listed = options.real.is_file()
    cases = (
        from_list(options.real, options.root, options.fake) if listed else from_folder(options.real, options.fake)
    )
    files = [path for case in cases for path in (case.real, case.result, case.sound) if path is not None]
    guard(
        parser(), options, inputs=[("the video", path) for path in files],
        outputs=[("--output", options.output / f"report.{ending}") for ending in ENDINGS],
    )  # fmt: skip
    tools = Tools(
        resolve_device(options.device), options.expert, options.weights, options.mediapipe_python, options.face_detector
    )
    options.output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        suite = assemble(PROTOCOLS[options.protocol], tools, stack)
        evaluation = evaluate(cases, suite)
    write(evaluation, options.output)
    print(as_markdown(evaluation))
    print(options.output / "report.html")
    check(evaluation)
