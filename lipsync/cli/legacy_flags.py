"""Flags of the original release that its users' scripts pass: accepted with their meaning, or with a word why not.

Those that have another name here are in flags.py beside it (--timestep_respacing is --steps).  Here are --use_ddim and
--use_fp16, which say what --sampler and --precision say, --generate_from_filelist, which says whether --filelist counts
where --video is given too, and all that have no meaning.
"""

import argparse
from collections.abc import Sequence

CHECKPOINT = "the checkpoint says that itself"
INDEPENDENT = "frames are generated independently of each other"
MEANINGLESS = {
    "attention_resolutions": CHECKPOINT,
    "audio_as_style": CHECKPOINT,
    "class_cond": CHECKPOINT,
    "diffusion_steps": CHECKPOINT,
    "face_hide_percentage": CHECKPOINT,
    "image_size": CHECKPOINT,
    "learn_sigma": CHECKPOINT,
    "noise_schedule": CHECKPOINT,
    "num_channels": CHECKPOINT,
    "num_head_channels": CHECKPOINT,
    "num_heads": CHECKPOINT,
    "num_res_blocks": CHECKPOINT,
    "predict_xstart": CHECKPOINT,
    "rescale_timesteps": CHECKPOINT,
    "resblock_updown": CHECKPOINT,
    "use_audio": CHECKPOINT,
    "use_ref": CHECKPOINT,
    "use_scale_shift_norm": CHECKPOINT,
    "nframes": INDEPENDENT,
    "nrefer": INDEPENDENT,
    "sample_rate": "networks listen at 16000 samples a second, and what is heard keeps its own rate",
}
ABSENT = object()
MARKS = {"attention_resolutions", "num_channels", "num_res_blocks", "learn_sigma"}
"""Nobody types these but for the original, whose checkpoint loads with no fewer."""
AS_ORIGINAL = (
    "--is_voxceleb2", "True", "--length", "shortest", "--fps", "25", "--mask", "half", "--feather", "0",
    "--detail", "0", "--registration", "False",
    "--strict_pose", "force", "--sampling_input_type", "gt", "--sampling_ref_type", "gt", "--seed", "7",
    "--save_orig", "True",
)  # fmt: skip
"""What the original does unless its flags say otherwise."""


def add_originals(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the original release; --help shows one line for all of them."""
    group = parser.add_argument_group(
        "the original's flags", "Flags of the original release are accepted; those without a meaning here say so."
    )
    group.add_argument("--use_ddim", action=_Sampler, metavar="BOOL", help=argparse.SUPPRESS)
    group.add_argument("--use_fp16", action=_Precision, metavar="BOOL", help=argparse.SUPPRESS)
    group.add_argument("--generate_from_filelist", action=_List, dest="from_list", help=argparse.SUPPRESS)
    for name in MEANINGLESS:
        group.add_argument(f"--{name}", dest=f"original_{name}", default=ABSENT, help=argparse.SUPPRESS)


def as_original(words: Sequence[str]) -> list[str]:
    """What comes before a command line of the original, so that it means what it means there; else nothing.

    words: flags with underscores.
    """
    names = {word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")}
    if not names >= MARKS:
        return []
    place = [] if names & {"sample_path", "out_path", "output"} else ["--sample_path", "d2l_gen"]
    return [*AS_ORIGINAL, *place]


def original_sentence(options: argparse.Namespace) -> str | None:
    """How a command line of the original is understood; None for others."""
    if any(getattr(options, f"original_{name}", ABSENT) is ABSENT for name in MARKS):
        return None
    crop = "VoxCeleb2's fixed crop (--is_voxceleb2 False for other videos)" if options.fixed_crop else "the face's crop"
    steps = options.steps or "as many steps as the checkpoint says"
    return (
        f"taken for a command line of the original Diff2Lip: {crop}, --length {options.length}, {options.fps} frames a"
        f" second, --mask {options.mask}, reference {options.reference}, seed {options.seed}, {steps};"
        " docs/generation.md says what differs"
    )


def unused(options: argparse.Namespace) -> list[str]:
    """One sentence for all flags of each kind that were given and mean nothing here."""
    flags: dict[str, list[str]] = {}
    for name, why in MEANINGLESS.items():
        if getattr(options, f"original_{name}", ABSENT) is not ABSENT:
            flags.setdefault(why, []).append(f"--{name}")
    return [f"{', '.join(names)}: not used here, because {why}" for why, names in flags.items()]


class _Sampler(argparse.Action):
    """True: DDIM; False: DDPM."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        namespace.sampler = "ddim" if _true(self, values) else "ddpm"


class _List(argparse.Action):
    """Whether the list counts, or the one video."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        namespace.from_list = _true(self, values)


class _Precision(argparse.Action):
    """True: the half precision that the device computes in, if it does; False: float32."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        namespace.precision = "auto" if _true(self, values) else "fp32"


def _true(action: argparse.Action, value: object) -> bool:
    if str(value) not in ("True", "False", "true", "false", "1", "0"):
        raise argparse.ArgumentError(action, f"{value!r} is neither True nor False")
    return str(value) in ("True", "true", "1")
