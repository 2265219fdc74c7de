"""The networks of whoever runs a server, for all its jobs; the same files as generate.py's flags of these names."""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.guard import reads
from core.paths import CHECKPOINTS
from lipsync.settings import NETWORKS, Settings

NAMES = (*NETWORKS, "separator_rate")


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Adds their flags."""
    parser.add_argument("--face_restorer", type=reads, metavar="FILE",
                        help="an .onnx that sharpens mouths; a job may choose its restorer_strength, or do without")
    parser.add_argument("--face_occluder", type=reads, metavar="FILE", help="an .onnx that sees what is before mouths")
    parser.add_argument("--voice_separator", type=reads, metavar="FILE",
                        help="an .onnx that hears voices without music; see generate.py --help all for these three")
    parser.add_argument("--separator_rate", type=int, metavar="HZ", help="samples per second that it knows")


def networks_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that they say.  BadInput for values that cannot be, or a file that is not there."""
    found = {name: getattr(options, name) for name in NAMES if getattr(options, name) is not None}
    for flag, path in Settings(**found).networks:
        if not path.is_file():
            raise BadInput(f"{flag} {path}: no such file; check the path")
    return {name: value.absolute() if name in NETWORKS else value for name, value in found.items()}


def stamp(model: Path | None, networks: Mapping[str, Any]) -> str:
    """The same for the same model and networks, which are not read: a file is its place, size and time of change.

    model: a file or a folder; None for the one that ships, which is any of those that do (only torch knows which).
    """
    if model is None:
        files = sorted(CHECKPOINTS.rglob("*.safetensors"))
    else:
        files = sorted(path for path in model.rglob("*") if path.is_file()) if model.is_dir() else [model]
    files += [path for name, path in networks.items() if name in NETWORKS]
    stats = [(str(path.resolve()), path.stat()) for path in files]
    said = [networks, [(place, stat.st_size, stat.st_mtime_ns) for place, stat in stats]]
    return hashlib.blake2b(json.dumps(said, default=str).encode(), digest_size=8).hexdigest()


def load_networks(found: dict[str, Any], device: str) -> None:
    """Loads each once, so that what cannot be is said when the server starts; by a worker, for it takes torch.

    BadInput."""
    import torch

    from lipsync.onnx.face_occluder import FaceOccluder
    from lipsync.onnx.face_restorer import FaceRestorer
    from lipsync.onnx.voice_separator import VoiceSeparator

    place = torch.device(device)
    if "face_restorer" in found:
        FaceRestorer(found["face_restorer"], place)
    if "face_occluder" in found:
        FaceOccluder(found["face_occluder"], place)
    if "voice_separator" in found:
        VoiceSeparator(found["voice_separator"], place, found.get("separator_rate"))


def as_flags(found: dict[str, Any]) -> Sequence[str]:
    """The same as flags, for a worker."""
    return [word for name, value in found.items() for word in (f"--{name}", str(value))]
