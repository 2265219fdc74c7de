"""The Python API: a loaded model that makes faces speak, as often as one likes."""

import difflib
from collections.abc import Iterator
from dataclasses import fields, replace
from fractions import Fraction
from numbers import Integral, Rational, Real
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from core.errors import BadValue
from core.progress import Told, say_anew, telling
from lipsync.jobs.job import Job, Report, check_there
from lipsync.jobs.runner import dub
from systems.registry import DEFAULT_CHECKPOINT

from .pipeline import LipSyncPipeline
from .settings import LARGEST, LOADED, NETWORKS, Settings
from .streaming.prepared_face import prepare_face
from .streaming.stream import Stream

AnyPath = str | PathLike[str]
FILES = {"segments": "segments", "mux_audio": "heard", "style_video": "style", "motion_in": "motion_in"}
NAMES = {field.name for field in fields(Settings)}
TAKEN: dict[type, Any] = {
    bool: (bool, np.bool_), int: Integral, float: Real, Fraction: Rational, Path: (str, PathLike),
}  # fmt: skip
"""What a setting takes besides its own type."""
CALLED = {
    bool: "True and False", int: "the whole numbers", float: "the numbers", Fraction: "the rates, such as 25 or"
    " Fraction(30000, 1001)", str: "the texts", Path: "the paths", NoneType: "None",
}  # fmt: skip


class LipSync:
    """A loaded model; calling it makes a file, `frames` makes pictures.

        model = LipSync.from_pretrained()
        report = model("person.mp4", "words.wav", "result.mp4")
        for frame in model.frames("person.mp4", "words.wav", length="video"):
            ...

    Settings are the fields of `lipsync.settings.Settings`, most of them called as the flags of generate.py; `quality`,
    `sampler`, `steps`, `audio_strength`, `seed`, `batch`, `device`, `precision`, `compile` and `backend` belong to the
    model and are given when it is loaded.  Same seed, same frames.  What cannot be raises a `LipSyncError`
    (core.errors), whose text says what to do: BadInput, NoFace, OutOfMemory; then there is no new file.
    """

    def __init__(self, checkpoint: Path, settings: Settings) -> None:
        """See `from_pretrained`."""
        self._pipeline = LipSyncPipeline(checkpoint, settings)

    @classmethod
    def from_pretrained(cls, path: AnyPath | None = None, **settings: Any) -> Self:
        """Loads a checkpoint: a .safetensors or .pt file, a folder of one in several parts, or None for the default.

        settings: the defaults of all calls, and what belongs to the model, such as device="cuda" or precision="bf16".
        Raises BadInput if there is no such checkpoint or setting.
        """
        _check(settings, NAMES)
        return cls(DEFAULT_CHECKPOINT if path is None else Path(path), Settings(**_with_paths(settings)))

    @property
    def settings(self) -> Settings:
        """What calls do unless they are told otherwise."""
        return self._pipeline.settings

    @property
    def predicts_motion(self) -> bool:
        """Whether this model predicts how lips move before it makes a frame, so that `motion_out` can be written."""
        return self._pipeline.models.stage1 is not None

    def __call__(
        self,
        video: AnyPath,
        audio: AnyPath | None,
        output: AnyPath,
        *,
        motion_out: AnyPath | None = None,
        progress: Told | None = None,
        **changes: Any,
    ) -> Report:
        """Writes a video, whole or not at all.

        video    a video or a still picture of the person
        audio    the words: a sound, or a video with sound; None if segments=FILE names all of them
        output   .mp4, .mov or .mkv
        changes  settings of this call alone, or files: segments, mux_audio, style_video, motion_in
        motion_out  where to write what the lips do, .npz, for a system that is told so
        progress    called as it goes on, with a stage, how many of its frames are done, and how many it has
        """
        say_anew()
        pipeline, job = self._told(video, audio, Path(output), changes)
        with telling(progress):
            return dub(pipeline, replace(job, motion_out=None if motion_out is None else Path(motion_out)))

    def frames(self, video: AnyPath, audio: AnyPath | None, **changes: Any) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames of the result, u8 [h, w, 3] RGB, upright, without writing anything; in constant memory.

        Faces are found before the first frame.  Arguments as for a call.
        """
        say_anew()
        pipeline, job = self._told(video, audio, Path("result.mkv"), changes)
        job.check_reads()
        check_there(pipeline.settings)
        render_job = pipeline.prepare(pipeline.plan(job))
        render_job.warn()
        yield from render_job.frames()

    def stream(
        self,
        video: AnyPath,
        *,
        style_video: AnyPath | None = None,
        seconds: float = 10.0,
        lookahead: float | None = None,
        batch: int = 0,
        **changes: Any,
    ) -> Stream:
        """A face made ready to say a sound as it comes (`lipsync.streaming.stream.Stream`); found, cut and read once.

        video      a video, of which at most so many `seconds` go back and forth, in 512 MiB at most; or a picture
        lookahead  seconds of sound that a style model waits for; None: 0.5.  Other models wait for what they hear
        batch      frames made at once; 0: 1 on a CPU and for models that make frames one after another, else 5
        changes    settings of this stream alone
        Raises BadInput and NoFace.
        """
        say_anew()
        _check(changes, NAMES)
        _check_kind("seconds", seconds, float)
        _check_kind("lookahead", lookahead, float | None)
        _check_kind("batch", batch, int)
        if not 0 <= batch <= LARGEST:
            raise BadValue(f"batch {batch}: give how many frames are made at once, or 0 for what suits the device")
        if lookahead is not None and not lookahead > 0:
            raise BadValue(f"lookahead {lookahead:g}: give seconds of sound, above 0")
        if fixed := sorted(LOADED & changes.keys()):
            raise BadValue(f"{', '.join(fixed)}: belongs to the loaded model; pass it to LipSync.from_pretrained")
        pipeline = self._pipeline.adjusted(**_with_paths(changes))
        prepared = prepare_face(
            pipeline.models, pipeline.settings, Path(video), seconds=seconds,
            style=None if style_video is None else Path(style_video), lookahead=lookahead,
        )  # fmt: skip
        return Stream(prepared, pipeline.models.synthesizer, pipeline.settings, batch)

    def _told(
        self, video: AnyPath, audio: AnyPath | None, output: Path, changes: dict[str, Any]
    ) -> tuple[LipSyncPipeline, Job]:
        _check(changes, NAMES | FILES.keys())
        files = {job: Path(changes.pop(name)) for name, job in FILES.items() if changes.get(name) is not None}
        own = _with_paths({name: value for name, value in changes.items() if name in NAMES})
        if fixed := sorted(LOADED & own.keys()):
            raise BadValue(f"{', '.join(fixed)}: belongs to the loaded model; pass it to LipSync.from_pretrained")
        sound = None if audio is None else Path(audio)
        return self._pipeline.adjusted(**own), Job(Path(video), sound, output, **files)


def _with_paths(given: dict[str, Any]) -> dict[str, Any]:
    """The settings that name a file as paths, however they were given."""
    named = {name: value for name in (*NETWORKS, "cache") if (value := given.get(name)) is not None}
    return given | {name: Path(value) for name, value in named.items() if (name, value) != ("cache", "default")}


def _check(given: dict[str, Any], known: set[str]) -> None:
    """Raises BadInput for a name that nobody knows, or a value that is none of those that a setting takes."""
    for name in sorted(given.keys() - known):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise BadValue(f"{name}: unknown setting; {hint}")
    hints = get_type_hints(Settings)
    for name in given.keys() & hints.keys():
        _check_kind(name, given[name], hints[name])


def _check_kind(name: str, value: Any, hint: Any) -> None:
    """Raises BadInput for a value of another kind than the type of a setting says: a word is neither True nor False."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not any(_is_of(value, kind) for kind in kinds):
        wanted = ", ".join(_called(kind) for kind in kinds)
        raise BadValue(f"{name}: {value!r} is none of {wanted}")


def _is_of(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        sides = value if isinstance(value, (tuple, list)) else ()
        return len(sides) == len(get_args(kind)) and all(map(_is_of, sides, get_args(kind)))
    return isinstance(value, TAKEN.get(kind, kind))


def _called(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    return "four numbers" if get_origin(kind) is tuple else CALLED[kind]
