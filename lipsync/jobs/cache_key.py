"""What determines a result, as one word: files made under one identity go together, others never do."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from face_detection.landmarks import WEIGHTS as ALIGNING
from lipsync.models import Models
from lipsync.planning.speaker_segments import read_segments
from lipsync.settings import NETWORKS, Settings
from systems.components import component_files

from .job import Job

VERSION = 14
"""Raised whenever the same inputs and settings would give other frames."""
IRRELEVANT = ("cache", "detector_batch", "compile", "backend")  # settings that change no frame by themselves
EXTRAS = (*NETWORKS, "restorer_strength", "separator_rate", "mark", "mark_text")  # which count where they are asked for


def cache_key(job: Job, settings: Settings, models: Models) -> str:
    """16 hexadecimal digits of every setting and input file that a result depends on.

    A file is its place, size and time of change: reading thousands of them again would take longer than it is worth.
    `auto` counts as what was chosen.  The number of threads does not count: it changes rounding at most.
    """
    synthesizer = models.synthesizer
    detects = settings.box is None and not settings.fixed_crop
    relevant = {name: value for name, value in asdict(settings).items() if name not in (*IRRELEVANT, *EXTRAS)}
    relevant |= {"extras": settings.extras} if settings.extras else {}
    relevant |= {
        "batch": synthesizer.grid,
        "detector": models.detector(settings.detector).name if detects else None,
        "device": synthesizer.device.type,
        "precision": str(synthesizer.precision),
    }
    if synthesizer.compiled:
        relevant["compile"] = "full"
    if synthesizer.backend is not None:
        relevant["backend"] = "tensorrt" if synthesizer.backend.tensorrt else f"onnx {synthesizer.backend.device.type}"
    everything = [VERSION, relevant, [_stamp(path) for path in _inputs(job, settings, models)]]
    return hashlib.blake2b(json.dumps(everything, default=str).encode(), digest_size=8).hexdigest()


def _inputs(job: Job, settings: Settings, models: Models) -> list[Path | None]:
    listed = read_segments(job.segments, settings.face, job.audio) if job.segments else []
    sounds = [segment.sound for segment in listed]
    model = models.synthesizer.checkpoint
    files = sorted(model.glob("**/*")) if model.is_dir() else [model, *component_files(model.parent)]
    if models.uses_landmarks(settings):
        files.append(ALIGNING)
    files += [path for _, path in settings.networks]
    return [*files, job.video, job.audio, job.segments, job.heard, job.style, job.motion_in, *sounds]


def _stamp(path: Path | None) -> tuple[str, int, int] | None:
    if path is None:
        return None
    file = path.stat()
    return str(path.resolve()), file.st_size, file.st_mtime_ns
