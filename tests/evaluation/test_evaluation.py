"""From two folders to four reports: everything that can be measured is, what cannot be is named."""

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation import weights
from evaluation.cases import from_folder, from_list
from evaluation.cli import main
from evaluation.clip import FaceFinders
from evaluation.evaluate import evaluate
from evaluation.protocol import PROTOCOLS, Protocol
from evaluation.report.results import PASTED, REAL, RESULT, Evaluation
from evaluation.suite import Suite, Tools, assemble
from face_detection import Box
from systems import registry
from systems.sync import SyncConfig
from tests.helpers.failing import check_error
from tests.helpers.seeded import seeded
from tests.helpers.talking_head import tone
from tests.helpers.video_samples import mouths
from video import write_video

WHOLE = Protocol("tiny", "reconstruction", "whole", 32, "tiny videos")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any weights."""
    monkeypatch.setattr(weights, "weights_folders", lambda: ())


def film(path: Path, frames: int = 15, fps: int = 25, seed: int = 0, noise: int = 0) -> Path:
    """Smooth pictures that drift, 48 x 48, with a tone; `noise` levels are put over the lower half."""
    generator = np.random.default_rng(seed)
    wall = cv2.GaussianBlur(generator.integers(0, 256, (48, 80, 3)).astype(np.uint8), (0, 0), 3)
    pictures = []
    for k in range(frames):
        picture = wall[:, k * 25 // fps : k * 25 // fps + 48].astype(int)
        picture[24:] += generator.integers(-noise, noise + 1, (24, 48, 3))
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = tone(path.with_suffix(".wav"), frames / fps, 200 + 50 * seed)
    write_video(path, pictures, Fraction(fps), sound=sound, crf=0)
    sound.unlink()
    return path


def found(real: Path, fake: Path, protocol: Protocol = WHOLE, tools: Tools | None = None) -> Evaluation:
    with ExitStack() as stack:
        return evaluate(from_folder(real, fake), assemble(protocol, tools or Tools(), stack))


@pytest.mark.slow
def test_a_broken_a_short_and_a_missing_result_are_named_beside_a_complete_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, fake = tmp_path / "real", tmp_path / "fake"
    for k, name in enumerate(("a", "b", "broken", "gone", "short")):
        film(real / f"{name}.mp4", seed=k)
        if name != "gone":
            film(fake / f"{name}.mp4", 4 if name == "short" else 15, seed=k, noise=20)
    (fake / "broken.mp4").write_bytes(b"none")
    flags = ["--real", real, "--fake", fake, "--output", tmp_path / "out" / "report"]
    flags += ["--protocol", "lrw-reconstruction", "--device", "cpu"]
    assert main([str(flag) for flag in flags]) == 5
    said = capsys.readouterr()
    assert "3 of 5 clips are in no figure" in said.err.splitlines()[-1]
    for name, flaw in (("broken", "broken"), ("gone", "missing"), ("short", "short")):
        assert f"{name} ({flaw})" in said.err and f"- {name}: {flaw}" in said.out
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert [clip["name"] for clip in report["clips"]] == ["a", "b"] and len(report["left_out"]) == 3
    names = {figure["name"] for figure in report["figures"]}
    assert {"FID", "FVD", "PSNR", "SSIM", "LPIPS", "LSE-C", "LSE-D", "LMD (FAN)", "CSIM (SFace)"} <= names
    assert sorted(path.name for path in (tmp_path / "out" / "report").iterdir()) == [
        "report.csv", "report.html", "report.json", "report.md",
    ]  # fmt: skip


def test_without_weights_a_figure_has_no_number_and_its_file_is_named(tmp_path: Path) -> None:
    film(tmp_path / "real" / "a.mp4"), film(tmp_path / "fake" / "a.mp4", noise=20)
    rows = {row.figure.name: row for row in found(tmp_path / "real", tmp_path / "fake").rows}
    for name, file in (
        ("FID", "pt_inception"), ("FVD", "i3d"), ("LPIPS", "alexnet"), ("CSIM (SFace)", "sface"), ("LSE-C", "syncnet"),
        ("LSE-D", "syncnet"), ("LMD (FAN)", "2DFAN4"), ("LMD (MediaPipe)", "face_landmarker"),
        ("sync expert's cosine", "a sync expert"),
    ):  # fmt: skip
        cells = rows[name].cells.values()
        assert all(cell.value is None and cell.note.startswith("not measured (weights: ") for cell in cells)
        assert file in rows[name].cells[RESULT].note
    assert rows["PSNR"].cells[RESULT].value is not None


def test_a_result_that_is_the_real_video_is_perfect_and_the_pasted_mouth_is_not(tmp_path: Path) -> None:
    for k in range(2):
        film(tmp_path / "real" / f"{k}.mp4", seed=k), film(tmp_path / "fake" / f"{k}.mp4", seed=k)
    evaluation = found(tmp_path / "real", tmp_path / "fake")
    ssim, jitter = evaluation.row("SSIM"), evaluation.row("jitter outside the mouth")
    assert ssim.cells[RESULT].value == 1 and ssim.cells[RESULT].bounds == (1, 1) and ssim.clips == 2
    assert ssim.cells[REAL].note == "itself" and ssim.cells[PASTED].value < 0.95
    assert jitter.cells[RESULT].value == jitter.cells[REAL].value
    assert evaluation.frames == 30 and evaluation.problems == []


def test_rates_do_not_matter_moments_do(tmp_path: Path) -> None:
    film(tmp_path / "real" / "a.mp4", 30, fps=50), film(tmp_path / "fake" / "a.mp4", 15, fps=25)
    evaluation = found(tmp_path / "real", tmp_path / "fake")
    assert evaluation.frames == 15 and evaluation.row("SSIM").cells[RESULT].value > 0.999


def test_a_list_says_whose_sound_it_is_and_how_long_it_lasts(tmp_path: Path) -> None:
    root, fake = tmp_path / "root", tmp_path / "fake"
    film(root / "one.mp4", 15), film(root / "two.mp4", 30, seed=1)
    film(fake / "two_one.mp4", 15), film(fake / "one_two.mp4", 15, seed=1)
    (tmp_path / "list.txt").write_text("two one\none two\nthree one\n")
    with ExitStack() as stack:
        suite = assemble(replace(WHOLE, setting="cross"), Tools(), stack)
        evaluation = evaluate(from_list(tmp_path / "list.txt", root, fake), suite)
    assert [clip.name for clip in evaluation.clips] == ["one says two", "two says one"]
    assert [(problem.name, problem.flaw) for problem in evaluation.problems] == [("one says three", "missing")]
    names = {row.figure.name for row in evaluation.rows}
    assert "leakage (MediaPipe)" in names and not names & {"PSNR", "LPIPS", "LMD (MediaPipe)"}


def test_a_result_of_another_shape_is_left_out(tmp_path: Path) -> None:
    film(tmp_path / "real" / "a.mp4")
    write_video(
        film(tmp_path / "fake" / "a.mp4"), [np.zeros((48, 96, 3), np.uint8)] * 15, Fraction(25),
        sound=tmp_path / "real" / "a.mp4",
    )  # fmt: skip
    problem = found(tmp_path / "real", tmp_path / "fake").problems[0]
    assert problem.flaw == "broken" and "of another shape" in problem.reason


def test_an_odd_picture_that_grew_by_a_pixel_is_not_taken_for_an_enlarged_one(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (47, 47, 1)).repeat(3, axis=2).astype(np.uint8)
    for path, codec in (("real/a.mkv", "ffv1"), ("fake/a.mp4", "h264")):
        (tmp_path / path).parent.mkdir()
        sound = tone(tmp_path / "a.wav", 0.2)
        write_video(tmp_path / path, [grey] * 5, Fraction(25), sound=sound, codec=codec, crf=0)
    assert found(tmp_path / "real", tmp_path / "fake").row("SSIM").cells[RESULT].value > 0.999


class Mouth:
    """Takes the brightness of the lower half for how far the mouth is open."""

    name = "brightness"

    def find(self, pictures: np.ndarray, place: Box) -> np.ndarray:
        return mouths(pictures[:, 112:].mean(axis=(1, 2, 3)) / 255)


@pytest.mark.slow
def test_landmarks_and_an_expert_are_asked_where_they_are_at_hand(tmp_path: Path) -> None:
    from evaluation.metrics import mouth
    from guided_diffusion.engine.checkpoint import save_checkpoint

    film(tmp_path / "real" / "a.mp4"), film(tmp_path / "fake" / "a.mp4", noise=40)
    metric_specs = mouth.metric_specs(Mouth.name)
    evaluation = evaluate(
        from_folder(tmp_path / "real", tmp_path / "fake"), Suite(metric_specs[:2], FaceFinders(WHOLE, None, Mouth()))
    )
    assert set(evaluation.clips[0].curves) == {RESULT, REAL, PASTED}
    cells = evaluation.row("LMD (brightness)").cells
    assert cells[RESULT].value < cells[PASTED].value

    config = SyncConfig(size=32, widths=(32, 32), embedding=8)
    with seeded():
        expert = registry.build("sync", config)
    checkpoint = registry.describe("sync", expert, 1, expert.state_dict())
    save_checkpoint(tmp_path / "expert.safetensors", checkpoint)
    judged = found(tmp_path / "real", tmp_path / "fake", tools=Tools(expert=tmp_path / "expert.safetensors"))
    row = judged.row("sync expert's cosine")
    assert all(-1 <= row.cells[subject].value <= 1 for subject in (RESULT, REAL, PASTED))
    assert list(judged.weights) == ["expert.safetensors"]


def test_the_same_videos_give_the_same_reports(tmp_path: Path) -> None:
    from evaluation.report.tables import as_json

    for k in range(2):
        film(tmp_path / "real" / f"{k}.mp4", 8, seed=k), film(tmp_path / "fake" / f"{k}.mp4", 8, seed=k, noise=10)
    reports = [as_json(found(tmp_path / "real", tmp_path / "fake")) for _ in range(2)]
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--protocol", "none"], ("--protocol none", "reconstruction, cross")),
        (["--real", "list.txt"], ("--real list.txt", "--root")),
        (["--fake", "none"], ("--fake none",)),
        (["--expert", "none.safetensors"], ("none.safetensors",)),
    ],
)
def test_mistakes_get_one_sentence(
    flags: list[str], named: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "a.mp4")
    (tmp_path / "list.txt").write_text("a a\n")
    assert main(["--real", ".", "--fake", ".", "-o", "report", "--protocol", "wav2lip-cross", *flags]) == 2
    check_error(capsys.readouterr().err, *named)


def test_help_names_every_protocol_and_answers_before_torch_loads() -> None:
    code = (
        "import runpy, sys; sys.argv = ['evaluation', '--help']\n"
        "try: runpy.run_module('evaluation', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'librosa', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    said = "".join(done.stdout.split())
    assert all(name in said for name in PROTOCOLS)
