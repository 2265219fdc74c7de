"""Shards hold what they were made of, two processes never open the same one, and what is no shard is refused."""

import json
import os
import shutil
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import Mismatch, NoData, Unreadable
from dataset import Clip, WindowConfig, Windows, corpus, save_clip
from dataset.layout import layout_of
from dataset.shards import ShardClips, places_in
from dataset.write_shards import main, write_shards
from guided_diffusion.engine.loading import batches_of
from tests.helpers import forked
from tests.helpers.failing import check_error, fails
from tests.helpers.toy import talking

CONFIG = WindowConfig(frames=2, augment=False)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("prepared"), 16)


def filled(folder: Path, size: int) -> Path:
    """Twelve clips, two of them of test."""
    for number in range(12):
        split = "test" if number > 9 else "train"
        save_clip(folder / split / f"s{number % 3}.{split}" / f"clip{number}.npz", talking(number, size=size))
    return folder


@pytest.fixture(scope="module")
def shards(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(prepared, folder, 16, 4)
    return folder


def test_what_is_read_is_what_was_written(prepared: Path, shards: Path) -> None:
    assert layout_of(shards).name == "shards"
    assert sorted(path.name for path in shards.glob("*.tar")) == [
        "test-000000.tar", "test-000001.tar", *(f"train-00000{k}.tar" for k in range(4)),
    ]  # fmt: skip
    before, after = corpus(prepared, 16), corpus(shards, 16)
    for split in ("train", "test"):
        known = {clip.name: clip for clip in before[split]}
        assert sorted(known) == sorted(clip.name for clip in after[split])
        for clip in after[split]:
            origin = known[clip.name]
            assert (clip.speaker, len(clip), clip.fps) == (origin.speaker, len(origin), origin.fps)
            apart = np.abs(clip.pictures([0, 7]).astype(int) - origin.pictures([0, 7]))
            assert apart.max() <= 8  # JPEG of a JPEG
            assert np.array_equal(clip.mel.columns, origin.mel.columns)
    assert after["train"][1:3][0].name == after["train"][1].name  # type: ignore[index]


def test_anybody_reads_them_as_webdataset_does(shards: Path) -> None:
    """Members of one key follow each other, and a key ends at its first dot."""
    with tarfile.open(shards / "train-000000.tar") as file:
        names = file.getnames()
        told = json.loads(file.extractfile(names[1]).read())  # type: ignore[union-attr]
    keys = [name.split(".")[0] for name in names]
    assert [name.partition(".")[2] for name in names] == ["npz", "json"] * (len(names) // 2)
    assert keys[::2] == keys[1::2] and len(set(keys)) == len(names) // 2
    assert told.keys() == {"speaker", "name", "frames"}


def test_two_processes_open_shards_of_their_own(shards: Path) -> None:
    """Process r of n makes the samples r, r + n, ...: whether n is 2 or 4, no shard is opened by two of them."""
    clips = corpus(shards, 16)["train"]
    assert isinstance(clips, ShardClips)
    windows = Windows(clips, CONFIG, batch=4, seed=1)
    tar_of = {number: tar for tar, own in enumerate(clips.shards) for number in own}
    seen: dict[int, set[int]] = defaultdict(set)
    drawn = set()
    for sample in range(64):
        chosen = windows[sample].clip.tolist()  # type: ignore[union-attr]
        drawn.update(chosen)
        for processes in (2, 4):
            seen[processes * 10 + sample % processes] |= {tar_of[windows.usable[number]] for number in chosen}
    assert not seen[20] & seen[21] and seen[20] | seen[21] == set(range(4))
    assert [len(seen[40 + rank]) for rank in range(4)] == [1] * 4
    assert drawn == set(range(len(clips)))


@pytest.mark.slow
def test_two_real_processes_read_apart(shards: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "opened, real = set(), Path.open\n"
        "def watched(path, *given, **named):\n"
        "    opened.add(path.name)\n"
        "    return real(path, *given, **named)\n"
        "Path.open = watched\n"
        "from dataset import WindowConfig, Windows, corpus\n"
        "from guided_diffusion.engine.distributed import group\n"
        "with group() as own:\n"
        "    windows = Windows(corpus(Path(sys.argv[1]), 0)['train'], WindowConfig(frames=2), batch=2, seed=0)\n"
        "    opened.clear()\n"
        "    for step in range(16):\n"
        "        windows[step * own.size + own.rank]\n"
        "    out = Path(sys.argv[2]) / f'{own.rank}.txt'\n"
        "    names = sorted(name for name in opened if name.endswith('.tar'))\n"
        "    out.write_text(' '.join(names))\n"
    )
    (tmp_path / "read.py").write_text(code)
    for done in forked.ended(forked.start_group(2, [tmp_path / "read.py", shards, tmp_path])):
        assert done.returncode == 0, done.stderr
    one, two = (set((tmp_path / f"{rank}.txt").read_text().split()) for rank in range(2))
    assert one == {"train-000000.tar", "train-000002.tar"} and two == {"train-000001.tar", "train-000003.tar"}


@pytest.mark.slow
def test_workers_give_the_same_batches(shards: Path) -> None:
    windows = Windows(corpus(shards, 16)["train"], CONFIG, batch=2, seed=4)
    for number, batch in zip(range(3, 7), batches_of(windows, range(3, 7), workers=1), strict=True):
        assert torch.equal(batch.faces, windows[number].faces)


def test_a_tar_without_an_index_is_read_through(shards: Path, tmp_path: Path) -> None:
    for tar in shards.glob("train-*.tar"):
        (tmp_path / tar.name).write_bytes(tar.read_bytes())
        assert places_in(tmp_path / tar.name) == places_in(tar)
    bare = tmp_path / "bare" / "train-000000.tar"
    bare.parent.mkdir()
    with tarfile.open(shards / "train-000000.tar") as file, tarfile.open(bare, "w") as target:
        for member in file.getmembers()[::2]:  # clips of somebody who wrote no .json
            target.addfile(member, file.extractfile(member))
    assert [place.frames for place in places_in(bare)] == [16] * len(places_in(bare))
    assert corpus(bare.parent, 16)["train"][0].speaker.startswith("00000000__")


def test_the_same_command_goes_on_and_what_is_broken_is_named(prepared: Path, tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "out"
    for number in range(6):
        save_clip(data / "train" / "ann" / f"clip{number}.npz", talking(number, size=16))
    (data / "train" / "ann" / "clip3.npz").write_bytes(b"broken")
    assert main([str(data), "--output", str(output), "--shards", "2", "--size", "16"]) == 5
    tars = sorted(output.glob("*.tar"))
    before = [tar.stat().st_mtime_ns for tar in tars]
    assert sum(len(places_in(tar)) for tar in tars) == 5
    assert main([str(data), "--output", str(output), "--shards", "2", "--size", "16"]) == 0
    assert [tar.stat().st_mtime_ns for tar in tars] == before


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize(("size", "count", "named"), [(16, 2, "--shards"), (16, 8, "--shards"), (8, 4, "--size 16")])
def test_shards_by_other_numbers_are_not_mixed_in(
    prepared: Path, shards: Path, tmp_path: Path, noted: bool, size: int, count: int, named: str
) -> None:
    output = shutil.copytree(shards, tmp_path / "out")
    (output / "train-000002.tar").unlink()
    if not noted:  # as older versions wrote them
        (output / "shards.json").unlink()
    before = sorted(output.glob("*.tar"))
    with fails(Mismatch, named, "another --output"):
        write_shards(filled(tmp_path / "data", size), output, size, count)
    assert sorted(output.glob("*.tar")) == before
    write_shards(prepared, output, 16, 4)
    assert len(list(output.glob("*.tar"))) == 6
    assert sorted(clip.name for clip in corpus(output, 16)["train"]) == [f"clip{k}" for k in range(10)]


def test_shards_of_data_that_has_grown_are_not_mixed_in(prepared: Path, shards: Path, tmp_path: Path) -> None:
    data, output = shutil.copytree(prepared, tmp_path / "data"), shutil.copytree(shards, tmp_path / "out")
    save_clip(data / "train" / "eve" / "clip12.npz", talking(12, size=16))
    with fails(Mismatch, output, "10 clips", "11", "--output"):
        write_shards(data, output, 16, 4)
    for split in ("train", "test"):
        shutil.rmtree(data / split)
    save_clip(data / "seen" / "eve" / "clip12.npz", talking(12, size=16))  # a split by itself is nobody's
    write_shards(data, output, 16, 4)
    assert {split: len(clips) for split, clips in corpus(output, 16).items()} == {"train": 10, "seen": 1, "test": 2}


def test_a_note_that_is_none_is_one_sentence(prepared: Path, shards: Path, tmp_path: Path) -> None:
    output = shutil.copytree(shards, tmp_path / "out")
    (output / "shards.json").write_text("[]")
    with fails(Unreadable, "shards.json", "move it away"):
        write_shards(prepared, output, 16, 4)


def test_a_speaker_may_have_any_name(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "out").mkdir()
    save_clip(tmp_path / "data" / "train" / name / f"{name}.npz", talking(0, size=16))
    write_shards(tmp_path / "data", tmp_path / "out", 16, 1)
    (clip,) = corpus(tmp_path / "out", 16)["train"]
    assert (clip.speaker, clip.name) == (name, name)


def test_what_is_no_shard_is_one_sentence(tmp_path: Path) -> None:
    tar = tmp_path / "train-000000.tar"
    tar.write_bytes(b"no tar")
    with fails(Unreadable, "train-000000.tar"):
        corpus(tmp_path, 16)
    with tarfile.open(tar, "w"):
        pass
    with fails(NoData, "train-000000.tar"):
        corpus(tmp_path, 16)
    tar.with_suffix(".json").write_text("[]")
    with fails(Unreadable, "train-000000.json"):
        corpus(tmp_path, 16)


def test_a_shard_none_of_whose_clips_can_be_read_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "data" / "train" / "ann").mkdir(parents=True)
    whole: Clip = talking(0, size=16)
    save_clip(tmp_path / "data" / "train" / "ann" / "a.npz", whole)
    (tmp_path / "data" / "train" / "ann" / "b.npz").write_bytes(b"broken")
    (tmp_path / "out").mkdir()
    with fails(NoData, "train-000001.tar", "b.npz"):
        write_shards(tmp_path / "data", tmp_path / "out", 16, 2)
    assert [path.name for path in (tmp_path / "out").glob("*.tar")] == ["train-000000.tar"]


def test_a_file_where_shards_shall_lie_is_one_sentence(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    assert main([str(prepared), "--output", str(tmp_path / "taken")]) == 2
    assert (tmp_path / "taken").read_bytes() == b""


def test_shards_are_not_written_among_the_data(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(prepared.rglob("*"))
    assert main([str(prepared), "--output", str(prepared / "train" / ".."), "--size", "16"]) == 2
    check_error(capsys.readouterr().err, "--output", "DATA", "choose another")
    assert sorted(prepared.rglob("*")) == before


def test_what_was_written_is_said(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main([str(prepared), "--output", str(tmp_path / "out"), "--size", "16", "--shards", "4"]) == 0
        assert "out: 10 clips train in 4 shards, 2 clips test in 2 shards" in capsys.readouterr().err
