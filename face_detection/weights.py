"""The weight files of the back ends: where they lie, where they are published, and that they are the right ones."""

import hashlib
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import NotFound, Unreadable
from core.paths import CHECKPOINTS, weights_folders
from face_detection.cache import default_folder

PATIENCE = 7 * 24 * 3600.0
"""Seconds for which what could not be fetched is not tried again, unless somebody asks for it by name."""
TIMEOUT = 10.0
"""Seconds without an answer after which a server counts as out of reach."""


@dataclass(frozen=True)
class Weights:
    """One published file.  `names` are the file names it is known by; the first is the one it is stored under.

    sha256: all 64 digits, or as many of the first as its publisher put into its name, at least 8.
    """

    names: tuple[str, ...]
    url: str
    sha256: str
    size: int  # bytes
    licence: str

    def __post_init__(self) -> None:
        if not 8 <= len(self.sha256) <= 64 or int(self.sha256, 16) < 0:
            raise ValueError(f"{self.names[0]}: a SHA-256 has 64 hexadecimal digits, not {self.sha256!r}")

    def on_disk(self, folders: tuple[Path, ...]) -> Path | None:
        """The first of the names that lies in one of the folders."""
        return next((folder / name for folder in folders for name in self.names if (folder / name).is_file()), None)


# SHA-256: yunet's stands in opencv_zoo's Git LFS pointer, s3fd's begins as its own file name ends; the other two are of
# copies in use.  Were one wrong, the file would be refused, not trusted.
TABLE = {
    "yunet": Weights(
        # yunet_n_640_640.onnx is the same network as its authors export it (libfacedetection.train).
        ("face_detection_yunet_2023mar.onnx", "face_detection_yunet.onnx", "yunet_n_640_640.onnx"),
        "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        232_589,
        "MIT",
    ),
    "retinaface": Weights(
        ("retinaface_mobilenet0.25.pth",),
        "https://www.adrianbulat.com/downloads/python-fan/retinaface_mobilenet0.25.pth",
        "5f88f7957d9eaef82b49b9e0202bc56e97292e2aede2999209accd34442cc4df",
        1_786_259,
        "MIT",
    ),
    "s3fd": Weights(
        ("s3fd-619a316812.pth", "s3fd.pth"),
        "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
        "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
        89_843_225,
        "BSD-3-Clause",
    ),
    "blazeface": Weights(
        ("blazeface.pth",),
        "https://github.com/hollance/BlazeFace-PyTorch/raw/master/blazeface.pth",
        "54ecff653feaaaf1f7d44b6aff28fd2fc50e483a4e847563b6dd261369c43ba4",
        420_224,
        "Apache-2.0",
    ),
}


def find(name: str) -> Path | None:
    """The weights of this back end if they are on disk; never touches the network."""
    return TABLE[name].on_disk(weights_folders())


def obtain(name: str, *, say: Callable[[str], None]) -> Path:
    """The weights of this back end: from disk, else fetched into checkpoints/ after one sentence to `say`.

    Raises BadInput where they are neither on disk nor within reach, with the file, its address and where to put it.
    """
    if path := find(name):
        return path
    weights = TABLE[name]
    target = CHECKPOINTS / weights.names[0]
    size = f"{weights.size / 1e6:.1f} MB, {weights.licence}"
    say(f"fetching {weights.names[0]} ({size}) from {weights.url} into {CHECKPOINTS}")
    try:
        fetch(weights, target)
    except OSError as error:  # URLError, timeouts and a full disk are all OSErrors
        raise NotFound(
            f"{target}: the weights of the face detector {name} are missing and cannot be fetched ({_reason(error)}); "
            f"download {weights.url} to that place"
        ) from error
    return target


def fetched(name: str) -> str:
    """What was fetched, as a sentence."""
    weights = TABLE[name]
    return f"fetched {weights.names[0]} ({weights.size / 1e6:.1f} MB, {weights.licence}) from {weights.url}"


def given_up(name: str) -> bool:
    """Whether it could not be fetched lately, so that a machine without a network does not try at every run."""
    try:
        return 0 <= time.time() - _mark(name).stat().st_mtime < PATIENCE
    except OSError:
        return False


def give_up(name: str) -> None:
    """Remembers that it cannot be fetched; where nothing can be kept, it is tried again."""
    with suppress(OSError):
        _mark(name).parent.mkdir(parents=True, exist_ok=True)
        _mark(name).touch()


def _mark(name: str) -> Path:
    """A file for each place that it is wanted at, so that another checkout tries for itself."""
    place = hashlib.sha256(str(CHECKPOINTS).encode()).hexdigest()[:8]
    return default_folder() / f"unreachable-{name}-{place}"


def fetch(weights: Weights, target: Path) -> None:
    """Download beside the target, check the hash, then rename: a half or a wrong file never bears the name.

    Raises OSError where the address cannot be reached, BadInput where what comes is another file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as folder:
        partial = Path(folder) / target.name
        digest = hashlib.sha256()
        with urllib.request.urlopen(weights.url, timeout=TIMEOUT) as source, partial.open("wb") as sink:
            while block := source.read(1 << 16):
                digest.update(block)
                sink.write(block)
        if not digest.hexdigest().startswith(weights.sha256):
            raise Unreadable(
                f"{weights.url}: what came has the SHA-256 {digest.hexdigest()}, not {weights.sha256}, and was thrown "
                f"away; get the file elsewhere and put it at {target}"
            )
        partial.replace(target)


def _reason(error: OSError) -> str:
    return str(error.reason if isinstance(error, urllib.error.URLError) else error) or type(error).__name__
