"""What a job will do, how long it will take and how much memory: from a probe of a few seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from audio import MELS, Mel, Sound
from face_detection import FFHQ_SIDE, search
from guided_diffusion.engine.device import process_memory
from lipsync.jobs.job import Job, aligned
from lipsync.models import Models
from lipsync.motion.style_reference import FPS, stretches_of
from lipsync.pipeline import LipSyncPipeline
from lipsync.planning.source_media import JobPlan
from lipsync.planning.timeline import REVERSE_BYTES, Plan
from lipsync.planning.turns import frames_of
from lipsync.rendering.frame_source import ROOM
from lipsync.rendering.renderer import NetworkInputs, Synthesizer
from lipsync.settings import Settings
from systems.stage1 import Stage1
from video import VideoInfo, probe, read_frames

PIXELS_PER_SECOND = {"h264": 20e6, "ffv1": 25e6, "prores": 12e6}
"""What an encoder stores in a second of one core: ten 1080x1920 frames of a real clip, a one-off measurement on a busy
EPYC.  More cores are quicker, and it is a small share of the whole."""
HELD = 60  # frames that an encoder holds back, 1.5 bytes a pixel
PROBED = 8  # frames that are decoded and searched to measure by
SAID = 100  # frames whose lip motion is predicted to measure by


@dataclass(frozen=True)
class Estimate:
    """A job that was not done.  seconds per stage; memory: bytes at the peak."""

    info: VideoInfo
    plan: Plan
    edited: tuple[int, int]
    settings: tuple[tuple[str, str], ...]
    seconds: dict[str, float]
    memory: int

    def table(self) -> str:
        """A few aligned lines for a person to read."""
        info, plan = self.info, self.plan
        first, stop, seconds = (float(frame / plan.fps) for frame in (*self.edited, plan.frames))
        rows = [
            ("video", f"{info.width}x{info.height}, {info.frames} frames at {float(info.fps):.3f} a second"),
            ("result", f"{plan.frames} frames at {float(plan.fps):.3f} a second, {seconds:.2f} s"),
            ("edited", f"from {first:.2f} s to {stop:.2f} s, where there is a face"),
            *self.settings,
            *((stage, f"about {spent:.1f} s") for stage, spent in self.seconds.items()),
            ("total", f"about {sum(self.seconds.values()):.0f} s"),
            ("memory", f"about {self.memory / 2**20:.0f} MiB"),
        ]
        return aligned(rows)


def estimate(pipeline: LipSyncPipeline, job: Job) -> Estimate:
    """Decodes and searches a few frames and generates a batch; the rest is arithmetic.  Writes nothing."""
    job.check(pipeline.settings)
    settings, models, synthesizer = pipeline.settings, pipeline.models, pipeline.models.synthesizer
    job_plan = pipeline.plan(job)
    info, plan = job_plan.media.info, job_plan.plan
    turns = [frames_of(segment, plan) for segment in job_plan.media.segments]
    first, stop = min(start for start, _ in turns), max(end for _, end in turns)
    low, high = plan.sources(first, stop)
    decode, detect = _look(models, settings, info)
    pixels = info.height * info.width * (2 if settings.compare else 1)
    seconds = {
        "detect": detect * (high - low),
        **({} if models.stage1 is None else {"motion": _motion(pipeline, job_plan, models.stage1, decode)}),
        "read": decode * plan.frames,
        "generate": _speak(synthesizer) * sum(end - start for start, end in turns),
        **_extras(models, settings, sum(end - start for start, end in turns), float(job_plan.media.seconds)),
        "encode": pixels * plan.frames / PIXELS_PER_SECOND[settings.codec],
    }
    shown = (
        ("detector", "none: the box is fixed" if not detect else models.detector(settings.detector).name),
        ("device", _device(synthesizer)),
        ("sampling", f"{synthesizer.sampling.sampler} {synthesizer.sampling.spacing}, {synthesizer.grid} at a time"),
        ("stored as", settings.codec),
    )
    memory = process_memory() + _in_flight(info, plan, synthesizer.grid)
    return Estimate(info, plan, (first, stop), shown, seconds, memory)


def _look(models: Models, settings: Settings, info: VideoInfo) -> tuple[float, float]:
    """Seconds a frame: to decode it, and to decode and search it (0 where nothing is searched)."""
    frames: list[np.ndarray] = []
    count = min(PROBED, info.frames)
    decode = _seconds(lambda: frames.extend(islice(read_frames(info.path), count))) / count
    if models.face_selector(info, settings).fixed is not None:
        return decode, 0.0
    detector = models.detector(settings.detector)
    return decode, decode + _seconds(lambda: list(search(frames, detector))) / count


def _device(synthesizer: Synthesizer) -> str:
    """What computes the network, and in which precision."""
    backend = synthesizer.backend
    by = "" if backend is None else ", by TensorRT" if backend.tensorrt else ", by ONNX Runtime"
    device = synthesizer.device if backend is None else backend.device
    return f"{device}, {synthesizer.precision}{by}".replace("torch.", "")


def _speak(synthesizer: Synthesizer) -> float:
    """Seconds a frame of the network; the first batch, which pays for what is built once, does not count."""
    grid, size, needs = synthesizer.grid, synthesizer.size, synthesizer.needs
    crops = np.random.default_rng(0).integers(0, 256, (grid, size, size, 3), np.uint8)
    audio = {condition.name: np.zeros((grid, *condition.shape), np.float32) for condition in needs.audio}
    motion = np.zeros((grid, needs.motion), np.float32) if needs.motion else None
    references = crops if needs.references == 1 else np.repeat(crops[:, None], needs.references, axis=1)
    shown = NetworkInputs(crops, references, audio, motion)
    return min(_seconds(lambda: synthesizer(range(grid), shown)) for _ in range(2)) / grid


def _extras(models: Models, settings: Settings, faces: int, heard: float) -> dict[str, float]:
    """Seconds that networks of the user's take for so many faces, and so many seconds of sound."""
    retoucher, separator, seconds = models.retoucher(settings), models.separator(settings), {}
    if retoucher is not None and (occluder := retoucher.occluder) is not None:
        crop = np.zeros((occluder.side, occluder.side, 3), np.uint8)
        seconds["occlude"] = faces * min(_seconds(lambda: occluder.hidden(crop)) for _ in range(2))
    if retoucher is not None and (restorer := retoucher.restorer) is not None:
        face = np.zeros((FFHQ_SIDE, FFHQ_SIDE, 3), np.uint8)
        seconds["restore"] = faces * min(_seconds(lambda: restorer.change(face)) for _ in range(2))
    if separator is not None:
        seconds["separate"] = heard * separator.cost()
    return seconds


def _motion(pipeline: LipSyncPipeline, job_plan: JobPlan, stage1: Stage1, decode: float) -> float:
    """Seconds to read a style and to predict lip motion, as `LipMotionSource` does; decode: of a frame of the video."""
    media, plan = job_plan.media, job_plan.plan
    job = media.job
    if job.motion_in is not None:
        return 0.0
    read, hear = _stage1(stage1, pipeline.settings.style_strength)
    own, reference = _style_cost(media.info, decode, read)
    style = 0.0
    if job.style is not None:
        other = probe(job.style)
        whole = replace(pipeline.settings, box=None, fixed_crop=False)
        look = sum(_look(pipeline.models, whole, other))  # decoded to be searched, and again
        style, reference = _style_cost(other, look, read)
    frames = 0
    for segment in media.segments:
        first, stop = frames_of(segment, plan)
        frames += reference + int((stop if segment.sound is None else stop - first) / plan.fps * FPS)
    return style + own * len(media.segments) + hear * frames


def _style_cost(info: VideoInfo, look: float, read: float) -> tuple[float, int]:
    """Seconds to read how somebody speaks in a video, and of how many frames; look, read: seconds a frame, a face."""
    shown = sum(map(len, stretches_of(info)))
    return look * float(shown / FPS * info.fps) + read * shown, shown


def _stage1(stage1: Stage1, strength: float) -> tuple[float, float]:
    """Seconds to read a face, and to hear a frame of a sound or of a reference, most of what predicting costs."""
    faces = torch.zeros(PROBED, 3, stage1.size, stage1.size)
    sound = Sound(Mel(np.zeros((SAID, MELS), np.float32), 0.0), lambda: ())

    def predicted() -> Tensor:
        features = stage1.hear(sound, [range(SAID)])(0, SAID)
        reference = stage1.reference_of(features, torch.zeros(SAID, stage1.config.motion_dim))
        motion: Tensor = stage1.predictor.predict(features, reference, strength)
        return motion

    read = min(_seconds(lambda: stage1.read(faces)) for _ in range(2)) / PROBED
    return read, min(_seconds(predicted) for _ in range(2)) / SAID


def _in_flight(info: VideoInfo, plan: Plan, grid: int) -> int:
    """Bytes of frames on their way: a batch, three queues, what the encoder holds, what plays backwards."""
    pixels = info.height * info.width
    backwards = plan.extend == "pingpong" and plan.frames * plan.rate > plan.source > 1
    reverse = int(min(REVERSE_BYTES, plan.source * 1.5 * pixels)) if backwards else 0
    batch = grid * pixels * 3
    return batch + 3 * min(batch, ROOM) + int(HELD * 1.5 * pixels) + reverse


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
