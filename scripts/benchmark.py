"""How fast, and what it costs in quality: ratios measured in one run on this machine.

    python scripts/benchmark.py [--model_path CHECKPOINT] [--device auto] [--video V --audio A]

Everything is measured on the demo sample unless a video and a sound are given.  Times are medians of interleaved runs.
The released network's weights are not ours to ship; its speed does not depend on them, so the formula of the parity
tests makes them, and the finished crop is compared on the checkpoint that ships.
"""

import copy
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import cv2
import numpy as np
import torch
from torch import Tensor

from audio import ROW, read_mel
from audio.avhubert import AvHubert, AvHubertConfig
from core.errors import BadInput
from core.flags import Parser
from core.guard import reads
from core.program import exit_code
from dataset import ClipBatch, to_network
from face_detection import cut, load_detector, track_face
from face_detection.searching import BATCH, LONGEST, STRIDE
from guided_diffusion.engine.device import autocast, resolve_device, resolve_precision, store_weights
from guided_diffusion.engine.throughput import medians
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig
from lipsync.jobs.job import Job
from lipsync.jobs.runner import dub
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from scripts.formula import fill, inputs
from systems import registry
from systems.components import Components
from systems.diff2lip import Diff2Lip, Diff2LipNetwork
from systems.metrics import psnr
from systems.registry import find_preset
from systems.sound import SoundConfig
from systems.syncdiff import SyncDiffConfig
from systems.system import FaceSampler, System
from video import probe, read_frames, shrunken

FINE = SampleConfig("ddim", "ddim250")


def released_forward(device: torch.device, precision: torch.dtype) -> tuple[float, float]:
    """One forward of the released configuration, plain fp32 against what generate.py runs; a batch of 4.

    -> seconds a frame of both.
    """
    network = fill(Diff2LipNetwork(UNetConfig(), SoundConfig())).to(device)
    lowered = copy.deepcopy(network).to(memory_format=torch.channels_last)
    store_weights(lowered, precision)
    case = {name: value.to(device) for name, value in inputs("benchmark", 4, 128).items()}
    x = torch.cat([case["noise"], case["filled"], case["reference"]], dim=1)
    t = torch.full((4,), 500, device=device)

    @torch.inference_mode()
    def forward(dtype: torch.dtype) -> Tensor:
        model: Any = network if dtype == torch.float32 else lowered
        with autocast(device, dtype):
            predicted: Tensor = model(x, t, style=model.listen(case["mel"]))
            return predicted

    plain, quick = forward(torch.float32), forward(precision)
    seconds = medians({"fp32": lambda: forward(torch.float32), "ours": lambda: forward(precision)}, 3, device)
    difference = float((quick.float() - plain).norm() / plain.norm())
    plain_seconds, our_seconds = seconds["fp32"], seconds["ours"]
    print(f"released network, one forward of four frames: fp32 {plain_seconds:.2f} s, {precision} {our_seconds:.2f} s:"
          f" {plain_seconds / our_seconds:.2f}x faster, relative difference {difference:.4f}")  # fmt: skip
    return plain_seconds / 4, our_seconds / 4


def against_the_original(video: Path, forward: tuple[float, float], device: torch.device) -> None:
    """A frame of the released size as the original makes it, its other stages imitated, and as this project does.

    S3FD has the weights that it is made with: its speed does not depend on them.  The original reads and writes frames
    as JPEG; here decoding and encoding of videos is left out on both sides.
    """
    from face_alignment.detection.sfd.net_s3fd import s3fd

    network, detector = s3fd().to(device).eval(), load_detector()
    frame = next(iter(read_frames(video)))
    small = shrunken(frame, LONGEST)
    picture = torch.from_numpy(frame).permute(2, 0, 1)[None].float().to(device)

    @torch.inference_mode()
    def searched() -> None:
        network(picture)

    def through_jpeg() -> None:
        for _ in range(2):
            cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], cv2.IMREAD_COLOR)

    ways: dict[str, Callable[[], object]] = {
        "s3fd": searched, "jpeg": through_jpeg, "ours": partial(detector.detect, [small])
    }  # fmt: skip
    spent = medians(ways, 3, device)
    plain, quick = forward
    rows = [
        ("search for faces", spent["s3fd"], f"S3FD, whole frame of {frame.shape[1]}x{frame.shape[0]}, every frame",
         spent["ours"] / STRIDE, f"{detector.name}, at most {LONGEST} px, every fifth frame"),
        ("frames through JPEG", spent["jpeg"], "in and out", 0.0, "never"),
        ("network", 25 * plain, "25 steps of DDIM, fp32", 8 * quick, "8 steps of DPM-Solver++, lower precision"),
    ]  # fmt: skip
    print("\n| of a frame, seconds | as the original, imitated | | here | |\n|---|---|---|---|---|")
    for stage, theirs, how, ours, otherwise in rows:
        print(f"| {stage} | {theirs:.3f} | {how} | {ours:.3f} | {otherwise} |")
    theirs, ours = sum(row[1] for row in rows), sum(row[3] for row in rows)
    print(f"| all | {theirs:.3f} | | {ours:.3f} | {theirs / ours:.1f}x |\n")


def sample_clips(video: Path, audio: Path, size: int, count: int = 8) -> ClipBatch:
    """Frames of the sample with their sound, faces cut by the first detector that is there."""
    info = probe(video)
    frames = [frame for _, frame in zip(range(count), read_frames(video), strict=False)]
    track = track_face(iter(frames), load_detector())
    shown = [min(k, len(frames) - 1) for k in range(count)]
    faces = np.stack([cut(frames[k], box, size) for k in shown if (box := track.box(k)) is not None])
    start = round(info.fps)  # a second into the sound
    mel = torch.from_numpy(read_mel(audio).windows(start, start + count, info.fps))
    pictures = to_network(faces)[None]
    return ClipBatch(pictures, pictures[:, :1].expand_as(pictures), {"mel": mel[None]}, mel[:1])


def samplers(checkpoint: Path, clips: ClipBatch, device: torch.device, precision: torch.dtype) -> None:
    """Finished crops: precision against fp32, and few steps against 250 of DDIM; seconds per frame of each."""
    systems = {dtype: registry.load_system(checkpoint).to(device) for dtype in {torch.float32, precision}}
    usual = systems[torch.float32].sampling
    clips = clips.to(device)

    def finished(config: SampleConfig, dtype: torch.dtype) -> Tensor:
        return FaceSampler(store_weights(systems[dtype], dtype), config, precision=dtype)(clips)

    fp32 = finished(usual, torch.float32)
    apart = float(psnr(finished(usual, precision).flatten()[None], fp32.flatten()[None]))
    print(f"finished crop, {precision} against fp32: {apart:.1f} dB")
    fine = finished(FINE, torch.float32)
    ways = {
        "DDIM 25": SampleConfig("ddim", "ddim25"),
        "DPM-Solver++ 12": SampleConfig("dpm++", "12"),
        "DPM-Solver++ 8": SampleConfig("dpm++", "8"),
        "DPM-Solver++ 4": SampleConfig("dpm++", "4"),
    }
    seconds = medians({name: partial(finished, config, precision) for name, config in ways.items()}, 3, device)
    frames = clips.faces.shape[1]
    print("\n| sampler | mean abs difference to DDIM 250, of 255 | seconds a frame | against DDIM 25 |")
    print("|---|---|---|---|")
    for name, config in ways.items():
        difference = float((finished(config, torch.float32) - fine).abs().mean()) * 127.5
        ratio = seconds["DDIM 25"] / seconds[name]
        print(f"| {name} | {difference:.2f} | {seconds[name] / frames:.3f} | {ratio:.2f}x |")
    print()


def hearing(checkpoint: Path, device: torch.device, precision: torch.dtype) -> None:
    """What SyncDiff hears by, AV-HuBERT Base (random weights), against one step of the checkpoint's denoiser."""
    ears = AvHubert(AvHubertConfig()).to(device).eval().requires_grad_(False)
    system = registry.load_system(checkpoint).to(device)
    assert isinstance(system, Diff2Lip)
    network = system.network
    config, rows = network.config, SyncDiffConfig().fbank_frames
    banks = torch.randn(8, rows, ROW, device=device)
    x = torch.randn(8, config.in_channels, config.image_size, config.image_size, device=device)
    style = torch.randn(8, config.embedding, device=device)

    @torch.inference_mode()
    def run(work: Callable[[], object]) -> None:
        with autocast(device, precision):
            work()

    t = torch.full((8,), 500, device=device)
    ways = {"ears": lambda: ears(banks), "step": lambda: network(x, t, style=style)}
    seconds = medians({name: partial(run, work) for name, work in ways.items()}, 3, device)
    print(f"AV-HuBERT Base: {seconds['ears'] / 8:.3f} s for a frame's window of {rows} rows,"
          f" {seconds['ears'] / seconds['step']:.1f}x one step of the denoiser")  # fmt: skip


def systems_apart(clips: ClipBatch, device: torch.device, precision: torch.dtype) -> None:
    """What a frame costs the networks of all systems, of the same size and with 3 steps each; weights do not matter.

    SyncDiff's frames wait for each other: one stretch alone makes one at a time, 8 side by side 8.
    """
    one, many = clips.rows(slice(0, 1)), 8
    frame = ClipBatch(one.faces[:, :1], one.reference[:, :1], {"mel": one.mel[:, :1]}, one.speech).to(device)
    values = (frame.faces, frame.reference, frame.mel, frame.speech)
    faces, reference, mel, speech = (value.expand(many, *value.shape[1:]) for value in values)
    side_by_side = ClipBatch(faces, reference, {"mel": mel}, speech)
    diff2lip, syncdiff = (
        FaceSampler(store_weights(_fresh(name).to(device), precision), precision=precision)
        for name in ("diff2lip-small", "syncdiff-small")
    )
    ways = {
        "diff2lip-small, 8 frames at once": (lambda: diff2lip(side_by_side), many),
        "syncdiff-small, one stretch": (lambda: syncdiff(frame), 1),
        "syncdiff-small, 8 stretches side by side": (lambda: syncdiff(side_by_side), many),
    }
    seconds = medians({name: way for name, (way, _) in ways.items()}, 5, device)
    each = {name: seconds[name] / count for name, (_, count) in ways.items()}
    base = each["diff2lip-small, 8 frames at once"]
    print("\n| network | s a frame | of diff2lip-small |\n|---|---|---|")
    for name, value in each.items():
        print(f"| {name} | {value:.3f} | {value / base:.2f} |")
    print()


def _fresh(preset: str) -> System[object]:
    """A system of a preset as training begins it."""
    settings = find_preset(preset)
    model = registry.build(settings.kind, settings.model)
    system = registry.assemble(settings.kind, model, Components())
    assert isinstance(system, System)
    return system


def detectors(video: Path, device: torch.device) -> None:
    """Milliseconds a frame of every back end whose weights are there, 16 frames at once as they are searched; of those
    that run there, on the device and on the CPU."""
    frame = next(iter(read_frames(video)))
    small = shrunken(frame, LONGEST)
    for name in ("haar", "yunet", "retinaface", "s3fd"):
        for device_name in dict.fromkeys([device.type, "cpu"] if name in ("retinaface", "s3fd") else ["cpu"]):
            try:
                detector = load_detector(name, device=device_name, say=lambda _: None)
            except BadInput:
                print(f"detection, {name}: not measured (weights)")
                break
            spent = medians({name: partial(detector.detect, [small] * BATCH)}, 3, device)[name] / BATCH
            sizes = f"{BATCH} of {small.shape[1]}x{small.shape[0]} at once"
            print(f"detection, {name}, {device_name}: {1000 * spent:.1f} ms a frame, {sizes}")


def end_to_end(checkpoint: Path, video: Path, audio: Path, device: str) -> None:
    """generate.py on the sample: seconds a frame, and each stage's share."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(video, audio, Path(folder) / "result.mp4")
        report = dub(LipSyncPipeline(checkpoint, Settings(device=device, cache=None)), job)
    total = sum(report.seconds.values())
    shares = ", ".join(f"{stage} {100 * spent / total:.0f} %" for stage, spent in report.seconds.items())
    print(f"\nend to end: {report.frames} frames, {total / report.frames:.3f} s a frame ({shares});"
          f" peak memory {report.peak_memory / 2**20:.0f} MiB")  # fmt: skip


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model_path", type=reads, default=registry.SMALL_DIFF2LIP)
    parser.add_argument("--video", type=reads, default=ROOT / "scripts" / "demo" / "portrait.jpg")
    parser.add_argument("--audio", type=reads, default=ROOT / "scripts" / "demo" / "speech.flac")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    precision = resolve_precision("auto", device)
    cpu = f"{platform.machine()}, {os.cpu_count()} cores"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads, auto precision {precision}\n")
    forward = released_forward(device, precision)
    against_the_original(options.video, forward, device)
    size = registry.load_system(options.model_path).size
    clips = sample_clips(options.video, options.audio, size)
    samplers(options.model_path, clips, device, precision)
    systems_apart(clips, device, precision)
    hearing(options.model_path, device, precision)
    detectors(options.video, device)
    end_to_end(options.model_path, options.video, options.audio, options.device)


if __name__ == "__main__":
    sys.exit(exit_code(main))
