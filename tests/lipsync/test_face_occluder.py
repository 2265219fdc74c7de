"""What is before the mouth stays in front, bit for bit, whichever layout a segmentation has; single mistakes vanish."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from audio import read_sound
from core.errors import BadInput
from face_detection import Box
from lipsync import LipSync
from lipsync.jobs.job import Job
from lipsync.onnx.face_occluder import FaceOccluder, shrunken
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering.steadying import steady_mask
from lipsync.settings import Settings
from tests.helpers.prepared import prepared
from tests.helpers.talking_head import picture
from tests.helpers.toy_onnx import NEEDED, bisenet, brighter, codeformer, save, xseg
from video import read_frames, write_video

pytestmark = NEEDED
CPU = torch.device("cpu")
GREEN = (0, 255, 0)
SETTINGS = Settings(
    box=(20, 134, 90, 180), device="cpu", precision="fp32", batch=8, cache=None, length="video", mask="half"
)


@pytest.mark.parametrize(
    ("make", "side"),
    [(lambda path: xseg(path), 256), (lambda path: xseg(path, "side", occluder=True), 256),
     (lambda path: xseg(path, 128), 128), (bisenet, 512)],
)  # fmt: skip
def test_layouts_that_are_known(tmp_path: Path, make, side: int) -> None:  # type: ignore[no-untyped-def]
    occluder = FaceOccluder(make(tmp_path / "model.onnx"), CPU)
    face = np.full((side, side, 3), (180, 140, 120), np.uint8)
    face[side // 2 :, : side // 4] = GREEN
    assert occluder.side == side
    assert np.array_equal(shrunken(occluder.hidden(face), side), (face == GREEN).all(axis=2))


def test_whole_numbers_are_classes(tmp_path: Path) -> None:
    from onnx import TensorProto, load
    from onnx import save as write

    path = tmp_path / "classes.onnx"
    nodes = [("ArgMax", ("x",), "y", {"axis": 1, "keepdims": 0})]
    save(path, nodes, {"x": (1, 3, 64, 64)}, {"y": (1, 64, 64)})
    model = load(str(path))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    write(model, str(path))
    face = np.zeros((64, 64, 3), np.uint8)
    face[:, :20, 1] = face[:, 20:, 0] = 255  # skin, then background
    hidden = FaceOccluder(path, CPU).hidden(face)
    assert not hidden[:, :20].any() and hidden[:, 20:].all()


@pytest.mark.parametrize(
    ("make", "words"),
    [(lambda path: bisenet(path, 11), r"gives y \[1, 11, 512, 512\] float"), (brighter, "how much of it is seen"),
     (codeformer, "takes 2 inputs"),
     (lambda path: save(path, [("Identity", ("x",), "y", {})], {"x": (1, 1, 64, 48)}, {"y": (1, 1, 64, 48)}),
      r"takes x \[1, 1, 64, 48\]")],
)  # fmt: skip
def test_others_are_a_sentence(tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "model.onnx")
    with pytest.raises(BadInput, match=f"--face_occluder .*{words}.*; export it so, or pass another file"):
        FaceOccluder(tmp_path / "model.onnx", CPU)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A green thing goes past the mouth, which is in rows 77 to 134."""

    def frames():  # type: ignore[no-untyped-def]
        for k in range(20):
            frame = picture()
            frame[88:118, 60 + 5 * k : 80 + 5 * k] = GREEN
            yield frame

    path = tmp_path_factory.mktemp("film") / "green.mkv"
    write_video(path, frames(), __import__("fractions").Fraction(25), codec="ffv1")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("make", [xseg, bisenet])
def test_pixels_of_what_is_in_front_are_the_originals(make, checkpoint, folder, film, tmp_path):  # type: ignore[no-untyped-def]
    pipeline = LipSyncPipeline(checkpoint, SETTINGS)
    job = Job(film, folder / "words.wav", tmp_path / "unused.mkv")
    before = np.stack(list(read_frames(film)))
    green = (before == GREEN).all(axis=3)

    def made(**changes: object) -> np.ndarray:
        return np.stack(list(prepared(pipeline.adjusted(**changes), job).frames()))

    plain = made()
    assert (plain != before).any(axis=3)[green].mean() > 0.4  # else it would be painted over
    networks = {"face_occluder": make(tmp_path / "o.onnx"), "face_restorer": brighter(tmp_path / "r.onnx")}
    for chosen in ({"face_occluder": networks["face_occluder"]}, networks):
        kept = made(**chosen)
        assert np.array_equal(kept[green], before[green])
        around = np.ones((7, 7), np.uint8)  # a pixel of a new face may be as it was by chance, not all beside it
        touched = np.stack([cv2.dilate(one.any(axis=2).astype(np.uint8), around) for one in plain != before]) > 0
        untouched = ~touched & ~green
        rest = (kept != before).any(axis=3)
        assert rest.any(axis=(1, 2)).all()  # beside it the mouth speaks on
        assert not rest[:, :77].any() and (len(chosen) > 1 or not (rest & untouched).any())


@pytest.mark.slow
def test_a_stream_keeps_what_is_in_front_as_well(checkpoint, folder, film, tmp_path):  # type: ignore[no-untyped-def]
    """All frames, and then every fifth, as of a machine that leaves pictures out."""
    fixed = {name: getattr(SETTINGS, name) for name in ("device", "precision", "cache")}
    model = LipSync.from_pretrained(checkpoint, batch=1, **fixed)
    before = np.stack(list(read_frames(film)))
    green = (before == GREEN).all(axis=3)
    occluder = {"face_occluder": xseg(tmp_path / "o.onnx"), "face_restorer": brighter(tmp_path / "r.onnx")}
    for step in (1, 5):
        with model.stream(film, box=SETTINGS.box, mask="half", **occluder) as stream:
            stream.push(read_sound(folder / "words.wav").samples[:16_000])
            made = {k: stream.make([k])[0] for k in range(0, 20, step)}
        for k, shown in made.items():
            assert np.array_equal(shown[green[k]], before[k][green[k]]) and (shown != before[k]).any(), k


def test_how_much_of_a_mouth_is_hidden(film, tmp_path):  # type: ignore[no-untyped-def]
    occluder = FaceOccluder(xseg(tmp_path / "o.onnx"), CPU)
    box = Box(90, 20, 180, 134)
    shares = [occluder.over_mouth(frame, box) for frame in read_frames(film)]
    assert shares[0] == 0 and max(shares) > 0.3 and shares.index(max(shares)) in range(8, 15)


def test_a_mask_keeps_what_moves_fills_holes_and_drops_single_mistakes() -> None:
    def at(*columns: int) -> np.ndarray:
        mask = np.zeros((96, 96), bool)
        for column in columns:
            mask[40:60, column : column + 8] = True
        return mask

    moving = [at(10 + 6 * k) for k in range(5)]
    for k, mask in enumerate(moving):
        steady = steady_mask(moving, k)
        assert steady is not None and (steady[mask] == 1).all() and steady[:, 90:].max() == 0
    nothing, there = at(), at(30)
    assert steady_mask([nothing, nothing, there, nothing], 2) is None
    filled = steady_mask([there, there, nothing, there, there], 2)
    assert filled is not None and (filled[there] == 1).all()
    assert steady_mask([there], 0) is not None and steady_mask([there, None], 1) is None
    edge = steady_mask([there, there], 0)
    assert edge is not None and ((edge > 0) & (edge < 1)).any() and edge[50, 42] < 1
