"""From videos to a prepared folder; what cannot be read is named, and the same command goes on."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from audio import read_mel
from core.errors import BadValue, BatchFailed, Mismatch, NoData, OutOfMemory, Unwritable
from dataset import corpus, cutting, entries, load_clip, prepare
from dataset.report import Line
from dataset.source import Source
from dataset.sync_filter import Offset, SyncFilter
from face_detection import voxceleb2_box
from tests.helpers.failing import fails
from tests.helpers.painted_films import FixedScorer, Painted, film, scene
from tests.helpers.talking_head import PORTRAIT
from tests.helpers.tiny_videos import noise
from video import write_video
from video.opening import one_thread_each

ROOT = Path(__file__).parents[2]
FPS = Fraction(30000, 1001)


def framed(path: Path, *, frames: int = 8) -> Path:
    """Frame k is grey level 20 + 20 k where VoxCeleb2's crop is, and bright around it; 16 kHz sound that rises."""
    path.parent.mkdir(exist_ok=True)
    sound = noise(path.with_suffix(".wav"), frames / 30)
    box = voxceleb2_box(96, 96)
    pictures = np.full((frames, 96, 96, 3), 230, np.uint8)
    for k, picture in enumerate(pictures):
        picture[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = 20 + 20 * k
    write_video(path, pictures, FPS, sound=sound, crf=10)
    sound.unlink()
    return path


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """A list of two videos, one of them in a folder with a space."""
    framed(tmp_path / "a.mp4")
    framed(tmp_path / "some folder" / "b.mp4", frames=6)
    path = tmp_path / "clips.csv"
    path.write_text("speaker,file,split,note\nann,a.mp4,train,x\nbob,some folder/b.mp4,test,y\n")
    return path


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two films and a broken one; whoever detects finds red rectangles."""
    monkeypatch.setattr(cutting, "_detector", lambda _: Painted())
    monkeypatch.setattr(prepare, "load_detector", lambda _: Painted())
    folder = tmp_path / "films"
    (folder / "ann").mkdir(parents=True)
    film(folder / "ann" / "one.mp4", scene(range(30), 40), seconds=1.2)
    film(folder / "bob.mp4", scene(range(10), 40, face=None), scene(range(10, 38), 120), seconds=1.5)
    (folder / "ann" / "broken.mp4").write_bytes(b"no video at all")
    return folder


def run(output: Path, *words: str, **more: object) -> None:
    flags = ["--output", str(output), "--size", "32", "--workers", "0", "--face-detector", "haar", *words]
    prepare.run(prepare.parser().parse_args(flags), **more)  # type: ignore[arg-type]


def made(output: Path) -> list[str]:
    return sorted(str(path.relative_to(output)) for path in output.rglob("*.npz"))


def test_framed_clips_are_cut_resized_and_filed(listing: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    run(output, "--list", str(listing))
    assert made(output) == ["test/bob/b.npz", "train/ann/a.npz"]
    (entry,) = entries(output, "train")
    clip = load_clip(entry)
    assert clip.faces.shape == (8, 32, 32, 3) and clip.fps == FPS and clip.speaker == "ann"
    for k, face in enumerate(clip.faces):
        assert np.abs(face[2:-2, 2:-2].astype(int) - (20 + 20 * k)).max() < 8
    mel = read_mel(tmp_path / "a.mp4")
    assert np.abs(clip.mel.columns - mel.columns).max() < 5e-3
    assert load_clip(entries(output, "test")[0]).faces.shape[0] == 6


def test_the_same_command_goes_on_and_names_what_is_broken(listing: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with listing.open("a") as file:
        file.write("eve,broken.mp4,train,z\neve,gone.mp4,train,z\n")
    with fails(BatchFailed, "2 of 4", "broken.mp4", "gone.mp4") as caught:
        run(output, "--list", str(listing))
    assert caught.value.exit_code == 5
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")}
    assert len(times) == 2

    framed(tmp_path / "broken.mp4", frames=4)
    with fails(BatchFailed, "1 of 2", "gone.mp4"):
        run(output, "--list", str(listing))
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert len(entries(output, "train")) == 2


def test_what_was_prepared_before_there_were_reports_is_not_done_again(listing: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    run(output, "--list", str(listing))
    (output / "report.jsonl").unlink()
    for name in made(output):
        (output / name).write_bytes(b"untouched")
    run(output, "--list", str(listing))
    assert all((output / name).read_bytes() == b"untouched" for name in made(output))


def test_any_videos_become_clips_that_can_be_trained_on(films: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    with fails(BatchFailed, "1 of 3", "broken.mp4"):
        run(output, "--videos", str(films))
    assert made(output) == ["train/ann/one__000.npz", "train/bob/bob__000.npz"]
    assert [len(clip) for clip in corpus(output, 32)["train"]] == [30, 28]
    lines = [json.loads(line) for line in (output / "report.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines if "failed" in line] == ["ann/broken.mp4"]
    assert [line["skipped"] for line in lines if "skipped" in line] == ["no face"]


def test_finished_videos_are_skipped_those_without_a_clip_too(films: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    (films / "ann" / "broken.mp4").unlink()
    run(output, "--videos", str(films), "--min_seconds", "1.15")
    assert made(output) == ["train/ann/one__000.npz"]
    (films / "ann" / "one.mp4").write_bytes(b"gone")
    (films / "bob.mp4").write_bytes(b"gone")
    run(output, "--videos", str(films), "--min_seconds", "1.15")
    assert made(output) == ["train/ann/one__000.npz"]


def test_nobody_who_is_trained_on_becomes_one_who_is_held_out(films: Path, tmp_path: Path) -> None:
    """bob and ann stand at 0.46 and 0.55 of all: 0.5 holds out one of them, 0.6 both."""
    output = tmp_path / "prepared"
    (films / "ann" / "broken.mp4").unlink()
    run(output, "--videos", str(films), "--held_out", "0.5")
    before = made(output)
    assert before == ["test/bob/bob__000.npz", "train/ann/one__000.npz"]
    film(films / "ann" / "two.mp4", scene(range(30), 40), seconds=1.2)
    with fails(Mismatch, output, "--held_out 0.5", "--output"):
        run(output, "--videos", str(films), "--held_out", "0.6")
    with fails(Mismatch, "--min_face 96.0"):
        run(output, "--videos", str(films), "--held_out", "0.5", "--min_face", "20")
    with fails(Mismatch, "--face_detector haar"):
        run(output, "--videos", str(films), "--held_out", "0.5", "--face_detector", "yunet")
    assert made(output) == before
    run(output, "--videos", str(films), "--held_out", "0.5")
    assert made(output) == [*before, "train/ann/two__000.npz"]


def test_another_expert_does_not_judge_the_rest(listing: Path, tmp_path: Path) -> None:
    def judged(weights: bytes) -> None:
        (tmp_path / "sync.safetensors").write_bytes(weights)
        flags = prepare.parser().parse_args(["--list", str(listing), "--output", str(tmp_path / "out"), "--size", "32",
                                             "--workers", "0"])  # fmt: skip
        flags.expert, flags.max_offset, flags.min_confidence = tmp_path / "sync.safetensors", 1.0, 0.1
        prepare.run(flags, scorer=FixedScorer(Offset(0, 1.0)))

    judged(b"one")
    judged(b"one")
    with fails(Mismatch, "--expert sync.safetensors", "pass that"):
        judged(b"other")
    with fails(Mismatch, "--expert sync.safetensors", "scripts/prepare.py"):
        run(tmp_path / "out", "--list", str(listing))


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "a\u2028b\x85c", "a\tb"])
def test_a_speaker_and_a_video_may_have_any_name(films: Path, tmp_path: Path, name: str) -> None:
    output = tmp_path / "prepared"
    for path in (films / "ann" / "broken.mp4", films / "bob.mp4"):
        path.unlink()
    (films / "ann" / "one.mp4").rename(films / "ann" / f"{name}.mp4")
    (films / "ann").rename(films / name)
    run(output, "--videos", str(films), "--held_out", "0.5")
    clips = made(output)
    assert len(clips) == 1 and clips[0].endswith(f"/{name}/{name}__000.npz")
    (films / name / f"{name}.mp4").write_bytes(b"gone")
    run(output, "--videos", str(films), "--held_out", "0.5")
    assert made(output) == clips


def waiting(monkeypatch: pytest.MonkeyPatch, begun: list[str]) -> Iterator[prepare.Outcome]:
    """Ten videos, by two threads for processes, which note what they begin."""

    def made(source: Source, *_: object) -> list[Line]:
        begun.append(source.name)
        time.sleep(0.01)
        if source.name == "3":
            raise NoData("3: the file is empty")
        return [{"clip": source.name}]

    monkeypatch.setattr(prepare, "ProcessPoolExecutor", lambda workers, *_, **__: ThreadPoolExecutor(workers))
    monkeypatch.setattr(prepare, "prepare_source", made)
    sources = [Source(Path(str(k)), str(k), "ann", Path(str(k)), framed=True) for k in range(10)]
    return prepare._in_processes(sources, cutting.Cutting(), None, 2)


def test_processes_make_all(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {source.name: outcome for source, outcome in waiting(monkeypatch, [])}
    problem = outcomes.pop("3")
    assert isinstance(problem, NoData) and outcomes == {str(k): [{"clip": str(k)}] for k in range(10) if k != 3}


def test_who_is_stopped_waits_for_the_videos_at_work_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    outcomes = waiting(monkeypatch, begun)
    next(outcomes)
    with pytest.raises(KeyboardInterrupt):
        outcomes.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert sorted(begun) == ["0", "1"]


def test_a_process_that_dies_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = waiting(monkeypatch, [])
    monkeypatch.setattr(prepare, "prepare_source", dies)
    with fails(OutOfMemory, "prepared 0", "--workers"):
        next(outcomes)


def dies(*_: object) -> None:
    raise BrokenProcessPool


def test_a_scorer_that_is_handed_in_judges_every_clip(films: Path, tmp_path: Path) -> None:
    (films / "ann" / "broken.mp4").unlink()
    scorer = FixedScorer(Offset(0, 1.0))
    with fails(NoData, tmp_path / "none", "no clips, 3 stretches left out", "confidence", "report.jsonl"):
        run(tmp_path / "none", "--videos", str(films), sync=SyncFilter(min_confidence=2), scorer=scorer)
    assert made(tmp_path / "none") == []
    run(tmp_path / "all", "--videos", str(films), sync=SyncFilter(min_confidence=0.5), scorer=scorer)
    assert len(made(tmp_path / "all")) == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--size", "0"], "--size"),
        (["--min-seconds", "0"], "--min_seconds"),
        (["--min-seconds", "nan"], "--min_seconds"),
        (["--held-out", "1"], "--held_out 1.0"),
        (["--workers", "-1"], "--workers -1"),
    ],
)
def test_impossible_flags_are_one_sentence(tmp_path: Path, words: list[str], named: str) -> None:
    flags = ["--videos", str(tmp_path), "--output", str(tmp_path / "out"), *words]
    with fails(BadValue, named):
        prepare.run(prepare.parser().parse_args(flags))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("speaker", ["../../../evil", "..", ".", "/abs", "a/b", "a/"])
def test_a_speaker_in_a_list_is_one_folder(listing: Path, tmp_path: Path, speaker: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with listing.open("a") as file:
        file.write(f"{speaker},a.mp4,train,z\n")
    with fails(BadValue, listing, "row 4", speaker, "one folder"):
        run(tmp_path / "prepared", "--list", str(listing))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("file", [".", "/", "./"])
def test_a_file_in_a_list_has_a_name(listing: Path, tmp_path: Path, file: str) -> None:
    with listing.open("a") as text:
        text.write(f"ann,{file},train,z\n")
    with fails(BadValue, listing, "row 4", "is a folder"):
        run(tmp_path / "prepared", "--list", str(listing))


def test_clips_are_not_made_among_the_videos(films: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for output in (films, films / "ann" / ".."):
        with fails(Unwritable, "--output", "--videos", "choose another"):
            run(output, "--videos", str(films))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_as_a_program_with_processes_it_finds_real_faces_and_says_what_is_broken(tmp_path: Path) -> None:
    folder = tmp_path / "my films" / "ann"
    folder.mkdir(parents=True)
    still = noise(tmp_path / "sound.wav", 1.2)
    write_video(folder / "für dich.mp4", portraits(30), Fraction(25), sound=still, preset="ultrafast")
    (folder / "broken.mp4").write_bytes(b"no video at all")
    command = [
        sys.executable, "-m", "dataset.prepare", "--videos", "my films", "--output", "prepared",
        "--face_detector", "haar", "--workers", "1",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("\n") == 1 and "broken.mp4" in done.stderr and "Traceback" not in done.stderr
    (clip,) = corpus(tmp_path / "prepared", 128)["train"]
    assert clip.name == "für dich__000" and clip.amount == 30


def portraits(count: int) -> Iterator[np.ndarray]:
    portrait = cv2.imread(str(PORTRAIT))[:384, :, ::-1]
    return (np.ascontiguousarray(portrait) for _ in range(count))


def test_many_processes_have_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with one_thread_each():
        assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("1", "3")
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_video_that_is_cut_off_is_prepared_as_far_as_it_goes_and_reported_so(tmp_path: Path) -> None:
    sound = noise(tmp_path / "a.wav", 1.6)
    pictures = np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), np.uint8)
    path = tmp_path / "a.mp4"
    write_video(path, pictures, Fraction(25), sound=sound)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    (tmp_path / "clips.csv").write_text("speaker,file,split\nann,a.mp4,train\n")
    prepare.run(prepare.parser().parse_args(["--list", f"{tmp_path}/clips.csv", "--output", f"{tmp_path}/out",
                                             "--size", "32", "--workers", "0"]))  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    (line,) = [line for line in lines if "clip" in line]
    assert 0 < line["frames"] < 40 and len(line["warnings"]) == 1 and "cut off" in line["warnings"][0]
