"""The weight files that metrics need: where they are published, under which licence, and that they are the right ones.

Nothing is fetched while measuring: a file that is missing gives a line "not measured", and
scripts/download_weights.py fetches all of them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from core.errors import BadInput, Unreadable, not_opened
from core.paths import weights_folders
from face_detection.weights import TABLE as DETECTORS
from face_detection.weights import Weights

# SHA-256: in full as several public copies state it; sface's stands in opencv_zoo's Git LFS pointer, mediapipe's is of
# the copy in use; the digits of alexnet's and fan's are those that their publishers put into their names.
TABLE = {
    "syncnet": Weights(
        ("syncnet_v2.model",),
        "https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        54_573_114,
        "MIT (syncnet_python; none is stated for the file itself)",
    ),
    "inception": Weights(
        ("pt_inception-2015-12-05-6726825d.pth",),
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        95_628_359,
        "Apache-2.0",
    ),
    "i3d": Weights(
        ("i3d_torchscript.pt",),
        "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        51_235_320,
        "Apache-2.0 (DeepMind's kinetics-i3d, which it was converted from)",
    ),
    "alexnet": Weights(
        ("alexnet-owt-7be5be79.pth",),
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
        244_408_911,
        "BSD-3-Clause (torchvision)",
    ),
    "fan": Weights(
        ("2DFAN4-11f355bf06.pth.tar",),
        "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar",
        "11f355bf06",
        95_641_761,
        "BSD-3-Clause (face-alignment)",
    ),
    "mediapipe": Weights(
        ("face_landmarker.task", "face_landmarker_v2_with_blendshapes.task"),
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        3_758_596,
        "Apache-2.0",
    ),
    "sface": Weights(
        ("face_recognition_sface_2021dec.onnx",),
        "https://github.com/opencv/opencv_zoo/raw/main/models/face_recognition_sface/face_recognition_sface_2021dec.onnx",
        "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        38_696_353,
        "Apache-2.0",
    ),
    "yunet": DETECTORS["yunet"],
}
UNCHECKED = frozenset({"yunet"})  # known under several names with several hashes


class WeightStore:
    """Where weights are looked for, which were taken, and which are not there."""

    def __init__(self, more: Sequence[Path] = ()) -> None:
        """more: folders before checkpoints/ and torch.hub's cache."""
        self._folders = (*more, *weights_folders())
        self.taken: dict[str, str] = {}
        """file name -> SHA-256"""
        self.lacking: dict[str, str] = {}
        """file name -> where it is published, its licence and SHA-256"""

    def locate(self, name: str) -> Path:
        """The file of this entry of the table.

        Raises BadInput if it is in no folder, or is another file of that name; `lacking` says where it is published.
        """
        weights = TABLE[name]
        path = weights.on_disk(self._folders)
        wrong = path is not None and name not in UNCHECKED and not sha256(path).startswith(weights.sha256)
        if path is None or wrong:
            self.lacking[weights.names[0]] = f"{weights.url}, {weights.licence}, SHA-256 {weights.sha256}"
            raise BadInput(f"weights: {f'{path} is another file' if wrong else weights.names[0]}")
        return self.take(path)

    def take(self, path: Path) -> Path:
        """Notes that this file is measured with; returns it.  Raises BadInput if there is none."""
        try:
            self.taken[path.name] = sha256(path)
        except OSError as problem:
            wrong = Unreadable(f"{path}: cannot be read ({problem.strerror}); check the path of the weights")
            raise not_opened(f"{path}", problem) or wrong from problem
        return path


def sha256(path: Path) -> str:
    """Of a file's bytes, 64 digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
