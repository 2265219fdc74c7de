"""What the command line answers to --help, to --version and to a flag that it does not know."""

import argparse
from typing import Any

from lipsync import __version__

FIRST = (
    "video", "audio", "output", "model_path", "filelist", "sample_path", "length", "face", "quality", "audio_strength",
    "seed", "preview", "list_faces", "dry_run", "device",
)  # fmt: skip
"""What most people need; the rest is in --help all."""
ELSEWHERE = {
    "outfile": "output", "out": "output", "result": "output", "result_path": "output", "out_file": "output",
    "checkpoint": "model_path", "checkpoint_path": "model_path", "ckpt": "model_path", "model": "model_path",
    "inference_ckpt_path": "model_path", "input": "video", "input_video": "video", "face_path": "video",
    "source_video": "video", "driven_audio": "audio", "input_audio": "audio", "wav": "audio", "speech": "audio",
    "num_inference_steps": "steps", "inference_steps": "steps", "batch_size": "batch", "wav2lip_batch_size": "batch",
    "restore": "face_restorer", "restorer": "face_restorer", "enhancer": "face_restorer", "gfpgan": "face_restorer",
    "face_enhancer": "face_restorer", "face_enhancer_model": "face_restorer", "restore_strength": "restorer_strength",
    "face_enhancer_blend": "restorer_strength", "occluder": "face_occluder", "face_parser": "face_occluder",
    "face_occluder_model": "face_occluder", "face_parser_model": "face_occluder", "separate_voice": "voice_separator",
    "voice_extractor": "voice_separator", "voice_extractor_model": "voice_separator", "demucs": "voice_separator",
    "watermark": "mark", "audio_scale": "audio_strength", "audio_cfg_scale": "audio_strength",
    "lip_strength": "audio_strength", "expression_scale": "audio_strength", "mouth_open": "audio_strength",
    "list": "filelist", "gpu": "device", "fp16": "precision", "detector": "face_detector", "nosmooth": "face_detector",
}  # fmt: skip
"""How other programs for the same purpose call it."""


class Help(argparse.Action):
    """--help shows the flags that matter, --help all shows all."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs="?", choices=("all",), default=argparse.SUPPRESS, **kwargs)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        print(parser.format_help() if values == "all" else short(parser), end="")
        parser.exit()


def short(parser: argparse.ArgumentParser) -> str:
    """The help that fits a screen."""
    few = argparse.ArgumentParser(
        parser.prog, f"{parser.prog} VIDEO AUDIO [RESULT] [flags]", parser.description, add_help=False,
        epilog=f"All flags, in groups: {parser.prog} --help all.  What they do, with examples: docs/generation.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    for action in sorted(parser._actions, key=lambda action: FIRST.index(action.dest) if action.dest in FIRST else 99):
        if action.dest in FIRST:
            few._add_action(action)
    return few.format_help()


def version() -> str:
    """Of this program, as --version says it."""
    return f"lip-sync {__version__}"

