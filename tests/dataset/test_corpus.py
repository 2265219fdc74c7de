"""A folder is what it looks like: prepared, VoxCeleb2 or LRW; each gives training batches, with workers or without."""

import gc
import os
import time
from pathlib import Path

import pytest
import torch

from core.errors import Mismatch, NoData, NotFound, Unreadable
from dataset import ClipBatch, WindowConfig, Windows, corpus, save_clip, to_pictures, video_clip
from dataset.lrw import lrw_box
from dataset.splits import is_held_out
from dataset.voxceleb2 import HELD_OUT
from face_detection import voxceleb2_box
from guided_diffusion.engine.loading import batches_of
from tests.helpers.failing import fails
from tests.helpers.tiny_videos import numbers, tiny_video
from tests.helpers.toy import talking

MEMORY = Path("/proc/self/statm")
CONFIG = WindowConfig(frames=5, augment=False)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_video(tmp_path_factory.mktemp("sample") / "a.mp4", 9).read_bytes()


def place(content: bytes, *paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def voxceleb2_names() -> list[str]:
    return [f"id0000{speaker}/video{video}/0000{video}.mp4" for speaker in range(3) for video in range(2)]


@pytest.fixture
def voxceleb2(tmp_path: Path, sample: bytes) -> Path:
    place(sample, *(tmp_path / "vox" / name for name in voxceleb2_names()))
    return tmp_path / "vox"


def assert_windows(batch: ClipBatch, count: int) -> None:
    assert batch.faces.shape == (count, 5, 3, 16, 16) and batch.mel.shape == (count, 5, 80, 16)
    for faces, reference in zip(to_pictures(batch.faces), to_pictures(batch.reference), strict=True):
        shown = numbers(faces)
        assert shown == list(range(shown[0], shown[0] + 5))
        assert numbers(reference)[0] not in shown
    assert (batch.speech > -4).any()


def test_voxceleb2_gives_batches(voxceleb2: Path) -> None:
    clips = corpus(voxceleb2, 16)["train"]
    assert [clip.name for clip in clips] == voxceleb2_names()
    assert [clip.speaker for clip in clips] == ["id00000"] * 2 + ["id00001"] * 2 + ["id00002"] * 2
    assert_windows(Windows(clips, CONFIG, batch=4, seed=0)[0], 4)


@pytest.mark.parametrize("prefix", ["mp4", "dev/mp4"])
def test_the_level_of_the_ids_is_found(tmp_path: Path, sample: bytes, prefix: str) -> None:
    place(sample, tmp_path / prefix / "id00012" / "video" / "00001.mp4", tmp_path / "notes" / "readme.txt")
    (clip,) = corpus(tmp_path, 16)["train"]
    assert clip.speaker == "id00012" and clip.name == f"{prefix}/id00012/video/00001.mp4"
    assert len(clip) == 9


def test_the_splits_of_the_publication_are_kept(tmp_path: Path) -> None:
    place(b"", *(tmp_path / part / f"mp4/id0000{k}/v/00001.mp4" for part, k in (("dev", 1), ("dev", 2), ("test", 3))))
    found = corpus(tmp_path, 16)
    assert [clip.speaker for clip in found["train"]] == ["id00001", "id00002"]
    assert [clip.speaker for clip in found["test"]] == ["id00003"]


def test_without_them_a_hash_of_the_id_decides_and_more_data_changes_nothing(tmp_path: Path) -> None:
    place(b"", *(tmp_path / f"id{number:05d}/v/00001.mp4" for number in range(400)))
    found = corpus(tmp_path, 16)
    kept = {clip.speaker for clip in found["test"]}
    assert 2 <= len(kept) <= 20 and len(found["train"]) == 400 - len(kept)
    assert kept == {f"id{n:05d}" for n in range(400) if is_held_out(f"id{n:05d}", HELD_OUT)}
    assert is_held_out("id00012", 1.0) and not is_held_out("id00012", 0.0)
    assert sum(is_held_out(str(n), 0.3) for n in range(2000)) == pytest.approx(600, abs=80)


@pytest.mark.parametrize("prefix", ["", "lipread_mp4"])
def test_lrw_gives_batches(tmp_path: Path, sample: bytes, prefix: str) -> None:
    names = [f"{word}/{split}/{word}_0000{n}.mp4" for word in ("ABOUT", "UNTIL") for split in ("train", "val", "test")
             for n in (1, 2)]  # fmt: skip
    place(sample, *(tmp_path / prefix / name for name in names))
    place(b"Duration: 0.4", tmp_path / prefix / "ABOUT/train/ABOUT_00001.txt")
    found = corpus(tmp_path, 16)
    assert {split: len(clips) for split, clips in found.items()} == {"train": 4, "seen": 4, "test": 4}
    assert all("/val/" in clip.name for clip in found["seen"]) and all("/test/" in clip.name for clip in found["test"])
    assert len({clip.speaker for clip in found["train"]}) == 4
    assert_windows(Windows(found["train"], CONFIG, batch=2, seed=0)[0], 2)


def test_lrw_is_framed_like_voxceleb2() -> None:
    """Of the same shape, inside the picture, and the mouth (x 127, y 163 in LRW) where VoxCeleb2's crop has it."""
    box, vox = lrw_box(256, 256), voxceleb2_box(224, 224)
    assert box.width / box.height == pytest.approx(vox.width / vox.height)
    assert min(box.corners) > 0 and max(box.corners) < 256
    assert (127 - box.x0) / box.width == pytest.approx(0.5)
    assert (163 - box.y0) / box.height == pytest.approx(0.775)


def test_a_prepared_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    for split, speaker in (("train", "ann"), ("train", "bob"), ("seen", "ann")):
        save_clip(tmp_path / split / speaker / "clip.npz", talking(frames=8, size=16))
    found = corpus(tmp_path, 16)
    assert {split: [clip.speaker for clip in clips] for split, clips in found.items()} == {
        "train": ["ann", "bob"], "seen": ["ann"],
    }  # fmt: skip
    assert found["train"][0].amount == len(found["train"][0]) == 8 and found["train"][0].name == "clip"
    with fails(Mismatch, "clip.npz", 16, 32, "--size"):
        corpus(tmp_path, 32)
    place(b"no clip", tmp_path / "other" / "train" / "ann" / "clip.npz")
    with fails(Unreadable, "clip.npz"):
        corpus(tmp_path / "other", 16)


def test_what_is_nothing_known_is_refused_with_the_remedy(tmp_path: Path) -> None:
    place(b"", tmp_path / "films" / "holiday.jpg", tmp_path / "held" / "test" / "ann" / "clip.npz")
    with fails(NoData, "films", "python -m dataset.prepare --videos", "VoxCeleb2", "LRW"):
        corpus(tmp_path / "films", 16)
    with fails(NotFound, "gone"):
        corpus(tmp_path / "gone", 16)


def test_a_folder_with_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    save_clip(tmp_path / "test" / "ann" / "clip.npz", talking(frames=8, size=16))
    with fails(NoData, tmp_path, "split train"):
        corpus(tmp_path, 16)


@pytest.mark.slow
def test_many_files_are_indexed_quickly_and_none_is_opened(tmp_path: Path) -> None:
    """A million of VoxCeleb2's take seconds: here 3,000 in far less than one, also on a busy machine."""
    for speaker in range(10):
        for video in range(10):
            folder = tmp_path / f"id{speaker:05d}" / f"video{video}"
            folder.mkdir(parents=True)
            for clip in range(30):
                (folder / f"{clip:05d}.mp4").touch()
    begin = time.process_time()
    clips = corpus(tmp_path, 16)["train"]
    windows = Windows(clips, CONFIG, batch=4, seed=0)
    assert time.process_time() - begin < 1
    assert len(windows.usable) == len(clips) > 2500
    assert clips[77].name == clips[77:78][0].name


@pytest.mark.slow
def test_workers_give_the_same_batches(voxceleb2: Path) -> None:
    (voxceleb2 / voxceleb2_names()[1]).write_bytes(b"broken")
    windows = Windows(corpus(voxceleb2, 16)["train"], WindowConfig(frames=5), batch=2, seed=4)
    steps = range(3, 9)
    for one, other in zip(batches_of(windows, steps, workers=2), map(windows.__getitem__, steps), strict=True):
        for name in ("faces", "reference", "mel", "speech", "clip"):
            assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.slow
@pytest.mark.skipif(not MEMORY.exists(), reason="asks Linux how much memory a process has")
def test_memory_stays_flat_over_a_thousand_windows(tmp_path: Path, sample: bytes) -> None:
    """That of the whole process, decoders and all: 200 times one of 50 clips is opened, more than are kept."""
    place(sample, *(tmp_path / f"id{number:05d}/v/00001.mp4" for number in range(50)))
    config = WindowConfig(frames=5, per_clip=5, augment=False)
    windows = Windows(corpus(tmp_path, 16)["train"], config, batch=20, seed=0)
    held = []
    for step in range(50):
        windows[step]
        if step % 5 == 4:
            gc.collect()  # what is held counts, not what waits for the collector
            held.append(int(MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    assert max(held[3:]) < held[2] + 16
    assert video_clip._opened.cache_info().currsize <= video_clip.KEPT
