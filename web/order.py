"""What a client may ask for: files, and settings by the names of the flags of generate.py, checked as these are."""

import argparse
import difflib
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import NoReturn

from core.errors import BadInput
from core.flags import spelled
from lipsync.cli.flags import add_flags, settings
from lipsync.settings import NETWORKS, Settings
from video import chunk_suffix

KINDS = ("video", "preview", "faces")
"""A video; one moment before and after; pictures of everybody in the video."""
STREAM = "stream"
"""A face that speaks as sound comes, which is no job."""
FILES = ("video", "audio", "style_video", "mux_audio")
NAMES = (
    "length", "extend", "start", "end", "fps", "face", "face_detector", "pads", "box", "is_voxceleb2", "on_no_face",
    "max_gap", "strict_pose", "silence", "style_strength", "mask", "feather", "detail", "registration",
    "sampling_ref_type", "restorer_strength", "mark", "mark_text",
    "sampling_input_type", "codec", "crf", "compare", "debug_mask", "patch", "quality", "sampler", "steps", "seed",
    "audio_strength", "preview",
)  # fmt: skip
"""What may be chosen for a job; the model and the device are chosen where the server is started."""
SERVED = dict.fromkeys(NETWORKS, "false: without this network, where the server was started with one (true)")
"""Networks of whoever runs the server, and what a job may say of them: whether, never which."""


@dataclass(frozen=True)
class Order:
    """One thing to be made.

    files     ids of uploads by what they are: video, audio, style_video, mux_audio
    given     settings as they were sent, by name
    Raises BadInput for a kind, file or setting that cannot be.
    """

    kind: str
    files: Mapping[str, str]
    given: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, STREAM):
            raise BadInput(f"kind: {self.kind!r} is none of {', '.join(KINDS)}")
        for name in sorted(SERVED.keys() & self.given.keys()):
            if self.given[name] not in ("true", "false"):
                raise BadInput(f"{name}: true or false; which network it is, is chosen where the server is started")
        for name in sorted(set(self.given) - set(NAMES) - SERVED.keys()):
            near = difflib.get_close_matches(name, NAMES, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
            raise BadInput(f"{name}: unknown setting; {hint}")
        for name in ("video", "audio"):
            if name not in self.files and (name, self.kind) not in (("audio", "faces"), ("audio", STREAM)):
                raise BadInput(f"{name}: there is none; send a file under this name")
        if (self.kind == "preview") != ("preview" in self.given):
            raise BadInput("preview: goes with kind=preview, and says which second of the result is shown")
        if self.settings.patch and self.suffix == ".mp4":
            raise BadInput("patch: needs a codec with transparency; choose codec prores or ffv1")

    @property
    def settings(self) -> Settings:
        """All settings, those that were not sent at their defaults."""
        return replace(settings(self._options), cache=None)

    @property
    def without(self) -> frozenset[str]:
        """The networks of the server's that are not used for it."""
        return frozenset(name for name in SERVED if self.given.get(name) == "false")

    def check(self, served: Collection[str]) -> None:
        """BadInput if it asks for a network that the server was not started with."""
        for name in SERVED:
            if self.given.get(name) == "true" and name not in served:
                raise BadInput(f"{name}: this server was started without one; leave that out")

    @property
    def moment(self) -> float:
        """The second of the result that a preview shows."""
        return float(self._options.preview or 0.0)

    @property
    def suffix(self) -> str:
        """The ending of the result."""
        return chunk_suffix(self.settings.codec) if self.kind == "video" else ".png"

    def identity(self, owner: str, made_by: str = "") -> str:
        """The same for the same content, settings, visitor, and `made_by` (web.networks.stamp): it is made once."""
        chosen = asdict(self.settings) | {"preview": self.moment}
        said = [
            owner, self.kind, sorted(self.files.items()), sorted(chosen.items()), made_by, *sorted(self.without)
        ]  # fmt: skip
        return hashlib.blake2b(json.dumps(said, default=str).encode(), digest_size=12).hexdigest()

    @property
    def _options(self) -> argparse.Namespace:
        flags = [f"--{spelled('--' + name)[2:]}={value}" for name, value in self.given.items()
                 if name not in SERVED]  # fmt: skip
        return _parser().parse_args(flags)


def descriptions() -> dict[str, dict[str, object]]:
    """Every setting as JSON Schema says it: type, choices, what it does."""
    found: dict[str, dict[str, object]] = {}
    for action in _parser()._actions:
        for option in action.option_strings:
            name = option.removeprefix("--")
            if name in NAMES:
                found[name] = {"type": "string", "description": argparse.HelpFormatter("")._expand_help(action)}
                if action.choices:
                    found[name]["enum"] = list(action.choices)
    served: dict[str, dict[str, object]] = {
        name: {"type": "string", "enum": ["true", "false"], "description": text} for name, text in SERVED.items()
    }  # fmt: skip
    return {name: found[name] for name in NAMES} | served


def form() -> dict[str, object]:
    """What a job is asked for with, as JSON Schema."""
    file = {"type": "string", "format": "binary"}
    files = {
        "video": "video or picture of the person; a file, or the id of an upload",
        "audio": "the words: a sound, or a video with sound (not for kind=faces)",
        "style_video": "whose manner of speaking, for a style model",
        "mux_audio": "what is heard, if it is not what drives the mouth",
    }
    return {
        "type": "object", "required": ["video"],
        "properties": {
            **{name: {**file, "description": text} for name, text in files.items()},
            "kind": {"type": "string", "enum": list(KINDS), "default": "video"}, **descriptions(),
        },
    }  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Says a mistake as BadInput."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; correct it")


@cache
def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="settings", allow_abbrev=False)
    add_flags(parser)
    return parser
