"""Every figure of the papers for a folder of results, with the real video beside it."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack

from core.errors import BadValue
from core.guard import guard
from guided_diffusion.engine.device import resolve_device

from ..cases import from_folder, from_list
from ..evaluate import evaluate
from ..flags import parser
from ..protocol import PROTOCOLS
from ..report.files import ENDINGS, check, write
from ..report.tables import as_markdown
from ..suite import Tools, assemble


def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Evaluates, writes the reports and prints the table.  Raises BatchFailed, after that, if clips were left out."""
    if options.protocol not in PROTOCOLS:
        raise BadValue(f"--protocol {options.protocol}: unknown; choose one of {', '.join(PROTOCOLS)}")
    if options.real.is_file() and options.root is None:
        raise BadValue(f"--real {options.real}: is a list; say with --root which folder its names are below of")
    listed = options.real.is_file()
    cases = (
        from_list(options.real, options.root, options.fake) if listed else from_folder(options.real, options.fake)
    )
    files = [path for case in cases for path in (case.real, case.result, case.sound) if path is not None]
    guard(
        parser("results"), options, inputs=[("the video", path) for path in files],
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
