"""Nodes for ComfyUI, on the Python API: a picture or frames and a sound in, frames that say it out.

    ln -s /path/to/lip-sync/comfyui ComfyUI/custom_nodes/lip-sync
    ComfyUI's python -m pip install -r /path/to/lip-sync/requirements.txt

Beside it lies the project, which is found through the link.  docs/packaging.md says what was tried.
"""

import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent))  # last, so that what ComfyUI has stays its own

from core.progress import say
from lipsync import __version__
from lipsync.settings import QUALITIES, Settings

if TYPE_CHECKING:
    from torch import Tensor

    from lipsync import LipSync

CATEGORY = "lip-sync"


class Audio(TypedDict):
    """What ComfyUI calls AUDIO: waveform [1, channels, samples], -1 to 1."""

    waveform: "Tensor"
    sample_rate: int


@lru_cache(maxsize=1)
def loaded(checkpoint: str, quality: str, seed: int) -> "LipSync":
    """The model, kept until another is asked for.  checkpoint: a path, or empty for the one that ships."""
    from lipsync import LipSync  # torch loads with it; ComfyUI asks for nodes before

    return LipSync.from_pretrained(checkpoint or None, quality=quality, seed=seed)


class LipSyncFrames:
    """IMAGE and AUDIO in; the same frames, saying that, out."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT")
    RETURN_NAMES = ("frames", "audio", "fps")
    FUNCTION = "speak"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, object]:  # noqa: N802
        """What the node asks for, as ComfyUI wants it said."""
        plain = Settings()
        return {
            "required": {
                "frames": ("IMAGE",),
                "audio": ("AUDIO",),
                "fps": ("FLOAT", {"default": 25.0, "min": 1.0, "max": 240.0, "step": 0.001}),
                "length": (["audio", "video", "shortest"], {"default": plain.length}),
                "quality": (list(QUALITIES), {"default": plain.quality}),
                "seed": ("INT", {"default": plain.seed, "min": 0, "max": 2**31 - 1}),
            },
            "optional": {
                "face": ("STRING", {"default": plain.face}),
                "checkpoint": ("STRING", {"default": ""}),
                "strict_pose": (["fade", "keep", "force"], {"default": plain.strict_pose}),
            },
        }

    def speak(
        self,
        frames: "Tensor",
        audio: Audio,
        fps: float,
        length: str,
        quality: str,
        seed: int,
        face: str = "largest",
        checkpoint: str = "",
        strict_pose: str = "fade",
    ) -> "tuple[Tensor, Audio, float]":
        """frames: float [n, h, w, 3], 0 to 1; audio: waveform [1, channels, samples] and sample_rate, as ComfyUI has.

        -> frames of the same kind, the sound, their rate.  What cannot be raises with one sentence.
        """
        import torch

        from video import write_video

        rate = Fraction(fps).limit_denominator(1001)
        seconds = audio["waveform"].shape[-1] / audio["sample_rate"]
        with tempfile.TemporaryDirectory(prefix="lip-sync-") as folder:
            video, sound = Path(folder) / "frames.mkv", Path(folder) / "sound.wav"
            write_video(video, _pictures(frames), rate, codec="ffv1")
            _write_sound(sound, audio)
            model = loaded(checkpoint, quality, seed)
            tick = _progress(round(seconds * rate) if length == "audio" else len(frames))
            made = []
            for picture in model.frames(video, sound, length=length, face=face, strict_pose=strict_pose):
                made.append(torch.from_numpy(picture.copy()))
                tick()
        return torch.stack(made).float() / 255, audio, float(rate)


class LipSyncFile:
    """Files in, a file out: nothing of a long video lies in memory."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    FUNCTION = "speak"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, object]:  # noqa: N802
        """What the node asks for, as ComfyUI wants it said."""
        plain = Settings()
        words = {"video": "person.mp4", "audio": "words.wav", "output": "result.mp4"}
        return {
            "required": {name: ("STRING", {"default": example}) for name, example in words.items()}
            | {
                "quality": (list(QUALITIES), {"default": plain.quality}),
                "seed": ("INT", {"default": plain.seed, "min": 0, "max": 2**31 - 1}),
            },
            "optional": {"checkpoint": ("STRING", {"default": ""})},
        }

    def speak(
        self, video: str, audio: str, output: str, quality: str, seed: int, checkpoint: str = ""
    ) -> tuple[str]:
        """-> the path of the result.  What cannot be raises with one sentence."""
        report = loaded(checkpoint, quality, seed)(video, audio, output)
        say(f"{output}: {report.frames} frames, {report.edited} edited")
        return (output,)


def _pictures(frames: "Tensor") -> Iterator[np.ndarray]:
    for frame in frames:
        yield np.ascontiguousarray((frame.cpu().numpy() * 255).round().clip(0, 255).astype(np.uint8)[..., :3])


def _write_sound(path: Path, audio: Audio) -> None:
    """16 bits, which is more than a network hears; the sound that the node returns is the one that it got."""
    samples = audio["waveform"][0].float().cpu().numpy()  # [channels, samples]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(int(audio["sample_rate"]))
        file.writeframes((samples.T.clip(-1, 1) * 32767).round().astype("<i2").tobytes())


def _progress(total: int) -> Callable[[], None]:
    """ComfyUI's own bar, which also ends a run that was cancelled; nothing where there is no ComfyUI."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
        from comfy.utils import ProgressBar
    except ImportError:
        return lambda: None
    bar = ProgressBar(total)

    def tick() -> None:
        throw_exception_if_processing_interrupted()
        bar.update(1)

    return tick


NODE_CLASS_MAPPINGS = {"LipSyncFrames": LipSyncFrames, "LipSyncFile": LipSyncFile}
NODE_DISPLAY_NAME_MAPPINGS = {"LipSyncFrames": "Lip sync (frames)", "LipSyncFile": "Lip sync (files)"}
__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "__version__"]
