"""What a user may choose, with the defaults.  Imports nothing heavy, so that --help answers at once."""

from dataclasses import dataclass
from typing import Literal

from errors import BadInput

Extend = Literal["pingpong", "loop", "hold"]
Length = Literal["audio", "video", "shortest"]
Reference = Literal["other", "gt", "first_frame", "random"]
OnNoFace = Literal["keep", "error"]
Sampler = Literal["ddim", "ddpm", "dpm++"]

QUALITIES = ("fast", "balanced", "best")  # which sampler and steps each is, the checkpoint says


@dataclass(frozen=True)
class Settings:
    """How a video is dubbed.

    length             the result is as long as the sound, as the video, or as the shorter of the two
    extend             how a video that is too short goes on: back and forth, from its start again, or frozen
    first_frame        animate the still first frame instead of the video
    reference          which other frame shows the network the mouth (see references.py)
    on_no_face         frames without a face pass through untouched, or are an error
    fixed_crop         the videos are VoxCeleb2's: cut by its fixed margins, detect nothing
    max_gap            seconds without a detected face that are bridged
    mask               what is pasted: mouth and chin within the lower half of the face, or all of that half
    feather            width of the blend inside the pasted half, as a share of the crop
    quality            preset of sampler and steps; sampler and steps override it one by one
    batch              frames sampled at a time; 0: 8 on a CPU, 32 elsewhere
    """

    length: Length = "audio"
    extend: Extend = "pingpong"
    first_frame: bool = False
    reference: Reference = "other"
    on_no_face: OnNoFace = "keep"
    fixed_crop: bool = False
    max_gap: float = 0.5
    mask: Literal["jaw", "half"] = "jaw"
    feather: float = 1 / 12
    quality: str = "balanced"
    sampler: Sampler | None = None
    steps: str | None = None
    seed: int = 7
    batch: int = 0
    crf: int = 16
    detector: str = "auto"
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"

    def __post_init__(self) -> None:
        if self.quality not in QUALITIES:
            raise BadInput(f"--quality {self.quality}: choose one of {', '.join(QUALITIES)}")
        if not 0 <= self.feather <= 0.25:
            raise BadInput(f"--feather {self.feather}: a share of the crop from 0 to 0.25")
        if not 0 <= self.crf <= 51:
            raise BadInput(f"--crf {self.crf}: from 0 (lossless) to 51; 16 is visually lossless")
        if self.batch < 0 or self.max_gap < 0:
            raise BadInput("--batch and --max_gap cannot be negative")
