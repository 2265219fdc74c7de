"""A network of the user's sharpens the new mouth: there alone, as strongly as is wished, and steady in time."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import BadInput
from face_detection import Box, cut, ffhq_square, jaw_mask, make_layer, warped
from lipsync.jobs.job import Job
from lipsync.jobs.runner import dub
from lipsync.onnx.face_restorer import FaceRestorer
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering import frame_source as frame_sources
from lipsync.rendering.frame_source import AutoregressiveFrames
from lipsync.rendering.retouching import ROWS, Retoucher
from lipsync.rendering.steadying import Residual, steady_correction
from lipsync.rendering.views import CompositedFrame, result
from lipsync.settings import Settings
from tests.helpers.prepared import prepared
from tests.helpers.talking_head import picture
from tests.helpers.toy_onnx import NEEDED, brighter, codeformer, noisy, xseg
from video import read_frames

pytestmark = NEEDED
CPU = torch.device("cpu")
BOX = Box(90, 20, 180, 134)
SETTINGS = Settings(box=(20, 134, 90, 180), device="cpu", precision="fp32", batch=8, cache=None)


def unwatched(stage: str) -> AbstractContextManager[None]:
    return nullcontext()


def edits(count: int, shots: tuple[int, ...] = ()) -> Iterator[CompositedFrame]:
    """A face that stays where it is; its mouth is painted a little darker."""
    frame = picture()
    painted = np.clip(cut(frame, BOX, 64).astype(int) - 20, 0, 255).astype(np.uint8)
    layer = make_layer(painted, BOX, jaw_mask(64), *frame.shape[:2])
    for k in range(count):
        yield CompositedFrame(frame, (layer,), (BOX,), ((0, sum(k >= shot for shot in shots), 0),))


def retouched(path: Path, count: int, **more: tuple[int, ...]) -> list[np.ndarray]:
    retouch = Retoucher(FaceRestorer(path, CPU), None)
    return [result(frame) for frame in retouch(edits(count, **more), unwatched)]


@pytest.mark.parametrize(
    ("make", "words"),
    [(codeformer, r"takes 2 inputs \(x \[1, 3, 512, 512\] float; w \[1\] float\), where a face restorer takes one"),
     (xseg, r"takes x \[1, 256, 256, 3\] float and gives y \[1, 256, 256, 1\] float, where"),
     (lambda path: path.write_text("no network"), "is no ONNX network"), (lambda path: None, "no such file")],
)  # fmt: skip
def test_what_is_no_restorer_is_a_sentence(tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "model.onnx")
    with pytest.raises(BadInput, match=f"--face_restorer .*model.onnx: {words}") as problem:
        FaceRestorer(tmp_path / "model.onnx", CPU)
    assert "\n" not in str(problem.value)


def test_without_onnxruntime_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(BadInput, match=r"not installed; run .* -m pip install -r requirements-onnx\.txt"):
        FaceRestorer(brighter(tmp_path / "model.onnx"), CPU)


def test_a_part_of_the_square_comes_back_to_where_it_was_cut() -> None:
    frame = picture().astype(np.float32)
    for angle, scale in ((0.0, 1.0), (9.0, 1.0), (-7.0, 6.0)):
        box = Box.centred(135, 77, 90 * scale, 114 * scale, angle)
        square = ffhq_square(box)
        crop = cut(frame.astype(np.uint8), square, 512)
        rows, columns = slice(70, 110), slice(110, 160)
        back = warped(crop[ROWS].astype(np.float32), square, (ROWS.start, 0), rows, columns)
        inside = warped(np.ones((512 - ROWS.start, 512), np.float32), square, (ROWS.start, 0), rows, columns) > 0.999
        assert inside.sum() > 500 and np.abs(back - frame[rows, columns])[inside].mean() < 5


def test_the_change_is_seen_in_the_mouth_alone(tmp_path: Path) -> None:
    before, plain = picture().astype(int), result(next(edits(1))).astype(int)
    changed = retouched(brighter(tmp_path / "bright.onnx", 0.1), 6)
    assert all(np.array_equal(frame, changed[0]) for frame in changed)  # nothing moved
    added = changed[0].astype(int) - plain
    opacity = np.zeros(before.shape[:2])
    layer = next(edits(1)).layers[0]
    opacity[layer.rows, layer.columns] = layer.opacity[..., 0]
    assert not added[opacity == 0].any() and not added[: int(BOX.centre[1])].any()
    assert np.abs(added[opacity == 1] - 12.75).mean() < 1.5


@pytest.mark.slow
def test_other_noise_in_every_frame_does_not_flicker(tmp_path: Path) -> None:
    """The mouth stands still here, so that all that changes is the restorer's; a frame alone would change by 8 levels.

    Measured: of the coarse noise 4 % are left, of the fine one 9 %.
    """
    for noise in ({"coarse": 0.06}, {"fine": 0.06}):
        path = noisy(tmp_path / "noisy.onnx", **noise)
        restorer = FaceRestorer(path, CPU)
        frames = retouched(path, 24)
        raw = [result(next(edits(1))) + restorer.change(np.zeros((512, 512, 3), np.uint8))[:192, :256] for _ in frames]
        flicker, alone = (
            np.abs(np.diff(np.stack(some)[:, 95:125, 115:155].astype(float), axis=0)).mean() for some in (frames, raw)
        )
        assert alone > 4 and flicker < 0.15 * alone


def test_nothing_is_averaged_across_a_cut_or_where_lips_move() -> None:
    face = np.full((32, 64, 3), 100, np.uint8)
    moved = face.copy()
    moved[:, 32:] = 200
    change = np.zeros((32, 64, 3), np.float32)
    change[::2], change[1::2] = 40, -40
    own, other = Residual.of(change, face), Residual.of(-change, moved)
    alone = steady_correction([own], 0)
    beside = steady_correction([other, own, other], 1)
    assert alone is not None and beside is not None and np.abs(alone - change).max() < 1e-3
    assert np.abs(beside[:, 40:] - change[:, 40:]).max() < 0.5  # what looks otherwise has no say
    assert np.abs(beside[:, :24]).max() < 25  # what looks alike has
    assert steady_correction([own, None, own], 1) is None


@pytest.mark.slow
def test_a_cut_separates(tmp_path: Path) -> None:
    path = noisy(tmp_path / "noisy.onnx", coarse=0.2)  # the same noise whenever it is loaded
    whole, parted, first = retouched(path, 12), retouched(path, 12, shots=(6,)), retouched(path, 6)
    same = [np.array_equal(a, b) for a, b in zip(whole, parted, strict=True)]
    assert same == [True, True, *[False] * 8, True, True]  # four frames to both sides have a say
    assert all(np.array_equal(a, b) for a, b in zip(parted[:6], first, strict=True))


def frames_of(pipeline: LipSyncPipeline, folder: Path, span: tuple[int, int], **changes: object) -> np.ndarray:
    job = Job(folder / "person.mp4", folder / "words.wav", folder / "unused.mkv")
    return np.stack(list(prepared(pipeline.adjusted(**changes), job).frames(*span)))


@pytest.mark.slow
def test_a_result_is_restored_the_same_whoever_makes_it(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    pipeline = LipSyncPipeline(checkpoint, SETTINGS)
    path = brighter(tmp_path / "bright.onnx")
    plain = frames_of(pipeline, folder, (0, 25))
    whole = frames_of(pipeline, folder, (0, 25), face_restorer=path)
    assert (whole != plain).any() and not (whole != plain)[:, :77].any()
    assert np.array_equal(frames_of(pipeline, folder, (0, 25), face_restorer=path, restorer_strength=0.0), plain)
    half = frames_of(pipeline, folder, (0, 25), face_restorer=path, restorer_strength=0.5).astype(int)
    assert 0 < np.abs(half - plain).sum() < 0.7 * np.abs(whole.astype(int) - plain).sum()
    for span in ((3, 5), (11, 25), (16, 17)):
        assert np.array_equal(frames_of(pipeline, folder, span, face_restorer=path), whole[slice(*span)])
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "result.mkv")
    report = dub(pipeline.adjusted(face_restorer=path, codec="ffv1"), job)
    assert np.array_equal(np.stack(list(read_frames(job.output))), whole)
    assert report.extras == {"face_restorer": "bright.onnx, strength 1"} and report.edited == 25
    assert "face restorer   bright.onnx" in report.table() and {"restore", "retouch"} <= report.waited.keys()
    within = prepared(pipeline.adjusted(face_restorer=path), job, within=(4, 5))
    assert len(list(within.frames(4, 5))) == 1  # of a preview nothing else is known


def test_frames_that_follow_each_other_are_judged_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_sources, "CHUNK", 8)
    source = AutoregressiveFrames.__new__(AutoregressiveFrames)
    assert [source.stretch(k) for k in (0, 7, 8, 17)] == [0, 0, 1, 2] and not source.independent


@pytest.mark.slow
def test_it_is_another_result_than_without(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    from lipsync.jobs.cache_key import cache_key

    models = LipSyncPipeline(checkpoint, SETTINGS).models
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "result.mkv")
    path = brighter(tmp_path / "bright.onnx")
    plain = cache_key(job, SETTINGS, models)
    keys = [cache_key(job, replace(SETTINGS, **more), models) for more in (
        {"face_restorer": path}, {"face_restorer": path, "restorer_strength": 0.5}, {"mark": True},
        {"mark": True, "mark_text": "AI"},
    )]  # fmt: skip
    assert len({plain, *keys}) == 5
    assert cache_key(job, replace(SETTINGS, restorer_strength=0.5, mark_text="AI"), models) == plain
