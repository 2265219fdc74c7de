"""A checkpoint's table, from a list and a folder of videos to Markdown; who finds the lips is painted."""

import csv
import json
from argparse import Namespace
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.rows import read_rows
from evaluation import held_out, pair_scores
from evaluation.clip import FaceFinders
from evaluation.commands import checkpoint as checkpoint_command
from evaluation.held_out import of_split, of_videos
from evaluation.metrics.lip_points import POINTS
from evaluation.pair_scores import CROPS, CURVE, PairScores, make_results, measure
from evaluation.report.lip_table import as_table
from evaluation.report.results import PASTED, REAL, RESULT
from tests.helpers.failing import check_error
from tests.helpers.talking_head import picture, tone
from video import probe, write_video

HALF = Fraction(1, 2)


class Painted:
    """Finds lips that open with the mean brightness of the lower half of a picture; counts the pictures."""

    name = "painted"

    def __init__(self) -> None:
        self.asked = 0

    def find(self, pictures: np.ndarray, place: object) -> np.ndarray:
        self.asked += len(pictures)
        line = np.linspace(0, 2 * np.pi, len(POINTS), endpoint=False)
        sizes = pictures[:, 112:].mean(axis=(1, 2, 3))[:, None] / 128
        ring = [112 + 40 * np.cos(line) * sizes**2, 150 + 20 * np.sin(line) * sizes]
        return np.stack(ring, axis=2).astype(np.float32)


def crop(path: Path, seed: int, frames: int = 20) -> None:
    """A face crop with a sound of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    face = np.ascontiguousarray(picture()[:192, 32:224])
    shown = (np.clip(face * rng.uniform(0.7, 1.3), 0, 255).astype(np.uint8) for _ in range(frames))
    sound = tone(path.with_suffix(".wav"), frames / 25, 200 + 40 * seed)
    write_video(path, shown, Fraction(25), sound=sound)
    sound.unlink()


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for number, (split, speaker) in enumerate([("test", "ann"), ("test", "ann"), ("test", "bob"), ("seen", "eve")] * 2):
        name = f"faces/{speaker}/{split}{number}.mp4"
        crop(folder / name, number, 20 if number else 30)
        rows.append({"file": name, "split": split, "speaker": speaker})
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["file", "split", "speaker"])
        table.writeheader()
        table.writerows(rows)
    return folder / "clips.csv"


@pytest.mark.slow
def test_pairs_go_round_the_speakers_and_are_the_same_every_time(listing: Path) -> None:
    speech = [Path("one.wav"), Path("two.wav")]
    pairs = of_split(listing, "test", 3, Fraction(1), speech, 2)
    assert pairs == of_split(listing, "test", 3, Fraction(1), speech, 2)
    own = [pair for pair in pairs if pair.kind == "own"]
    assert [pair.speaker for pair in own] == ["ann", "bob", "ann"] and len({pair.video for pair in own}) == 3
    assert all(pair.sound == pair.video for pair in own)
    wrong = [pair for pair in pairs if pair.kind == "wrong"]
    assert len(wrong) == 3 and all(pair.sound != pair.video for pair in wrong)
    assert [pair.sound.name for pair in pairs if pair.kind == "speech"] == ["one.wav", "two.wav"] * 3
    assert len({pair.name for pair in pairs}) == len(pairs) == 12
    for pair in pairs:  # whose own sound it is would be told by their own video what lips do
        of_another = pair.manner not in (None, pair.video) and pair.manner.parent == pair.video.parent
        assert of_another if pair.tells else pair.manner is None
    longest = next(pair for pair in pairs if pair.video.stem == "test0")
    assert longest.seconds == 1 and of_split(listing, "test", 0, HALF, [], 0)[0].seconds == HALF


def test_every_clip_of_a_speaker_comes_once_and_far_from_those_before() -> None:
    assert list(held_out._halving("abcdefgh")) == list("aecgbfdh")  # type: ignore[arg-type]
    assert sorted(held_out._halving(range(11))) == list(range(11))  # type: ignore[arg-type]
    assert list(held_out._halving("a")) == ["a"]  # type: ignore[arg-type]


@pytest.mark.slow
def test_results_are_made_measured_and_not_made_again(
    listing: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crop(tmp_path / "whole videos" / "one.mp4", 9)
    pairs = of_split(listing, "test", 2, HALF, [tone(tmp_path / "a.wav", 1.0)], 1)
    pairs += of_videos(tmp_path / "whole videos", 0, HALF, [])
    flags = ["--device", "cpu", "--precision", "fp32", "--steps", "1", "--box", "0", "180", "20", "170"]
    painted = Painted()
    eyes = {
        protocol: FaceFinders(CROPS, None, None, painted, 12)  # type: ignore[arg-type]
        for protocol in (CROPS, pair_scores.VIDEOS)
    }

    def run() -> list[PairScores | str]:
        make_results(pairs, tmp_path / "out", checkpoint, flags)
        return list(measure(pairs, tmp_path / "out", eyes))

    found = run()
    scores = [one for one in found if isinstance(one, PairScores)]
    assert len(scores) == len(pairs) == 7, found
    one = scores[0]
    assert one.values[REAL]["lip opening, r"] == pytest.approx(1) and set(one.values) == {RESULT, REAL, PASTED}
    assert one.values[RESULT]["lip displacement, nose"] > 0 and CURVE in one.values[RESULT]
    assert probe(tmp_path / "out" / "results" / f"{pairs[0].name}.mp4").frames == 30  # the rest passes through
    assert len(list((tmp_path / "out" / "sheets").rglob("*.jpg"))) == 3
    table = as_table(scores)
    assert "| speakers / clips / results | 2 / 2 / 6 |" in table and "nan" not in table
    assert "| lip opening, r with the own sound ↑ | " in table

    asked = painted.asked
    capsys.readouterr()
    assert run() == found and painted.asked == asked
    assert "made     0" in capsys.readouterr().out

    (tmp_path / "out" / "results" / f"{pairs[0].name}.mp4").write_bytes(b"broken")
    broken = list(measure(pairs, tmp_path / "out", eyes))
    assert isinstance(broken[0], str) and pairs[0].name in broken[0] and broken[1:] == found[1:]


@pytest.mark.parametrize("imitates", [False, True])
def test_a_style_system_is_not_shown_what_it_is_to_say(
    imitates: bool, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crop(tmp_path / "one.mp4", 1)
    shown, said, other = tmp_path / "one.mp4", tmp_path / "two.wav", tmp_path / "other.mp4"
    pairs = [
        held_out.Pair(name, "test", "ann", "own", shown, sound, HALF, manner)
        for name, sound, manner in [("a", shown, other), ("b", shown, None), ("c", said, None)]
    ]
    needs = SimpleNamespace(needs=SimpleNamespace(motion=16 if imitates else None))
    monkeypatch.setattr(pair_scores.registry, "load_system", lambda _: needs)
    monkeypatch.setattr(pair_scores, "generate", lambda _: 0)
    make_results(pairs, tmp_path / "out", checkpoint, [])
    listed = read_rows(tmp_path / "out" / "pairs.jsonl")
    rows = [(Path(row["style_video"]).name, row["style_strength"]) for _, row in listed]
    assert rows == ([("other.mp4", ""), ("", "0"), ("", "")] if imitates else [("", "")] * 3)


def scored(group: str, speaker: str, kind: str, **values: float | list[float]) -> PairScores:
    name = f"{group}/{speaker}.{len(json.dumps(values))}_{kind}"
    pair = held_out.Pair(name, group, speaker, kind, Path(name), Path("s"), HALF)  # type: ignore[arg-type]
    return PairScores(pair, dict.fromkeys((RESULT, REAL, PASTED), values))


def test_the_table_is_of_speakers_not_of_clips() -> None:
    r = "lip opening, r"
    scores = [scored("test", "ann", "own", **{r: value}) for value in (0.2, 0.3, 0.4)]
    scores += [scored("test", "bob", "own", **{r: 0.9}), scored("seen", "eve", "own", **{r: 0.5})]
    (line,) = [line for line in as_table(scores).splitlines() if line.startswith("| lip opening, r with the own")]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells == ["0.60 [0.30, 0.90]", "0.50", "", "itself", "0.60 [0.30, 0.90]"]


def test_the_best_lag_is_that_of_the_mean_curve() -> None:
    one, other = [0.0] * 17, [0.0] * 17
    one[8], other[10] = 0.4, 0.8
    scores = [scored("test", "ann", "speech", **{CURVE: curve}) for curve in (one, other)]
    (line,) = [line for line in as_table(scores).splitlines() if "speech, best lag" in line]
    assert line.split("|")[2].strip() == "0.40 at +2 frames"


def test_a_table_that_somebody_reads_is_replaced_and_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scored("test", "ann", "own", **{"lip opening, r": 0.2})
    monkeypatch.setattr(checkpoint_command, "_pairs", lambda _: [one.pair])
    monkeypatch.setattr(checkpoint_command, "WeightStore", lambda _: SimpleNamespace(locate=lambda name: name))
    monkeypatch.setattr(checkpoint_command, "MediaPipe", lambda *_: nullcontext())
    monkeypatch.setattr(checkpoint_command, "make_results", lambda *_: None)
    monkeypatch.setattr(checkpoint_command, "measure", lambda *_: [one])
    (tmp_path / "table.md").write_text("before")
    (tmp_path / "opened.md").hardlink_to(tmp_path / "table.md")
    options = Namespace(output=tmp_path, frames=25, weights=[], mediapipe_python=None, full=None, model_path=None,
                        face_detector="auto")  # fmt: skip
    checkpoint_command.run(options, [])
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == as_table([one])
    assert (tmp_path / "opened.md").read_text() == "before"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "--list, --full"),
        (["--list", "CSV", "--frames", "3"], "--frames"),
        (["--list", "gone.csv"], "gone.csv"),
        (["--full", "gone"], "--full gone"),
        (["--list", "CSV", "--speech", "gone"], "--speech gone"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    listing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    from evaluation.cli import main

    words = [str(listing) if word == "CSV" else word for word in flags]
    assert main(["checkpoint", "--model_path", "m", "--output", str(tmp_path / "out"), *words]) == 2
    check_error(capsys.readouterr().err, says)
    assert not (tmp_path / "out").exists()
