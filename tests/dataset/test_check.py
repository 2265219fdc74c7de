"""`python -m dataset.check` says what data is; what it cannot measure it says too; and it writes nothing unasked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio import SILENCE
from core.errors import BadInput, NoData
from dataset import Clip, save_clip
from dataset import check as program
from dataset.check import main
from dataset.checking import ClipChecks, Everything, Named, spread, sync_of
from dataset.contact_sheet import contact_sheet
from dataset.sync_filter import Offset
from guided_diffusion.engine.checkpoint import save_checkpoint
from systems.registry import build, describe
from systems.sound import SoundConfig
from systems.sync import SyncConfig
from tests.helpers.failing import check_error, fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_videos import tiny_video
from tests.helpers.toy import talking
from video import probe

QUICK = ["--seconds", "0.01", "--sync_clips", "6"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(8):
        split, speaker = ("test", "cec") if number == 7 else ("train", "ab"[number % 2])
        save_clip(tmp_path / "data" / split / speaker / f"clip{number}.npz", talking(number, frames=30))
    return tmp_path / "data"


@pytest.fixture
@seeded()
def expert(tmp_path: Path) -> Path:
    tiny = SyncConfig(size=32, shrink=1, widths=(32, 32), embedding=16, sound=SoundConfig(res_blocks=1))
    model = build("sync", tiny)
    save_checkpoint(tmp_path / "expert.safetensors", describe("sync", model, 0, model.state_dict()))
    return tmp_path / "expert.safetensors"


@pytest.mark.slow
def test_data_is_told(data: Path, expert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    before = sorted(data.rglob("*"))
    assert main([str(data), *QUICK, "--sheet", str(sheet), "--expert", str(expert)]) == 0
    said = capsys.readouterr().out
    assert "prepared clips (SPLIT/SPEAKER/NAME.npz)" in said
    assert ["train", "2", "7", "7", "0.1"] in [line.split() for line in said.splitlines()]
    assert ["test", "1", "1", "1", "0.0"] in [line.split() for line in said.splitlines()]
    assert "32 px (100%)" in said and "25 fps (100%)" in said and "faces/s by one process" in said
    assert "sync       not measured: of 6 clips the expert is surer" in said or "agree better with their own" in said
    assert probe(sheet).width == 8 * 132 + 4 and sorted(data.rglob("*")) == before


@pytest.mark.slow
def test_broken_clips_are_named_and_the_exit_code_is_5(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "EXPERT", data / "none.safetensors")
    (data / "train" / "a" / "clip2.npz").write_bytes(b"broken")
    assert main([str(data), *QUICK, "--workers", "1"]) == 5
    said = capsys.readouterr()
    assert "clip2.npz: not a prepared clip" in said.out and "sync       not measured:" in said.out
    assert said.err.splitlines()[-1].startswith("error: ") and "1 of 8 clips opened cannot be used" in said.err


def test_what_is_no_data_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    check_error(capsys.readouterr().err, "python -m dataset.prepare --videos")
    assert main([str(tmp_path), "--clips", "-1"]) == main([str(tmp_path), "--seconds", "nan"]) == 2
    assert main([str(tmp_path / "gone")]) == 2


@pytest.mark.parametrize("content", [b"no checkpoint", None])
def test_an_expert_that_was_asked_for_and_is_none_is_one_sentence(
    data: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (data / "expert.pt").write_bytes(content)
    assert main([str(data), *QUICK, "--expert", str(data / "expert.pt")]) == 2
    said = capsys.readouterr()
    check_error(said.err, "expert.pt")
    assert not said.out


def test_the_sheet_is_never_written_over_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tiny_video(tmp_path / "id00001" / "v" / "00001.mp4", 9)
    assert main([str(tmp_path), *QUICK, "--sheet", str(clip)]) == 2
    assert clip.stat().st_size > 1000


def test_of_many_clips_some_are_opened(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(data), "--seconds", "0", "--sync_clips", "0", "--clips", "2"]) == 0
    said = capsys.readouterr().out
    assert "not measured (--seconds 0)" in said and "not measured (--sync_clips 0)" in said
    assert spread(range(100), 3) == [0, 49, 99] and spread([4], 3) == [4]


def test_silent_and_short_clips_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = talking(0, frames=30)
    quiet = replace(whole, mel=replace(whole.mel, columns=np.full_like(whole.mel.columns, SILENCE)))
    for name, clip in (("good", whole), ("quiet", quiet), ("blip", talking(1, frames=5))):
        save_clip(tmp_path / "train" / "a" / f"{name}.npz", clip)
    assert main([str(tmp_path), "--seconds", "0", "--sync_clips", "0"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["silent"].startswith("1: ") and "quiet" in rows["silent"]
    assert rows["short"].startswith("1: ") and "blip" in rows["short"] and rows["broken"] == "0"
    many = Named()
    for number in range(10):
        many.add(f"clip{number}")
    assert str(many).startswith("10: clip0, ") and str(many).endswith("clip7, 2 more") and str(Named()) == "0"


def test_every_clip_is_looked_at_once(data: Path) -> None:
    from dataset.prepared import prepared

    clips = Everything(prepared(data, 32))
    assert len(clips) == 8 and sorted(clips.firsts()) == ["a", "b", "cec"]
    checks = list(ClipChecks(clips, range(8)).all(0))
    assert [checked.split for checked in checks] == ["train"] * 7 + ["test"]
    assert all(checked.seconds == 1.2 and checked.face is not None and not checked.silent for checked in checks)


def test_sync_is_told_by_somebody_who_knows_and_not_by_others() -> None:
    clips: list[Clip] = [talking(number, frames=30) for number in range(6)]
    own = {clip.faces.tobytes(): clip.mel for clip in clips}

    def knows(faces: np.ndarray, mel: object, fps: object) -> Offset:
        return Offset(2.0, 0.9) if own[faces.tobytes()] is mel else Offset(-7.0, 0.1)

    found = sync_of(clips, knows)
    assert found.told == 1 and found.sure.all() and (found.frames == 2).all() and found.foreign.tolist() == [0.1] * 6
    with fails(BadInput, "6 clips", "0%"):
        sync_of(clips, lambda faces, mel, fps: Offset(0, 0.5))
    with fails(NoData, 3, 5):
        sync_of(clips[:3], knows)


def test_a_sheet_has_a_tile_each() -> None:
    faces = [(f"Übername{number}", np.full((20, 20, 3), 10 * number, np.uint8)) for number in range(9)]
    page = contact_sheet(faces)
    assert page.shape == (2 * 148 + 4, 8 * 132 + 4, 3) and page[60, 60].tolist() == [0, 0, 0]
    assert page[148 + 60, 60].tolist() == [80, 80, 80]
