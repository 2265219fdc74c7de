"""How well every face detector frames a face as VoxCeleb2 does, and the constants that make it do so.

    python scripts/calibrate_detectors.py --root ../shared/clips --weights ../shared/weights

On the face crops under ROOT/faces (224x224, the face at `voxceleb2_box`) it prints, per detector,
1. the BoxCalibration that the train clips ask for: medians over speakers (these are the constants in face_detection/);
2. on held-out clips (splits seen and test) how the calibrated box lies: median and tenth-percentile IoU; the bias
   (median) and spread (median absolute deviation) of x and y, in sizes of the box, and of the scale, as a share; the
   share of faces found; milliseconds of one core per 256x256 picture;
and on the uncropped videos under ROOT/full
3. how the box found in a 224x224 crop differs from the one found in the whole frame.

A crop ends at the forehead, a whole frame does not.  So the crops are padded by 16 repeated pixels, which is where (3)
comes out near nothing for all detectors (1.5 % at most); unpadded, haar finds a face 2 % smaller in the crop than in
the whole frame, and with 32 repeated pixels yunet finds it 4 % smaller.

`corrected`: by face_detection/reframing.py, as load_detector does.
Measured 2026-11 on 142 held-out crops of 35 speakers:

| detector | median IoU | p10 IoU | bias x | bias y | bias scale | spread x | y | scale | found | ms |
|---|---|---|---|---|---|---|---|---|---|---|
| haar | 0.901 | 0.826 | -0.006 | +0.002 | -0.022 | 0.022 | 0.009 | 0.024 | 100.0% | 72 |
| yunet | 0.932 | 0.877 | +0.001 | +0.003 | -0.002 | 0.009 | 0.010 | 0.029 | 100.0% | 6 |
| retinaface | 0.936 | 0.885 | -0.001 | +0.001 | -0.010 | 0.010 | 0.010 | 0.023 | 100.0% | 11 |
| blazeface | 0.913 | 0.832 | -0.005 | +0.001 | -0.008 | 0.012 | 0.017 | 0.033 | 100.0% | 6 |
| haar, corrected | 0.949 | 0.894 | -0.003 | -0.000 | -0.001 | 0.008 | 0.006 | 0.018 | 100.0% | 129 |
| yunet, corrected | 0.948 | 0.896 | -0.003 | +0.000 | -0.003 | 0.008 | 0.007 | 0.017 | 100.0% | 19 |
| retinaface, corrected | 0.949 | 0.895 | -0.003 | -0.000 | -0.003 | 0.008 | 0.007 | 0.017 | 100.0% | 24 |
| blazeface, corrected | 0.951 | 0.895 | -0.003 | +0.000 | -0.002 | 0.008 | 0.007 | 0.017 | 100.0% | 10 |
"""

import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import cv2
import numpy as np
import torch

from core.arrays import Picture
from core.flags import Parser
from core.guard import reads
from face_detection import Box, Detector, voxceleb2_box
from face_detection import networks as torch_networks
from face_detection import yunet as opencv_networks
from face_detection.detector import BoxCalibration
from face_detection.haar import FRONTAL, TILTED, HaarDetector
from face_detection.reframing import BoxRefiner, load_framing
from face_detection.weights import TABLE
from video import read_frames

PADDING = 16
PER_SPEAKER = 4
LONGEST = 640
TARGET = voxceleb2_box(224, 224)


@dataclass(frozen=True)
class Candidate:
    """A detector to measure, and the calibration to correct; None where it mixes several."""

    label: str
    detector: Detector
    calibration: BoxCalibration | None


def candidates(weights: Path) -> list[Candidate]:
    """All detectors whose weights lie in this folder."""
    detectors = [
        Candidate("haar", HaarDetector(), None),
        Candidate("haar alt2", HaarDetector((FRONTAL,)), FRONTAL.calibration),
        Candidate("haar default", HaarDetector((TILTED,)), TILTED.calibration),
    ]
    paths = {name: entry.on_disk((weights,)) for name, entry in TABLE.items()}
    if path := paths["yunet"]:
        detectors.append(Candidate("yunet", opencv_networks.YuNetDetector(path), opencv_networks.CALIBRATION))
    if path := paths["retinaface"]:
        retinaface = torch_networks.retinaface(path, "cpu")
        detectors.append(Candidate("retinaface", retinaface, torch_networks.RETINAFACE_CALIBRATION))
    if path := paths["s3fd"]:
        detectors.append(Candidate("s3fd", torch_networks.s3fd(path, "cpu"), torch_networks.S3FD_CALIBRATION))
    if path := paths["blazeface"]:
        detectors.append(
            Candidate("blazeface", torch_networks.BlazeFaceDetector(path, "cpu"), torch_networks.BLAZEFACE_CALIBRATION)
        )
    framing = load_framing()
    mixed = [one for one in detectors if not one.label.startswith("haar ")]
    return detectors + [Candidate(f"{one.label}, corrected", BoxRefiner(one.detector, framing), None) for one in mixed]


def crops(root: Path, splits: Sequence[str]) -> list[tuple[str, Picture]]:
    """(speaker, face crop), PER_SPEAKER of each speaker, from the middle of as many clips as there are."""
    rows = list(csv.DictReader((root / "faces.csv").open(encoding="utf-8")))
    taken = []
    for speaker in sorted({row["speaker"] for row in rows}):
        clips = [row for row in rows if row["speaker"] == speaker and row["split"] in splits]
        clips = clips[:: max(len(clips) // PER_SPEAKER, 1)][:PER_SPEAKER]
        each = -(-PER_SPEAKER // len(clips)) if clips else 0
        for row in clips:
            frames = int(row["frames"])
            for place in range(each):
                start = frames * (2 * place + 1) // (2 * each)
                taken += [(speaker, frame) for frame in read_frames(root / row["file"], start=start, stop=start + 1)]
    return taken


def find(detector: Detector, crop: Picture, padding: int = PADDING) -> Box | None:
    """The best face in a padded crop, in pixels of the crop."""
    padded = cv2.copyMakeBorder(crop, padding, padding, padding, padding, cv2.BORDER_REPLICATE)
    detections = detector.detect([np.asarray(padded, np.uint8)])[0]
    return moved(detections[0].box, -padding, -padding) if detections else None


def moved(box: Box, x: float, y: float) -> Box:
    return Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y)


def residual(box: Box, target: Box) -> tuple[float, float, float]:
    """How the box lies off the target: x and y in sizes of the target, and the scale's logarithm."""
    x, y = ((a - b) for a, b in zip(box.centre, target.centre, strict=True))
    return x / target.width, y / target.height, float(np.log(box.height / target.height))


def fitted(boxes: Sequence[tuple[str, Box]], calibration: BoxCalibration) -> BoxCalibration:
    """The one that would have put these boxes on the target: the median over speakers of each speaker's median."""
    wanted: dict[str, list[tuple[float, float, float]]] = {}
    for speaker, box in boxes:
        unit = box.height / calibration.height  # of the detector's own box
        x, y = ((a - b) / unit for a, b in zip(TARGET.centre, box.centre, strict=True))
        wanted.setdefault(speaker, []).append((calibration.x + x, calibration.y + y, TARGET.height / unit))
    medians = np.median([np.median(rows, axis=0) for rows in wanted.values()], axis=0)
    return BoxCalibration(*(round(float(value), 3) for value in medians))


def whole_frames(root: Path) -> Iterator[Picture]:
    """Every 30th of the first 150 frames of the uncropped videos."""
    for path in sorted((root / "full").iterdir()):
        yield from islice(read_frames(path), 0, 150, 30)


def crop_against_whole(candidate: Candidate, frames: Sequence[Picture], padding: int) -> list[tuple[float, ...]]:
    """The residuals of the face found in the crop that a data set would cut, against that in the whole frame."""
    differences: list[tuple[float, ...]] = []
    for frame in frames:
        scale = min(1.0, LONGEST / max(frame.shape[:2]))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rough = candidate.detector.detect([np.asarray(small, np.uint8)])[0]
        if not rough:
            continue
        scale *= TARGET.height / rough[0].box.height  # now the face is as tall as in the crops
        sized = cv2.resize(
            frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
        whole = candidate.detector.detect([np.asarray(sized, np.uint8)])[0]
        if not whole:
            continue
        left, top = (round(a - b) for a, b in zip(whole[0].box.centre, TARGET.centre, strict=True))
        wide = cv2.copyMakeBorder(sized, 224, 224, 224, 224, cv2.BORDER_REPLICATE)
        crop = np.asarray(wide[top + 224 : top + 448, left + 224 : left + 448], np.uint8)
        if crop.shape == (224, 224, 3) and (box := find(candidate.detector, crop, padding)):
            differences.append(residual(moved(box, left, top), whole[0].box))
    return differences


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--root", type=reads, default=Path("../shared/clips"), help="the folder of real clips")
    parser.add_argument("--weights", type=reads, default=Path("../shared/weights"), help="the folder of weight files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    train, held_out = crops(arguments.root, ["train"]), crops(arguments.root, ["seen", "test"])
    frames = list(whole_frames(arguments.root))
    print(f"{len(train)} train crops, {len(held_out)} held-out crops, {len(frames)} whole frames\n")
    print("| detector | median IoU | p10 IoU | bias x | bias y | bias scale | spread x | y | scale | found | ms |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    notes = []
    for candidate in candidates(arguments.weights):
        start = time.process_time()
        boxes = [find(candidate.detector, crop) for _, crop in held_out]
        milliseconds = 1000 * (time.process_time() - start) / len(held_out)
        print(row(candidate.label, [box for box in boxes if box], len(boxes), milliseconds), flush=True)
        if candidate.calibration:
            known = [(speaker, box) for speaker, crop in train if (box := find(candidate.detector, crop))]
            notes.append(f"{candidate.label}: constants {candidate.calibration}, the train clips ask for")
            notes.append(f"    {fitted(known, candidate.calibration)} ({len(known)}/{len(train)} found)")
        for padding in (0, PADDING, 32):
            x, y, scale = np.median(crop_against_whole(candidate, frames, padding), axis=0)
            notes.append(
                f"    {candidate.label}: crop padded by {padding} against whole frame: "
                f"x {x:+.3f} y {y:+.3f} scale {scale:+.3f}"
            )
    print("", *notes, sep="\n")


def row(label: str, boxes: Sequence[Box], of: int, milliseconds: float) -> str:
    overlaps = [box.iou(TARGET) for box in boxes]
    off = np.array([residual(box, TARGET) for box in boxes])
    bias = np.median(off, axis=0)
    spread = np.median(np.abs(off - bias), axis=0)
    cells = [label, f"{np.median(overlaps):.3f}", f"{np.percentile(overlaps, 10):.3f}"]
    cells += [f"{value:+.3f}" for value in bias] + [f"{value:.3f}" for value in spread]
    return "| " + " | ".join([*cells, f"{len(boxes) / of:.1%}", f"{milliseconds:.0f}"]) + " |"


if __name__ == "__main__":
    main()
