"""Which videos are prepared, who speaks in them, and that no two become the same clip."""

import os
from pathlib import Path

import pytest

from core.errors import BadInput, BadValue, NoData, NotFound, Unwritable
from dataset.prepare import misheld
from dataset.source import found, listed
from dataset.splits import is_held_out, place
from tests.helpers.failing import fails


def rows(tmp_path: Path, text: str) -> dict[str, str]:
    """The clip that each file of a list becomes."""
    (tmp_path / "clips.csv").write_text("file,split,speaker\n" + text)
    output = tmp_path / "prepared"
    sources = listed(tmp_path / "clips.csv", output)
    return {source.name: source.target.relative_to(output).as_posix() for source in sources}


def test_a_clip_is_called_after_its_file_and_the_folders_below_its_speaker(tmp_path: Path) -> None:
    assert rows(
        tmp_path,
        "mp4/id00012/21Uxsk56VDQ/00001.mp4,train,id00012\n"
        "mp4/id00012/9oYJqTbGtKc/00001.mp4,train,id00012\n"
        "faces/ann/a.b.mp4,test,ann\n"
        "eve.mp4,seen,ann\n"
        "bob/talk.mp4,train,bob\n",
    ) == {
        "mp4/id00012/21Uxsk56VDQ/00001.mp4": "train/id00012/21Uxsk56VDQ__00001.npz",
        "mp4/id00012/9oYJqTbGtKc/00001.mp4": "train/id00012/9oYJqTbGtKc__00001.npz",
        "faces/ann/a.b.mp4": "test/ann/a.b.npz",
        "eve.mp4": "seen/ann/eve.npz",
        "bob/talk.mp4": "train/bob/talk.npz",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ("", NoData, "row"),
        ("a.mp4,train\n", NoData, "speaker"),
        ("a.mp4,,ann\n", NoData, "split"),
        ("a.mp4,training,ann\n", BadValue, "training"),
        ("x/a.mp4,train,ann\ny/a.mp4,train,ann\n", Unwritable, "a.npz"),
    ],
)
def test_a_list_that_cannot_be_is_refused(tmp_path: Path, text: str, kind: type[BadInput], named: str) -> None:
    with fails(kind, "clips.csv", named):
        rows(tmp_path, text)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with fails(NotFound, "gone.csv", "check the path"):
        listed(tmp_path / "gone.csv", tmp_path)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_all_videos_below_a_folder_are_found_and_the_first_folder_says_who_speaks(tmp_path: Path) -> None:
    touch(tmp_path, "ann/a.mp4", "ann/day 2/b.MOV", "bob/c.mkv", "eve.mp4", "notes.txt", ".hidden/d.mp4", "ann/.e.mp4")
    sources = found(tmp_path, Path("out"), 0.0)
    assert [(source.name, source.speaker, source.numbered(7).as_posix()) for source in sources] == [
        ("ann/a.mp4", "ann", "out/train/ann/a__007.npz"),
        ("ann/day 2/b.MOV", "ann", "out/train/ann/day 2__b__007.npz"),
        ("bob/c.mkv", "bob", "out/train/bob/c__007.npz"),
        ("eve.mp4", "eve", "out/train/eve/eve__007.npz"),
    ]


def test_a_share_of_the_speakers_is_held_out_with_all_their_videos(tmp_path: Path) -> None:
    touch(tmp_path, *(f"speaker{k}/{j}.mp4" for k in range(20) for j in range(2)))
    sources = found(tmp_path, Path("out"), 0.3)
    test = {source.speaker for source in sources if source.target.parts[1] == "test"}
    assert test == {f"speaker{k}" for k in range(20) if is_held_out(f"speaker{k}", 0.3)} and 1 < len(test) < 12
    assert not test & {source.speaker for source in sources if source.target.parts[1] == "train"}


def test_a_name_stands_where_it_stood_and_one_that_is_no_utf_8_stands_somewhere() -> None:
    assert (place("ann"), place("für dich")) == (0.5516795764552993, 0.6451190800077407)
    odd = os.fsdecode(b"caf\xe9")
    assert 0 < place(odd) < 1 and is_held_out(odd, place(odd) + 1e-9) and not is_held_out(odd, place(odd) - 1e-9)


def test_who_holds_out_nobody_is_told_what_would(tmp_path: Path) -> None:
    touch(tmp_path, *(f"person{k}/a.mp4" for k in range(3)))

    def sentence(share: float) -> str | None:
        return misheld(found(tmp_path, Path("out"), share), share)

    least = min(place(f"person{k}") for k in range(3))
    told = sentence(least / 2) or ""
    assert "holds out none of the 3 speakers" in told
    assert sentence(float(told.partition("; --held_out ")[2].split()[0])) is None
    most = sentence(0.9999) or ""
    assert "holds out all 3 speakers" in most and sentence(float(most.partition("; --held_out ")[2].split()[0])) is None
    assert sentence(0.0) is None
    (alone := tmp_path / "alone").mkdir()
    touch(alone, "a.mp4")
    assert "there is one speaker" in (misheld(found(alone, Path("out"), 0.3), 0.3) or "")


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with fails(NotFound, "--videos"):
        found(tmp_path / "gone", tmp_path, 0.0)
    with fails(NoData, "--videos"):
        found(tmp_path, tmp_path, 0.0)
    touch(tmp_path, "ann/a.mp4", "ann/a.mov")
    with fails(Unwritable, tmp_path, "a.mov", "a.mp4"):
        found(tmp_path, tmp_path / "out", 0.0)
