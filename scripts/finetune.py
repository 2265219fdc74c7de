"""Fine-tunes the renderer of a style model on one person, and measures on seconds kept apart whether that helped.

    python scripts/finetune.py VIDEO [VIDEO ...] --output runs/anna [--minutes 15] [--features VGG16]
    python generate.py person.mp4 words.wav result.mp4 --model_path runs/anna

Best are five minutes of one person who is seen well; what is said, and in which language, does not matter, nor does the
sound: stage 1, which turns sound into lip motion, stays as it is, and what is learnt is how this mouth looks when it
does that.  The last fifth of each video is held out.  OUTPUT/pack keeps what is learnt from, OUTPUT is the run and the
model.  The same command goes on where it stopped; with other videos or settings choose another OUTPUT.  What a run that
was killed had packed so far (OUTPUT/pack.unfinished) is removed and packed again.

The preset is style-medium-person (--set changes it, as in train.py).  --features, the first layers of a VGG-16, adds
the perceptual term that style-medium was trained with.

Afterwards the held-out frames are made again, told their own lip motion and shown references of the held-out clip's
other half, by the checkpoint before and after: PSNR and SSIM of the mouth half, sharpness of the mouth (of the real
one's), and with --features how unlike the lower faces look.  The difference has a 95 % bootstrap interval over
stretches of half a second; OUTPUT/figures.json has all.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
from core.atomic import atomic
from core.errors import BadInput, LipSyncError, Mismatch, Unreadable, Unwritable
from core.flags import Parser
from core.guard import guard, reads, writes_into
from core.lock import locked
from core.paths import CHECKPOINTS
from core.program import GOES_ON, exit_code

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from systems.perceptual import VggFeatures
    from systems.system import System

PRESET = "style-medium-person"
PERCEPTUAL = "loss.perceptual=0.08"  # as style-medium has it
HELD_OUT = 0.2
STRETCH = 0.5  # seconds whose frames count as one: neighbours are nearly the same
FRAMES = 120   # that are made again, at most
BATCH = 8
UNFINISHED = "pack.unfinished"
MADE_OF = "made_of.json"  # in both
BEGUN = {
    "videos": "other videos", "held_out": "--held_out {}", "face_detector": "--face_detector {}",
    "motion": "another stage 1 in --model_path",
}  # fmt: skip
MOUTH = slice(0.62, 0.92), slice(0.28, 0.72)  # rows and columns of a face in which a mouth is, as shares
FIGURES = {
    "psnr": "PSNR of the mouth half, dB", "ssim": "SSIM of the mouth half", "sharpness": "sharpness of the mouth",
    "unlikeness": "unlikeness by a VGG-16, down",
}  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("videos", type=reads, nargs="+", metavar="VIDEO", help="of one person")
    parser.add_argument("--output", type=writes_into, required=True, metavar="RUN")
    parser.add_argument("--model_path", type=reads, default=CHECKPOINTS / "style-medium", metavar="FOLDER",
                        help="what to begin with (the default checkpoint)")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=15.0, help="to train for (15)")
    parser.add_argument("--features", type=reads, metavar="FILE", help="a VGG-16's first layers")
    parser.add_argument("--held_out", type=float, default=HELD_OUT, metavar="SHARE", help=f"of each video ({HELD_OUT})")
    parser.add_argument("--face_detector", default="auto", help="as generate.py's")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options = parser.parse_args()
    if not 0 < options.held_out < 1 or not options.minutes > 0:
        raise BadInput("--held_out is a share between 0 and 1, --minutes above 0; correct them")
    files = "state.pt", "weights.safetensors", "motion.safetensors", "figures.json"
    folders = "pack", UNFINISHED, "history", "tensorboard", "strips"
    outputs, owned = ([("--output", options.output / name) for name in names] for names in (files, folders))
    guard(parser, options, outputs=outputs, owned=owned)
    return options


def run() -> None:
    options = arguments()
    from core.progress import say
    from face_detection import load_detector
    from scripts.person_pack import make_pack
    from systems.components import fingerprint, network_in
    from systems.registry import load_motion
    from systems.training import train

    before, pack, motion = network_in(options.model_path), options.output / "pack", load_motion(options.model_path)

    def fill(folder: Path) -> None:
        detector = load_detector(options.face_detector)
        make_pack(options.videos, folder, options.output.name, motion, detector, held_out=options.held_out)

    made_of = {
        "videos": [str(video.absolute()) for video in options.videos], "held_out": options.held_out,
        "face_detector": options.face_detector, "motion": fingerprint(motion.reader),
    }  # fmt: skip
    keep_whole(pack, made_of, fill)
    settings = [f"train.minutes={options.minutes}", *([PERCEPTUAL] if options.features else []), *options.settings]
    train(
        PRESET, pack, options.output, init=before, components=options.model_path, features=options.features,
        device=options.device, settings=settings,
    )  # fmt: skip
    say("measuring what was held out")
    scores = measure(options.model_path, options.output, pack, options.features, options.device)
    print(table(scores))
    with atomic(options.output / "figures.json") as path:
        path.write_text(json.dumps([vars(one) for one in scores], indent=1) + "\n", encoding="utf-8")


def keep_whole(pack: Path, made_of: Mapping[str, object], fill: Callable[[Path], object]) -> None:
    """The pack as it is, if it is there; else what `fill` makes in a folder beside it, which becomes it when whole.

    made_of: a value for each of BEGUN.  BadInput if the pack was made of something else, or does not say of what.
    Nothing stays of one that `fill` refuses to make.
    """
    unfinished = pack.with_name(UNFINISHED)
    with locked(pack.with_name(".pack.lock"), pack):
        if (pack / MADE_OF).exists():
            for name, value in _noted(pack / MADE_OF).items():
                if value != made_of[name]:
                    raise Mismatch(f"--output {pack.parent}: was begun with {BEGUN[name].format(value)}; pass the same,"
                                   " or choose another folder")  # fmt: skip
            return
        for folder in (pack, unfinished):
            if folder.exists() and any(folder.iterdir()) and not (folder / MADE_OF).exists():
                raise Unwritable(f"{folder}: does not say what its clips are of; move it away, or choose another"
                                 " --output")  # fmt: skip
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir()
        with atomic(unfinished / MADE_OF) as temporary:
            temporary.write_text(json.dumps(made_of), encoding="ascii")
        try:
            fill(unfinished)
        except LipSyncError:
            shutil.rmtree(unfinished)
            raise
        unfinished.rename(pack)


def _noted(path: Path) -> dict[str, object]:
    """What a pack says that it is made of; one of an older version says less."""
    try:
        note = json.loads(path.read_bytes())
        return {"held_out": note[0], "videos": note[1:]} if isinstance(note, list) else {k: note[k] for k in BEGUN}
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise Unreadable(f"{path}: does not say what the pack is made of ({problem}); move the pack away, or choose"
                         " another --output") from problem  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A figure, means over all frames before and after, and the difference with its interval over stretches."""

    figure: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    stretches: int


def measure(before: Path, after: Path, pack: Path, features: Path | None, device: str) -> list[Change]:
    """What fine-tuning changed.  BadInput if fewer than two stretches were held out."""
    import numpy as np

    from evaluation.metrics.bootstrap import interval
    from guided_diffusion.engine.device import resolve_device
    from systems.perceptual import load_features
    from systems.registry import load_system

    target = resolve_device(device)
    distance = None if features is None else load_features(features).to(target)
    rows = [list(_figures(load_system(model).to(target), pack, distance, target)) for model in (before, after)]
    stretches = [stretch for stretch, _ in rows[0]]
    changes = []
    for name in rows[0][0][1]:
        old, new = (np.array([figures[name] for _, figures in side]) for side in rows)
        own = [[one == stretch for one in stretches] for stretch in dict.fromkeys(stretches)]
        each = [float((new - old)[of_one].mean()) for of_one in own]
        bounds = interval(each)
        if bounds is None:
            raise BadInput(f"{pack}: too little is held out to say how sure a difference is; give longer videos")
        changes.append(Change(name, old.mean(), new.mean(), float(np.mean(each)), *bounds, len(each)))
    return changes


def _figures(
    system: "System[object]", pack: Path, distance: "VggFeatures | None", device: "torch.device"
) -> Iterator[tuple[tuple[str, int], dict[str, float]]]:
    """((clip, number of the half second), figures) of every frame that is made again."""
    import torch

    from dataset import corpus, stack, window
    from evaluation.windows import face_sampler, shown
    from systems.metrics import psnr, ssim

    sampler = face_sampler(system, device)
    clips = corpus(pack, system.size, getattr(system.config, "framing", "box"))["seen"]
    every = max(1, -(-sum(map(len, clips)) // FRAMES))
    for clip in clips:
        references = shown(len(clip), system.needs.references)
        openings = clip.labels.opening  # type: ignore[attr-defined]
        places = list(range(every // 2, len(clip), every))
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            ordered = [sorted(references[k].tolist(), key=lambda n: -openings[n]) for k in some]
            parts = [window(clip, k, 1, few, system.needs) for k, few in zip(some, ordered, strict=True)]
            motion = torch.from_numpy(clip.labels.motion[some])[:, None]  # type: ignore[attr-defined]
            batch = replace(stack(parts), motion=motion).to(device)
            result, real = (faces.flatten(0, 1).clamp(-1, 1) for faces in (sampler(batch), batch.faces))
            half = real.shape[2] // 2
            figures = {
                "psnr": psnr(result[:, :, half:], real[:, :, half:]),
                "ssim": ssim(result[:, :, half:], real[:, :, half:]),
                "sharpness": detail(result) / detail(real),
            }
            if distance is not None:
                with torch.inference_mode():
                    figures["unlikeness"] = distance(result, real)
            for row, k in enumerate(some):
                yield (clip.name, int(k / clip.fps / STRETCH)), {name: float(v[row]) for name, v in figures.items()}


def detail(faces: "Tensor") -> "Tensor":
    """The variance of the Laplacian where a mouth is.  [n, 3, s, s] -> [n]"""
    import torch
    import torch.nn.functional as F

    size = faces.shape[-1]
    rows, columns = (slice(round(part.start * size), round(part.stop * size)) for part in MOUTH)
    grey = faces[..., rows, columns].float().mean(dim=1, keepdim=True)
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], device=faces.device).view(1, 1, 3, 3)
    return F.conv2d(grey, kernel).flatten(1).var(dim=1)


def table(found: Sequence[Change]) -> str:
    """Markdown; in words, whether a difference is shown."""
    lines = ["| held-out frames | before | after | after - before | |", "|---|---|---|---|---|"]
    for one in found:
        sure = "shown" if one.low > 0 or one.high < 0 else "not shown: the interval has 0 in it"
        lines.append(
            f"| {FIGURES[one.figure]} | {one.before:.3f} | {one.after:.3f} |"
            f" {one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}] | {sure} |"
        )
    return "\n".join([*lines, f"\nIntervals over {found[0].stretches} stretches of half a second."])


if __name__ == "__main__":
    sys.exit(exit_code(run, stopped=GOES_ON))
