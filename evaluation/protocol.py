"""What is compared, named: so that a table can be made again, and two tables can be told apart."""

from dataclasses import dataclass
from typing import Literal

from .metrics.metric import Setting
from .video_sample import FPS, WIDE

ProtocolFraming = Literal["voxceleb2", "lrw", "face", "picture", "whole"]
SECONDS = 30  # of a clip that are looked at, at most
CLIP = int(SECONDS * FPS)  # frames
SHORT = 0.25
"""Seconds that a result may end early: the original's end a mel window (0.2 s) before their sound."""

FRAMINGS: dict[ProtocolFraming, str] = {
    "voxceleb2": "VoxCeleb2's fixed margins (rows 0 to 0.705 of the height, columns 0.225 to 0.775 of the width)",
    "lrw": "a fixed box around LRW's faces (dataset.lrw)",
    "face": "the detected face, framed as VoxCeleb2's; found in the real video, smoothed",
    "picture": "the detected face; around it, what VoxCeleb2's picture of it would show",
    "whole": "the whole picture",
}


@dataclass(frozen=True)
class Protocol:
    """How results are held against real videos.

    setting  reconstruction: the sound is the video's own, so that the true mouth is known; cross: another video's
    framing  which part of each picture is compared; size: pixels to a side that it is resized to
    """

    name: str
    setting: Setting
    framing: ProtocolFraming
    size: int
    about: str

    def __post_init__(self) -> None:
        if self.framing not in FRAMINGS or self.size < 32 or self.size % 2:
            raise ValueError(f"{self.name}: a framing is one of {', '.join(FRAMINGS)}, a size even and at least 32")

    def lines(self) -> list[tuple[str, str]]:
        """What stands above every table: (what, how)."""
        fixed = self.framing != "face"
        return [
            ("protocol", f"{self.name}: {self.about}"),
            ("setting", self.setting),
            ("pictures", f"{FRAMINGS[self.framing]}, resized to {self.size} x {self.size} px"),
            (
                "SyncNet and landmarks",
                f"{'the whole picture' if fixed else 'the crop of its program around the same face'},"
                f" resized to {WIDE} x {WIDE} px",
            ),
            ("frames", f"{FPS} a second of any video, those that real and result both have, at most {SECONDS} s"),
            ("sound", "each file's own, 16 kHz mono; the pasted reference has the result's"),
            ("left out", f"results that are missing, unreadable, framed otherwise or more than {SHORT} s short"),
            ("intervals", "95 %, bootstrap over clips, 10,000 draws"),
            (
                "reference mouth pasted",
                "the real video with, in each frame, the lower half of its face from the middle of the clip's other"
                " half: what one has without listening",
            ),
        ]


_TABLE = (
    Protocol("reconstruction", "reconstruction", "face", 128, "any videos that were given back their own sound"),
    Protocol("cross", "cross", "face", 128, "any videos that were given another one's sound"),
    Protocol(
        "diff2lip-reconstruction", "reconstruction", "voxceleb2", 128,
        "VoxCeleb2 as in Diff2Lip, whose results animate the still first frame with the video's own sound",
    ),
    Protocol(
        "diff2lip-cross", "cross", "voxceleb2", 128, "VoxCeleb2 as in Diff2Lip: each video with another one's sound"
    ),
    Protocol("lrw-reconstruction", "reconstruction", "lrw", 128, "LRW's words with their own sound"),
    Protocol("lrw-cross", "cross", "lrw", 128, "LRW's words with another one's sound, as in Diff2Lip and Wav2Lip"),
    Protocol(
        "wav2lip-cross", "cross", "whole", 160,
        "face crops such as LRS2's with another one's sound, scored whole, as Wav2Lip's program does;"
        " what its FID is of is not published",
    ),
)  # fmt: skip
PROTOCOLS = {protocol.name: protocol for protocol in _TABLE}
