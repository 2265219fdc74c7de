"""What a user may choose, with the defaults.  Imports nothing heavy, so that --help answers at once."""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from core.errors import BadValue
from core.who import check_face

Extend = Literal["pingpong", "loop", "hold"]
Length = Literal["audio", "video", "shortest"]
Reference = Literal["other", "gt", "first_frame", "random"]
OnNoFace = Literal["keep", "error"]
StrictPose = Literal["keep", "fade", "force"]
Sampler = Literal["ddim", "ddpm", "dpm++2m", "dpm++2m-c", "dpm++"]
Compile = Literal["none", "graphs", "full"]
Backend = Literal["torch", "onnx"]
Silence = Literal["model", "close", "original"]
SpeechDetector = Literal["energy", "silero"]
Sides = tuple[float, float, float, float]

LARGEST = 4096  # frames at a time
LONGEST = 1e7  # seconds, four months
WIDEST = 1e5  # pixels
STRONGEST = 4.0  # times as far as a model learned to move a mouth
LONGEST_MARK = 60  # letters
NETWORKS = ("face_restorer", "face_occluder", "voice_separator")
"""The settings that name a network of the user's."""
LOADED = frozenset({
    "quality", "sampler", "steps", "audio_strength", "seed", "batch", "device", "precision", "compile", "backend",
})  # fmt: skip
"""The settings that a model is loaded with."""
QUALITIES = ("fast", "balanced", "best")  # which sampler and steps each is, the checkpoint says
X264_PRESETS = {"fast": "superfast", "balanced": "veryfast", "best": "medium"}
"""How hard x264 tries, by the quality (docs/speed.md)."""


def moment(text: str) -> float:
    """12.5, 1:02.5 or 1:00:00 -> seconds.  ValueError if it is no moment of a video."""
    total = 0.0
    try:
        for part in text.split(":"):
            total = 60 * total + float(part)
    except ValueError:
        total = math.nan
    if not abs(total) <= LONGEST:
        raise ValueError(f"{text[:60]!r} is no moment of a video; write seconds, or 1:02.5")
    return total


@dataclass(frozen=True)
class Settings:
    """How a video is dubbed.

    length             the result is as long as the sound, as the video, or as the shorter of the two
    extend             how a video that is too short goes on: back and forth, from its start again, or frozen
    fps                frames per second of the result; None keeps the video's own
    start, end         seconds of the result between which the face is edited; end None: to the end
    first_frame        animate the still first frame instead of the video

    face               who speaks: largest, center, index:N or point:x,y[@t] (see face_detection.selection)
    detector           which face detector; detector_batch: pictures it is handed at once
    fixed_crop         the videos are VoxCeleb2's: cut by its fixed margins, detect nothing
    box                top, bottom, left, right of the face in every frame, in pixels: detect nothing
    pads               pixels by which the face is cut larger: top, bottom, left, right
    on_no_face         frames without a face pass through untouched, or are an error
    max_gap            seconds without a detected face that are bridged
    strict_pose        where no mouth can be made well (turned away, hidden), the original stays: from one frame to the
                       next, or by fading to it; or a mouth is made all the same
    cache              the folder in which detections are kept, None for nowhere, "default" for the user's own

    silence            the mouth while nobody speaks: as the model has it, closed on silence, or the original's
    speech_detector    who tells when that is: the energy of the sound, or silero-vad's network
    style_strength     how much the lips of a style system move as in the style video: 0 as nobody's in particular
    reference          which other frame shows the network the mouth (see references.py)
    quality            preset of sampler and steps, and of x264; sampler and steps override it one by one
    audio_strength     how strongly the mouth follows the sound: 1 as the model learned it, more opens wider; None: as
                       the checkpoint says
    batch              frames sampled at a time; 0: 8 on a CPU, 32 elsewhere
    compile            graphs replays the network as CUDA graphs, the same frames; full compiles its blocks besides, in
                       up to minutes once a machine, whose frames differ by rounding

    backend            what computes the network: torch, or ONNX Runtime (lipsync/onnx/unet.py), whose frames differ by
                       rounding

    mask               what is pasted: mouth and chin within the lower half of the face, or all of that half
    feather            width of the blend inside the pasted half, as a share of the crop
    detail             how much of the skin's own detail stays where new and old face agree but for sharpness, and how
                       much what is softer than the face around it is sharpened, 0 to 1
    registration       whether place and colours of the new mouth are corrected by what frames of the video show of this
                       person (lipsync/rendering/registration.py); where a system hears, by the sound of the video
    face_restorer      an ONNX network that sharpens the new mouth (lipsync/onnx/face_restorer.py), None for none
    restorer_strength  how much of that is seen, 0 to 1
    face_occluder      an ONNX network that sees what is before the mouth, which then stays in front, None for none
    voice_separator    an ONNX network that hears the voice alone, by which the lips then move, None for none
    separator_rate     samples per second that it knows; None: its metadata say so
    mark, mark_text    whether a word in a corner says what the result is, and the word
    codec, crf         how the result is stored (see video.codecs)
    encoder            a chip's encoder of h264 instead of x264; None: x264, whose bytes are the same from run to run
    compare            show the frame before beside the frame after
    debug_mask         show where the face was found and what was pasted
    patch              store the pasted patch alone, on nothing
    """

    length: Length = "audio"
    extend: Extend = "pingpong"
    fps: Fraction | None = None
    start: float = 0.0
    end: float | None = None
    first_frame: bool = False

    face: str = "largest"
    detector: str = "auto"
    detector_batch: int = 16
    fixed_crop: bool = False
    box: Sides | None = None
    pads: Sides = (0.0, 0.0, 0.0, 0.0)
    on_no_face: OnNoFace = "keep"
    max_gap: float = 0.5
    strict_pose: StrictPose = "fade"
    cache: Path | Literal["default"] | None = "default"

    silence: Silence = "model"
    speech_detector: SpeechDetector = "energy"
    style_strength: float = 1.0
    reference: Reference = "other"
    quality: str = "balanced"
    sampler: Sampler | None = None
    steps: str | None = None
    audio_strength: float | None = None
    seed: int = 7
    batch: int = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: Compile = "none"
    backend: Backend = "torch"

    mask: Literal["jaw", "half"] = "jaw"
    feather: float = 1 / 12
    detail: float = 1.0
    registration: bool = True
    face_restorer: Path | None = None
    restorer_strength: float = 1.0
    face_occluder: Path | None = None
    voice_separator: Path | None = None
    separator_rate: int | None = None
    mark: bool = False
    mark_text: str = "synthetic"
    codec: str = "h264"
    crf: int = 16
    encoder: str | None = None
    compare: bool = False
    debug_mask: bool = False
    patch: bool = False

    def __post_init__(self) -> None:
        self._check_numbers()
        check_face(self.face)
        if self.quality not in QUALITIES:
            raise BadValue(f"--quality {self.quality}: choose one of {', '.join(QUALITIES)}")
        if not 0 <= self.detail <= 1:
            raise BadValue(f"--detail {self.detail}: a share from 0 (none of the skin's own detail) to 1")
        if not 0 <= self.restorer_strength <= 1:
            raise BadValue(f"--restorer_strength {self.restorer_strength:g}: from 0, as painted, to 1, as restored")
        if self.separator_rate is not None and not 8000 <= self.separator_rate <= 192_000:
            raise BadValue(f"--separator_rate {self.separator_rate}: from 8000 to 192000 samples per second")
        if not 0 < len(self.mark_text) <= LONGEST_MARK or not self.mark_text.isprintable() or self.mark_text.isspace():
            raise BadValue(f"--mark_text {self.mark_text[:60]!r}: give from 1 to {LONGEST_MARK} letters, in one line")
        if not 0 <= self.feather <= 0.25:
            raise BadValue(f"--feather {self.feather}: a share of the crop from 0 to 0.25")
        if not 0 <= self.style_strength <= 1:
            raise BadValue(f"--style_strength {self.style_strength:g}: from 0, nobody's manner, to 1, the style's")
        if self.audio_strength is not None and not 0 <= self.audio_strength <= STRONGEST:
            raise BadValue(f"--audio_strength {self.audio_strength:g}: from 0, as in silence, to {STRONGEST:g}")
        if not 0 <= self.crf <= 51:
            raise BadValue(f"--crf {self.crf}: from 0 (lossless) to 51; 16 is visually lossless")
        if self.encoder is not None and self.codec != "h264":
            raise BadValue(f"--encoder {self.encoder}: makes h264, not {self.codec}; leave one of the two out")
        if self.backend == "onnx" and self.compile != "none":
            raise BadValue(f"--compile {self.compile}: is of torch; leave it out with --backend onnx")
        for name, value, least in (
            ("--batch", self.batch, 0), ("--max_gap", self.max_gap, 0), ("--start", self.start, 0),
            ("--face_det_batch_size", self.detector_batch, 1),
        ):  # fmt: skip
            if value < least:
                raise BadValue(f"{name} {value:g}: give {least} or more")
        if max(self.batch, self.detector_batch) > LARGEST:
            raise BadValue(f"--batch and --face_det_batch_size: at most {LARGEST} frames at a time")
        if not 0 <= self.seed < 2**63:
            raise BadValue(f"--seed {str(self.seed)[:30]}: from 0 to 2^63 - 1")
        if self.end is not None and self.end <= self.start:
            raise BadValue(f"--end {self.end:g}: the edit starts at {self.start:g} s; give a later end")
        if self.fps is not None and not 1 <= self.fps <= 240:
            raise BadValue(f"--fps {self.fps}: from 1 to 240 frames per second")
        if self.box is not None and (self.box[1] <= self.box[0] or self.box[3] <= self.box[2]):
            raise BadValue(f"--box {_sides(self.box)}: give top, bottom, left, right; top < bottom and left < right")
        if sum((self.compare, self.debug_mask, self.patch)) > 1:
            raise BadValue("--compare, --debug_mask and --patch show different things; choose one of them")

    @property
    def networks(self) -> list[tuple[str, Path]]:
        """The networks of the user's, by their flags."""
        named = ((f"--{name}", getattr(self, name)) for name in NETWORKS)
        return [(flag, path) for flag, path in named if path is not None]

    @property
    def extras(self) -> dict[str, str]:
        """What is asked for beyond a new mouth: networks of the user's, and the mark; by the names of the settings."""
        networks = {name: getattr(self, name).name for name in NETWORKS if getattr(self, name) is not None}
        if "face_restorer" in networks:
            networks["face_restorer"] += f", strength {self.restorer_strength:g}"
        if "voice_separator" in networks and self.separator_rate is not None:
            networks["voice_separator"] += f", {self.separator_rate} Hz"
        return networks | ({"mark": self.mark_text} if self.mark else {})

    def _check_numbers(self) -> None:
        """BadInput for seconds and pixels that are no numbers, or of no video."""
        sides = (*self.pads, *(self.box or ()))
        for name, value, most in (
            ("--start", self.start, LONGEST), ("--end", self.end or 0.0, LONGEST), ("--max_gap", self.max_gap, LONGEST),
            *(("--pads or --box", side, WIDEST) for side in sides),
        ):  # fmt: skip
            if not abs(value) <= most:  # false for what is no number as well
                raise BadValue(f"{name} {value:g}: give a number up to {most:g}")


def _sides(sides: Sides) -> str:
    return ",".join(f"{side:g}" for side in sides)
