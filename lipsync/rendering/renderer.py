"""The network, from crops to crops: in batches of one size, and what to do when memory or the picture fails."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audio import MELS, WINDOW
from core.arrays import Pictures
from core.errors import BadInput, Mismatch, OutOfMemory, lacks_memory
from dataset import ClipBatch, to_network, to_pictures
from dataset.conditions import AudioWindows
from guided_diffusion.engine.compiling import Recorded, compiler_problem
from guided_diffusion.engine.device import resolve_device, resolve_precision, store_weights
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNet
from lipsync.onnx.unet import OnnxBackend, OnnxUNet
from lipsync.planning.face_selection import cache_folder
from lipsync.settings import Compile, Settings
from systems import registry
from systems.system import FaceSampler, System

T = TypeVar("T")

BLANK = 2 / 127.5
"""A patch that varies by no more than one grey level either way is all one colour."""


@dataclass(frozen=True)
class NetworkInputs:
    """What the network is shown of n frames: faces, references u8 [n, s, s, 3], and what is heard around each.

    references: u8 [n, k, s, s, 3] for systems that see several.
    audio: f32 [n, ...] by the names of the system's conditions.
    motion: f32 [n, d], what the lips do, for systems that are told; else None.
    """

    faces: Pictures
    references: Pictures
    audio: Mapping[str, AudioWindows]
    motion: AudioWindows | None = None

    def part(self, frames: slice | NDArray[np.int64]) -> "NetworkInputs":
        """Those of some frames."""
        audio = {name: values[frames] for name, values in self.audio.items()}
        motion = None if self.motion is None else self.motion[frames]
        return NetworkInputs(self.faces[frames], self.references[frames], audio, motion)

    @staticmethod
    def joined(parts: Sequence["NetworkInputs"]) -> "NetworkInputs":
        """Those of all frames; either all have motion, or none."""
        motions = [part.motion for part in parts if part.motion is not None]
        return NetworkInputs(
            np.concatenate([part.faces for part in parts]),
            np.concatenate([part.references for part in parts]),
            {name: np.concatenate([part.audio[name] for part in parts]) for name in parts[0].audio},
            np.concatenate(motions) if motions else None,
        )

    def clips(self, *, apart: bool = False) -> ClipBatch:
        """As one sequence of n frames; apart: as n sequences of one frame each.  None has speech: nobody judges."""

        def arranged(values: Tensor) -> Tensor:
            return values[:, None] if apart else values[None]

        faces, references = arranged(to_network(self.faces)), arranged(to_network(self.references))
        audio = {name: arranged(torch.from_numpy(values)) for name, values in self.audio.items()}
        motion = None if self.motion is None else arranged(torch.from_numpy(self.motion))
        several = references if references.ndim > faces.ndim else None
        reference = references if several is None else several[:, :, 0]
        speech = torch.zeros(len(faces), MELS, WINDOW)
        return ClipBatch(faces, reference, audio, speech, motion=motion, references=several)


class Synthesizer:
    """A loaded system that makes new faces, a batch at a time.

    grid   frames of a whole batch.  Frame k of a result is always computed in slot k % grid of a batch of one size, so
           that its numbers do not depend on where the work began.
    batch  frames computed at once: the grid, or less once memory did not suffice.
    backend   what computes the UNet in torch's place, if anything.
    compiled  whether its blocks are compiled, which changes its numbers by rounding.
    """

    def __init__(self, checkpoint: Path, settings: Settings, say: Callable[[str], None]) -> None:
        """say: told, in a sentence, what a user should know."""
        self.checkpoint = checkpoint
        self.device = resolve_device(settings.device)
        self.backend = None
        if settings.backend == "onnx":
            kept = cache_folder(settings)
            self.backend = OnnxBackend(self.device, settings.precision, None if kept is None else kept / "onnx")
        self.precision = self.backend.precision if self.backend else resolve_precision(settings.precision, self.device)
        self.seed = settings.seed
        system = self._load()
        self.sampling = sampling(system, settings)
        self.size = system.size
        self.needs = system.needs
        self.framing: str = getattr(system.config, "framing", "box")
        self.past = system.past
        if self.precision != torch.float32:
            store_weights(system, self.precision)
        self._recorded: list[Recorded] = []
        self.compiled = False
        if self.backend is None:
            self.compiled = self._quicken(system, settings.compile, say)
        else:
            self._hand_over(system, self.backend, say)
        self.sampler = FaceSampler(system, self.sampling, seed=self.seed, precision=self.precision)
        self.grid = settings.batch or (8 if self.device.type == "cpu" else 32)
        self.batch = self.grid
        self._exact: FaceSampler[object] | None = None
        self._say = say
        self._sampling = threading.RLock()

    def __call__(self, slots: Sequence[int], shown: NetworkInputs) -> Pictures:
        """n frames and what is heard -> the faces saying it, u8 [n, s, s, 3].

        slots: the place of each in the batch, rising, below `grid`.  Where each frame is made after the one before it,
        these are made as if there were none.  OutOfMemory if even one does not fit.
        """
        spoken = np.empty_like(shown.faces)
        done = 0

        def next_group(batch: int) -> int:
            """-> how many are done"""
            stop = done + sum(slot // batch == slots[done] // batch for slot in slots[done:])
            group = slice(done, stop)
            places = [slot % batch for slot in slots[group]]
            index = np.zeros(batch, np.int64)  # the free places are filled up with the first item
            index[places] = np.arange(len(places))
            faces, good = self.sample(self._clips(shown.part(group).part(index)))
            if not good.all():
                raise self.no_picture()
            spoken[group] = to_pictures(faces[places])
            return stop

        while done < len(slots):
            done = self.within_memory(next_group)
        return spoken

    def within_memory(self, attempt: Callable[[int], T]) -> T:
        """attempt(batch), and again with half the batch as long as memory lacks.  OutOfMemory if one does not fit."""
        with self._sampling:
            while True:
                try:
                    return attempt(self.batch)
                except (MemoryError, RuntimeError) as problem:
                    if not lacks_memory(problem):
                        raise
                    self._halve(problem)

    def sample(self, clips: ClipBatch) -> tuple[Tensor, Tensor]:
        """The faces of all sequences, speaking, [n, 3, s, s] in [-1, 1], and which of them are pictures, bool [n].

        If any is none, all are repeated in float32.  One thread samples at a time.
        """
        with self._sampling:
            return self._sampled(clips)

    def _sampled(self, clips: ClipBatch) -> tuple[Tensor, Tensor]:
        faces = clips.faces.flatten(0, 1)
        spoken = self.sampler(clips).flatten(0, 1)
        good = is_picture(spoken, faces)
        if not good.all() and self.precision != torch.float32:
            if self._exact is None:
                self._say(f"the network gave no picture in {self.precision}; repeating such batches in float32")
                self._exact = FaceSampler(self._load(), self.sampling, seed=self.seed)
            spoken = self._exact(clips).flatten(0, 1)
            good = is_picture(spoken, faces)
        return spoken, good

    def warm(self) -> None:
        """Samples a batch of nothing, as large as those of frames, so that the first of them finds all at hand."""
        needs, size = self.needs, self.size
        n = 1 if needs.before else self.batch  # frame after frame how many are made at once depends on the list
        audio = {condition.name: np.zeros((n, *condition.shape), np.float32) for condition in needs.audio}
        blank = np.zeros((n, size, size, 3), np.uint8)
        references = blank if needs.references == 1 else np.repeat(blank[:, None], needs.references, axis=1)
        motion = np.zeros((n, needs.motion), np.float32) if needs.motion else None
        clips = self._clips(NetworkInputs(blank, references, audio, motion))
        with self._sampling:
            self.sampler(clips)

    def _clips(self, shown: NetworkInputs) -> ClipBatch:
        """On the device, no frame having one before it."""
        if not self.needs.before:
            return shown.clips().to(self.device)
        clips = shown.clips(apart=True).to(self.device)
        return replace(clips, before=torch.cat([self.past(None, face[None]) for face in clips.faces]))

    def no_picture(self) -> BadInput:
        """Says that a face is none."""
        return Mismatch(f"{self.checkpoint}: this network gives no picture; pass another checkpoint with --model_path")

    def _halve(self, problem: BaseException) -> None:
        if self.batch == 1:
            raise OutOfMemory(
                f"out of memory on {self.device}, even for one frame at a time; close other programs, or pass another "
                "--device or a smaller checkpoint"
            ) from problem
        self.batch //= 2
        for recorded in self._recorded:
            recorded.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._say(
            f"out of memory: going on with {self.batch} frames at a time (--batch {self.batch} starts so); the frames "
            "are no longer, bit for bit, those of a run with enough memory"
        )

    def _quicken(self, system: nn.Module, how: Compile, say: Callable[[str], None]) -> bool:
        """Has the system's UNets compiled and recorded, as far as this machine can; -> whether they are compiled."""
        networks = _unets(system) if how != "none" else []
        compiled = False
        if how == "full":
            problem = compiler_problem(self.device)
            compiled = problem is None
            if problem is not None:
                say(f"--compile full: torch's compiler does not work here ({problem}); going on without")
        if how == "graphs" and self.device.type != "cuda":
            say(f"--compile graphs has no effect on {self.device.type}: CUDA graphs want a CUDA device")
        for network in networks:
            if compiled:
                network.compile()
            if self.device.type == "cuda":
                self._recorded.append(Recorded(network.forward, say))
                network.forward = self._recorded[-1]  # type: ignore[method-assign]
        return compiled

    def _hand_over(self, system: nn.Module, backend: OnnxBackend, say: Callable[[str], None]) -> None:
        """Has ONNX Runtime compute the system's UNets."""
        for number, network in enumerate(_unets(system)):

            def load(number: int = number) -> UNet:
                return _unets(registry.load_system(self.checkpoint))[number]

            stand_in = OnnxUNet(network, load, registry.network_file(self.checkpoint), backend, say)
            network.forward = stand_in  # type: ignore[method-assign]

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies, and whatever belongs to it."""
        return self.checkpoint if self.checkpoint.is_dir() else self.checkpoint.parent

    def _load(self) -> System[object]:
        """The system in float32 on the device; channels-last is the quicker layout everywhere (docs/speed.md)."""
        return registry.load_system(self.checkpoint).to(self.device).to(memory_format=torch.channels_last)


def _unets(system: nn.Module) -> list[UNet]:
    return [part for part in system.modules() if isinstance(part, UNet)]


def sampling(system: System[object], settings: Settings) -> SampleConfig:
    """What the checkpoint says for --quality, changed by --sampler, --steps and --audio_strength."""
    config: SampleConfig = {"balanced": system.sampling, **system.qualities}[settings.quality]
    if settings.sampler is not None:
        config = replace(config, sampler=settings.sampler)
    if settings.steps is not None:
        config = replace(config, spacing=settings.steps)
    if settings.audio_strength is not None:
        config = replace(config, audio_strength=settings.audio_strength)
    return config


def is_picture(spoken: Tensor, faces: Tensor) -> Tensor:
    """Which of [n, 3, s, s] are finite, with no lower half of one colour that the face lacks.  -> [n] bool"""
    lower = spoken.shape[-2] // 2

    def flat(pictures: Tensor) -> Tensor:
        half = pictures[..., lower:, :].flatten(2)
        return ((half.amax(2) - half.amin(2)) <= BLANK).all(1)

    return torch.isfinite(spoken).flatten(1).all(1) & ~(flat(spoken) & ~flat(faces))
