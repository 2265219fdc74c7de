"""Does the mouth open when the real one does?  Correlation of mouth opening, generated against real, frame by frame.

    python scripts/mouth_opening.py speak --data PREPARED --output DIR [--model_path FILE] [--clips 12] [--spacing 1]
    python scripts/mouth_opening.py correlate DIR --landmarker face_landmarker.task

`speak` generates every frame of held-out clips with the own sound and with another clip's (--spacing 1: the one-step
prediction from pure noise) and stores them.  `correlate` needs only numpy and mediapipe, which does not live beside our
opencv-python, so give it an environment of its own.  Opening: distance of the inner lips over the mouth's width.
A style model (its folder) is told the lip motion that its stage 1 predicts of the sound, in the manner of another clip
of the speaker (scripts/lips.py).
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.flags import Parser
from core.guard import guard, reads, writes_into
from core.program import exit_code

KINDS = ("real", "own", "other")
UPPER, LOWER, LEFT, RIGHT = 13, 14, 61, 291  # of MediaPipe's 478 points: inner lips, corners of the mouth


def speak(options: argparse.Namespace) -> None:
    """One .npz a clip: real, own, other u8 [t, s, s, 3]."""
    import torch
    from tqdm import tqdm

    from dataset import ClipBatch, entries, load_clip, to_network, to_pictures
    from guided_diffusion.engine.device import resolve_device, resolve_precision, store_weights
    from guided_diffusion.samplers import SampleConfig
    from scripts.lips import lips_of
    from scripts.measure import group_of, others
    from systems import registry
    from systems.system import FaceSampler

    device = resolve_device("auto")
    checkpoint = options.model_path or registry.DEFAULT_CHECKPOINT
    system = registry.load_system(checkpoint).to(device)
    sampling = SampleConfig("dpm++", options.spacing) if options.spacing else None
    precision = resolve_precision("auto", device)
    speaker = FaceSampler(store_weights(system, precision), sampling, precision=precision)
    options.output.mkdir(parents=True, exist_ok=True)
    for split in ("seen", "test"):
        clips = [load_clip(entry) for entry in entries(options.data, split)]
        lips = lips_of(checkpoint, system, clips, device)
        pairs = defaultdict(list)
        for clip, wrong in zip(clips, others(clips, split), strict=True):
            pairs[group_of(split, clip.speaker)].append((clip, wrong))
        chosen = [pair for group in pairs.values() for pair in group[:: max(1, len(group) // options.clips)]]
        for clip, wrong in tqdm(chosen, desc=split, unit="clip", disable=None):
            n = len(clip)
            faces = to_network(clip.faces)[None]
            references = faces[0, shown(n, system.needs.references)][None]  # [1, n, k, 3, s, s]
            reference, several = references[:, :, 0], references if system.needs.references > 1 else None
            found = {"real": clip.faces}
            for kind, sound in (("own", clip), ("other", wrong)):
                mel = torch.from_numpy(sound.mel.windows(0, n, clip.fps))[None]
                motion = None if lips is None else lips(clip, sound, range(n), clip.fps)[None]
                batch = ClipBatch(faces, reference, mel, mel[:, 0], motion=motion, references=several)
                found[kind] = to_pictures(speaker(batch.to(device))[0])
            name = f"{group_of(split, clip.speaker)}#{clip.speaker}#{clip.name}.npz"
            np.savez(options.output / name, allow_pickle=False, **found)


def shown(frames: int, count: int) -> np.ndarray:
    """Which frames each frame is shown: `count` spread over the clip's other half.  [frames, count]"""
    halves = range(frames // 2, frames), range(frames // 2)
    spread = np.array([[half[(2 * k + 1) * len(half) // (2 * count)] for k in range(count)] for half in halves])
    return spread[(np.arange(frames) >= frames // 2).astype(int)]


def correlate(options: argparse.Namespace) -> None:
    """Prints a row a group: mean correlation over clips, own and other sound."""
    import mediapipe as mp

    tasks = mp.tasks.vision
    base = mp.tasks.BaseOptions(model_asset_path=str(options.landmarker))
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tasks.FaceLandmarker.create_from_options(tasks.FaceLandmarkerOptions(base_options=base)) as landmarker:

        def opening(picture: np.ndarray) -> float:
            wide = np.pad(picture, ((64, 64), (64, 64), (0, 0)), mode="edge")
            faces = landmarker.detect(mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(wide))).face_landmarks
            if not faces:
                return float("nan")
            points = np.array([(p.x, p.y) for p in faces[0]])
            height = np.linalg.norm(points[UPPER] - points[LOWER])
            return float(height / np.linalg.norm(points[LEFT] - points[RIGHT]))

        for path in sorted(options.folder.glob("*.npz")):
            with np.load(path) as file:
                curves = np.array([[opening(picture) for picture in file[kind]] for kind in KINDS])
            curves = curves[:, ~np.isnan(curves).any(axis=0)]
            if curves.shape[1] > 10 and (curves.std(axis=1) > 0).all():
                r = np.corrcoef(curves)
                found[path.name.split("#")[0]].append((r[0, 1], r[0, 2]))
    print("| clips | n | r own sound | r other sound |\n|---|---|---|---|")
    for group, values in sorted(found.items()):
        own, other = np.mean(values, axis=0)
        print(f"| {group} | {len(values)} | {own:.2f} | {other:.2f} |")


def main() -> None:
    parser = Parser(__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("speak")
    first.add_argument("--data", type=reads, required=True)
    first.add_argument("--output", type=writes_into, required=True)
    first.add_argument("--model_path", type=reads)
    first.add_argument("--clips", type=int, default=12, help="of each group")
    first.add_argument("--spacing", help="steps of DPM-Solver++ instead of the checkpoint's sampling")
    first.set_defaults(run=speak)
    second = commands.add_parser("correlate")
    second.add_argument("folder", type=reads)
    second.add_argument("--landmarker", type=reads, required=True, help="MediaPipe's face_landmarker .task file")
    second.set_defaults(run=correlate)
    options = parser.parse_args()
    guard(parser, options)
    options.run(options)


if __name__ == "__main__":
    sys.exit(exit_code(main))
