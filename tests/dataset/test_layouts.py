"""Trees shaped as LRS2, LRS3, HDTF and MEAD are published, lists, own videos: known, split by speaker, drawn from."""

import pickle
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadInput, BadValue, Mismatch, NoData, NotFound, Unreadable
from dataset import ClipBatch, WindowConfig, Windows, corpus, framing
from dataset.corpus import sound_of
from dataset.layout import layout_of
from face_detection import Box, Detection
from tests.helpers.failing import fails
from tests.helpers.tiny_videos import tiny_video

CONFIG = WindowConfig(frames=5, augment=False)


class Middle:
    """A detector that finds one face in the middle of every picture, or where it is told by the picture's level."""

    name = "middle"

    def __init__(self, *places: float) -> None:
        self.places = list(places)

    def detect(self, frames: list[np.ndarray]) -> list[list[Detection]]:
        found = []
        for number, frame in enumerate(frames):
            x = self.places[number % len(self.places)] if self.places else 0.5
            height, width = frame.shape[:2]
            box = Box.centred(x * width, height / 2, width / 4, height / 3)
            small = Box.centred(width / 8, height / 8, width / 16, height / 16)
            found.append([Detection(small, 1.0), Detection(box, 0.9)] if x >= 0 else [])
        return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("sample") / "a.mp4", 9)


@pytest.fixture
def middle(monkeypatch: pytest.MonkeyPatch) -> None:
    framing.found_face.cache_clear()
    monkeypatch.setattr(framing, "_detector", Middle)


def place(sample: Path, root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample, root / name)


def drawn(root: Path) -> ClipBatch:
    batch = Windows(corpus(root, 16)["train"], CONFIG, batch=2, seed=0)[0]
    assert batch.faces.shape == (2, 5, 3, 16, 16) and (batch.speech > -4).any()
    return batch


@pytest.mark.parametrize("above", ["", "lrs3/"])
def test_lrs3(tmp_path: Path, sample: Path, above: str) -> None:
    names = ["pretrain/aaaaaaaaaaa/00001.mp4", "trainval/bbbbbbbbbbb/50001.mp4", "test/ccccccccccc/00001.mp4"]
    place(sample, tmp_path, *(above + name for name in names))
    (tmp_path / f"{above}trainval/bbbbbbbbbbb/50001.txt").write_text("Text:  HELLO\nConf:  4\n")
    assert layout_of(tmp_path).name == "LRS3"
    found = corpus(tmp_path, 16)
    assert [clip.name for clip in found["train"]] == [above + name for name in names[:2]]
    assert [clip.speaker for clip in found["test"]] == ["ccccccccccc"]
    drawn(tmp_path)


def test_lrs2_by_its_lists(tmp_path: Path, sample: Path) -> None:
    ids = ["5535415699068794046", "6330311066473698535", "5541129250673432321", "5550000000000000000"]
    main = [f"mvlrs_v1/main/{one}/00001.mp4" for one in ids[:3]]
    place(sample, tmp_path, *main, f"mvlrs_v1/pretrain/{ids[3]}/00001.mp4", f"mvlrs_v1/pretrain/{ids[3]}/00002.mp4")
    assert layout_of(tmp_path).name == "LRS2"
    with fails(NotFound, tmp_path, "LRS2", "train.txt"):
        corpus(tmp_path, 16)
    for name, one in zip(("train", "val", "test"), ids, strict=False):
        (tmp_path / f"{name}.txt").write_text(f"{one}/00001{' NF' if name == 'test' else ''}\n")
    (tmp_path / "pretrain.txt").write_text(f"{ids[3]}/00002\n")
    found = corpus(tmp_path, 16)
    assert {split: [clip.speaker for clip in clips] for split, clips in found.items()} == {
        "train": [ids[0], ids[3]], "seen": [ids[1]], "test": [ids[2]],
    }  # fmt: skip
    assert found["train"][1].name == f"mvlrs_v1/pretrain/{ids[3]}/00002.mp4"
    drawn(tmp_path)
    (tmp_path / "train.txt").write_text("../secret\n")
    with fails(Unreadable, "train.txt", "'../secret'"):
        corpus(tmp_path, 16)


@pytest.mark.usefixtures("middle")
def test_hdtf_counts_the_videos_of_one_person_together(tmp_path: Path, sample: Path) -> None:
    people = ["WDA_NancyPelosi", "WRA_MittRomney", "WDA_TedLieu", "RD_Radio"]
    place(sample, tmp_path, *(f"clips/{name}{k}_000.mp4" for name in people for k in (0, 1)), "clips/readme.mp4")
    assert layout_of(tmp_path).name == "HDTF"
    found = corpus(tmp_path, 16)
    spoken = {split: {clip.speaker for clip in clips} for split, clips in found.items()}
    assert set.union(*spoken.values()) == set(people) and sum(map(len, spoken.values())) == 4
    drawn(tmp_path)


@pytest.mark.usefixtures("middle")
def test_mead_is_seen_from_the_front_and_heard_from_beside(tmp_path: Path, sample: Path) -> None:
    actors = ["M003", "M005", "W009"]
    views = [f"{one}/video/{view}" for one in actors for view in ("front", "top")]
    place(sample, tmp_path, *(f"{view}/angry/level_1/001.mp4" for view in views))
    apart = tiny_video(tmp_path / "apart.mp4", 20)
    (tmp_path / "M005/audio/angry/level_1").mkdir(parents=True)
    apart.rename(tmp_path / "M005/audio/angry/level_1/001.m4a")
    assert layout_of(tmp_path).name == "MEAD"
    clips = {clip.speaker: clip for own in corpus(tmp_path, 16).values() for clip in own}
    assert sorted(clips) == actors and all("/front/" in clip.name for clip in clips.values())
    assert clips["M003"].mel.seconds < 0.5 < clips["M005"].mel.seconds
    assert sound_of(clips["M005"]).mel.seconds == clips["M005"].mel.seconds
    drawn(tmp_path)


@pytest.mark.usefixtures("middle")
def test_own_videos_a_folder_a_speaker(tmp_path: Path, sample: Path, caplog: pytest.LogCaptureFixture) -> None:
    place(sample, tmp_path, "ann/a.mp4", "ann/deep/b.mov", "bob.mp4", "cec/c.mp4")
    assert layout_of(tmp_path).name == "videos"
    found = corpus(tmp_path, 16)
    assert {clip.speaker for clips in found.values() for clip in clips} == {"ann", "bob", "cec"}
    assert "taken for videos of one face each" in caplog.text
    clip = found["train"][0]
    assert clip.box == Box.centred(24, 24, 12, 16)  # type: ignore[attr-defined]  # the largest face
    assert pickle.loads(pickle.dumps(found["train"]))[0].name == clip.name
    drawn(tmp_path)


@pytest.mark.parametrize(("places", "kind"), [((-1.0,), NoData), ((0.2, 0.8), Mismatch)])
def test_a_video_without_one_face_at_one_place_is_refused(
    tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch, places: tuple[float, ...], kind: type[BadInput]
) -> None:
    framing.found_face.cache_clear()
    monkeypatch.setattr(framing, "_detector", lambda: Middle(*places))
    place(sample, tmp_path, "ann/a.mp4")
    with fails(kind, "a.mp4", "python -m dataset.prepare --videos"):
        corpus(tmp_path, 16)["train"][0].pictures([0])
    framing.found_face.cache_clear()


def test_a_list_of_face_crops_is_read_as_it_is(tmp_path: Path, sample: Path) -> None:
    place(sample, tmp_path, "faces/ann/a.mp4", "faces/bob/b.mp4")
    listing = tmp_path / "faces.csv"
    listing.write_text("file,split,speaker,note\nfaces/ann/a.mp4,train,ann,\nfaces/bob/b.mp4,test,bob,x\n")
    for data in (tmp_path, listing):
        assert layout_of(data).name == "a list of face crops"
        found = corpus(data, 16)
        assert found["train"][0].speaker == "ann" and found["test"][0].fps == Fraction(25)
    assert pickle.loads(pickle.dumps(found["train"]))[0].speaker == "ann"
    drawn(tmp_path)
    listing.write_text("file,split,speaker\nfaces/ann/a.mp4,training,ann\n")
    with fails(BadValue, "faces.csv", "training", "train, seen, test"):
        corpus(tmp_path, 16)


def test_nobody_is_trained_on_who_is_kept_for_measuring(
    tmp_path: Path, sample: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["trainval/aaaaaaaaaaa/00001.mp4", "trainval/bbbbbbbbbbb/00001.mp4", "test/aaaaaaaaaaa/00002.mp4"]
    place(sample, tmp_path, *names)
    assert [clip.speaker for clip in corpus(tmp_path, 16)["train"]] == ["bbbbbbbbbbb"]
    assert "1 clips of speakers who are in test as well are not trained on" in caplog.text


def test_a_list_of_pairs_is_told_from_data(tmp_path: Path) -> None:
    (tmp_path / "cross.txt").write_text("id1/v/00001 id2/v/00001\n")
    for data in (tmp_path, tmp_path / "cross.txt"):
        with fails(NoData, data):
            layout_of(data)
