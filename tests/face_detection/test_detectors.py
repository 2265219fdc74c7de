"""The guard of the framing: every back end frames a face as VoxCeleb2 does, in a crop and in a whole picture."""

import csv
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from face_detection import Box, Detector, voxceleb2_box
from face_detection.detector import ASPECT
from face_detection.haar import HaarDetector
from face_detection.weights import TABLE
from video import read_frames

TESTS = Path(__file__).resolve().parents[1]
SHARED = TESTS.parents[1] / "shared"
TARGET = voxceleb2_box(224, 224)

# Set by hand to the framing of VoxCeleb2: eyes at 0.43, mouth at 0.74 of the height, chin at the lower edge.
ASTRONAUT = Box(173, 47, 275, 178)


@pytest.fixture(autouse=True)
def one_thread():
    """Small pictures: more threads than idle cores make torch many times slower."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def astronaut() -> np.ndarray:
    """RGB, 512x512: Eileen Collins by NASA, public domain, as scikit-image's data has it."""
    return cv2.imread(str(TESTS.parent / "scripts" / "demo" / "portrait.jpg"), cv2.IMREAD_COLOR_RGB)


@cache
def detector(name: str) -> Detector:
    if name == "haar":
        if not hasattr(cv2, "CascadeClassifier"):
            pytest.skip("this OpenCV has no cascades")
        return HaarDetector()
    path = TABLE[name].on_disk((SHARED / "weights",))
    if path is None:
        pytest.skip(f"no weights of {name} at hand")
    if name == "yunet":
        from face_detection.yunet import YuNetDetector

        return YuNetDetector(path)
    pytest.importorskip("face_alignment")
    from face_detection import networks

    return networks.retinaface(path, "cpu") if name == "retinaface" else networks.BlazeFaceDetector(path, "cpu")


ALL = pytest.mark.parametrize("name", ["haar", "yunet", "retinaface", "blazeface"])


@ALL
def test_a_portrait_is_framed_as_set_by_hand(name):
    (found,) = detector(name).detect([astronaut()])[0]
    assert found.box.iou(ASTRONAUT) > 0.8
    assert found.box.width / found.box.height == pytest.approx(ASPECT)
    assert 0 < found.score <= 1


@ALL
def test_the_box_follows_the_scale_of_the_picture(name):
    (whole,) = detector(name).detect([astronaut()])[0]
    half = cv2.resize(astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    assert detector(name).detect([half])[0][0].box.scaled(2, 2).iou(whole.box) > 0.72


@pytest.mark.slow
@ALL
def test_a_batch_gives_what_its_pictures_give_alone(name):
    pictures = [astronaut(), astronaut()[:, ::-1].copy(), np.zeros_like(astronaut())]
    together = detector(name).detect(pictures)
    assert len(together) == 3 and together[2] == []
    for picture, found in zip(pictures, together, strict=True):
        alone = detector(name).detect([picture])[0]
        assert len(alone) == len(found)
        assert all(a.box.iou(b.box) > 0.999 for a, b in zip(alone, found, strict=True))
    mirrored = together[1][0].box
    assert Box(512 - mirrored.x1, mirrored.y0, 512 - mirrored.x0, mirrored.y1).iou(together[0][0].box) > 0.85


@cache
def held_out() -> tuple[np.ndarray, ...]:
    """One crop of every speaker that is held out of training, padded as scripts/calibrate_detectors.py pads them."""
    listing = SHARED / "clips" / "faces.csv"
    if not listing.exists():
        pytest.skip("no real clips at hand")
    with listing.open(encoding="utf-8") as file:
        rows = {row["speaker"]: row for row in csv.DictReader(file) if row["split"] in ("seen", "test")}
    frames = [next(iter(read_frames(SHARED / "clips" / row["file"]))) for row in rows.values()]
    return tuple(cv2.copyMakeBorder(frame, 16, 16, 16, 16, cv2.BORDER_REPLICATE) for frame in frames)


# Measured by scripts/calibrate_detectors.py: medians of 0.90 to 0.93 and biases within 0.03.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "floor"), [("haar", 0.86), ("yunet", 0.88), ("retinaface", 0.88), ("blazeface", 0.84)]
)
def test_held_out_faces_are_framed_without_bias(name, floor):
    crops = held_out()
    boxes = [found[0].box for found in detector(name).detect(crops) if found]
    assert len(boxes) >= 0.95 * len(crops)
    target = Box(TARGET.x0 + 16, TARGET.y0 + 16, TARGET.x1 + 16, TARGET.y1 + 16)
    assert np.median([box.iou(target) for box in boxes]) > floor
    centres = np.median([box.centre for box in boxes], axis=0)
    assert abs(centres[0] - target.centre[0]) < 0.05 * target.width
    assert abs(centres[1] - target.centre[1]) < 0.04 * target.height
    assert abs(np.log(np.median([box.height for box in boxes]) / target.height)) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("video", ["studio_1080p_25fps.mp4", "tall_1080x1920_25fps.mp4", "address_450_20s.mp4"])
def test_all_back_ends_frame_a_face_in_a_whole_frame_alike(video):
    path = SHARED / "clips" / "full" / video
    if not path.exists():
        pytest.skip("no real clips at hand")
    frames = [shrunken(frame) for frame in islice(read_frames(path), 0, 30, 10)]
    reference, *others = (boxes_of(detector(name), frames) for name in ("retinaface", "haar", "yunet"))
    for boxes in others:
        assert np.median([a.iou(b) for a, b in zip(boxes, reference, strict=True)]) > 0.72


def shrunken(frame: np.ndarray) -> np.ndarray:
    scale = 480 / max(frame.shape[:2])
    return cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def boxes_of(back_end: Detector, frames: Sequence[np.ndarray]) -> list[Box]:
    return [max(found, key=lambda d: d.box.area * d.score).box for found in back_end.detect(frames)]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_boxes_of_s3fd_are_read_as_face_alignment_reads_them(tmp_path):
    """With random weights, since the published ones are not at hand: the reading is tested, not the faces."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("face_alignment")
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.detection.sfd.sfd_detector import SFDDetector

    from face_detection import networks

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        torch.save(s3fd().state_dict(), tmp_path / "s3fd.pth")
    picture = astronaut()[40:168, 160:288].copy()
    theirs = max(SFDDetector("cpu", str(tmp_path / "s3fd.pth")).detect_from_image(picture), key=lambda row: row[4])
    ours = networks.s3fd(tmp_path / "s3fd.pth", "cpu").detect([picture])[0][0]
    expected = networks.S3FD_CALIBRATION.apply(Box(*(float(value) for value in theirs[:4])))
    assert ours.score == pytest.approx(float(theirs[4]), abs=1e-5)
    assert ours.box.corners == pytest.approx(expected.corners, abs=1e-2)


def test_the_boxes_of_retinaface_are_read_as_face_alignment_reads_them():
    ours = detector("retinaface").detect([astronaut()])[0][0]
    from face_alignment.detection.retinaface import FaceDetector

    from face_detection.networks import RETINAFACE_CALIBRATION

    package = FaceDetector("cpu", str(SHARED / "weights" / TABLE["retinaface"].names[0]))
    (theirs,) = package.detect_from_image(astronaut()[..., ::-1].copy())
    expected = RETINAFACE_CALIBRATION.apply(Box(*theirs[:4]))
    assert ours.box.corners == pytest.approx(expected.corners, abs=0.05)


def heads_of_grey(x):
    """As many faces as the picture's grey level says in tens, beside each other, two boxes for each."""
    import torch

    levels = ((x[:, 0, 0, 0] + 104) / 10).round().long()
    priors = torch.tensor([[20.0 * (k // 2) + 10, 10.0 + k % 2, 10.0, 12.0] for k in range(40)])
    scores = torch.linspace(0.9, 0.6, 40).repeat(len(x), 1) * (torch.arange(40) < 2 * levels[:, None])
    return 0.01 * levels.float()[:, None, None].expand(-1, 40, 4), scores, priors


def test_a_batch_on_a_device_is_one_pass_and_finds_what_pictures_alone_have():
    """The CPU by another name stands for a device."""
    from face_detection import networks

    passes = []

    def counted(x):
        passes.append(len(x))
        return heads_of_grey(x)

    pictures = [np.full((30, 40, 3), 10 * (k % 7), np.uint8) for k in range(20)]
    there = networks.AnchorDetector("grey", counted, networks.RETINAFACE_CALIBRATION, "cpu:0").detect(pictures)
    assert passes == [20] and [len(found) for found in there] == [k % 7 for k in range(20)]
    here = networks.AnchorDetector("grey", counted, networks.RETINAFACE_CALIBRATION, "cpu")
    assert here.detect(pictures) == there and passes[1:] == [8, 8, 4]
    assert [here.detect([picture])[0] for picture in pictures] == there
    assert here.detect([]) == []
