"""The offsets of a pack are measured, written beside it, and set right in what is heard of it from then on."""

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import Unreadable
from core.program import exit_code
from core.rows import read_rows
from dataset.corpus import sound_of
from dataset.pack import SOUND_OFFSETS, Labels, packed
from scripts import find_sound_offsets
from systems.registry import load_motion
from systems.style.labels import LabelledClip
from tests.dataset.test_pack import pack
from tests.helpers.failing import check_error, fails
from tests.helpers.tiny_motion import NUMBERS
from tests.helpers.tiny_style import save

FRAMES = 26
LATE = {"a": 2.0, "b": 3.0}  # frames by which the lips that are predicted come after those of the labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = pack(tmp_path_factory.mktemp("offsets"), frames=FRAMES)
    for path in made.glob("piece-*/train/*/*.npz"):
        labels = Labels.load(path)
        Labels(labels.points, wave(0.0, len(path.parent.name) + ord(path.parent.name)), labels.opening).save(path)
    return made


def wave(late: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    times = np.arange(FRAMES)[:, None] - late
    speeds, phases = rng.uniform(0.3, 1.2, (2, NUMBERS)), rng.uniform(0, 6, (2, NUMBERS))
    return np.asarray(sum(np.sin(times * speed + phase) for speed, phase in zip(speeds, phases, strict=True)), "f4")


@pytest.fixture
def find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the script with a stage 1 that predicts the labels' own lips, as late as LATE says."""
    model = load_motion(save(tmp_path / "model"))

    def hearing(*_: object) -> Callable[[LabelledClip], Tensor]:
        return lambda clip: torch.from_numpy(wave(LATE[clip.speaker], 1 + ord(clip.speaker)))

    monkeypatch.setattr(model.predictor, "predict", lambda heard, *_, **__: heard)
    monkeypatch.setattr(find_sound_offsets, "load_motion", lambda _: model)
    monkeypatch.setattr(find_sound_offsets, "hearing", hearing)

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["find", *map(str, arguments)])
        return exit_code(find_sound_offsets.main)

    return run


def found(folder: Path) -> dict[str, float]:
    return {row["clip"].split("/")[1]: float(row["late"]) for _, row in read_rows(folder / SOUND_OFFSETS)}


def test_offsets_are_found_and_set_right(folder: Path, find: Callable[..., int]) -> None:
    before = {clip.speaker: clip for clip in packed(folder, 32, "box")["train"]}
    assert find("--data", folder) == 0
    assert found(folder) == pytest.approx({"a": 0.08, "b": 0.12}, abs=0.012)
    for clip in packed(folder, 32, "box")["train"]:
        late, old = clip.late, before[clip.speaker]
        assert late == found(folder)[clip.speaker]
        heard, whole = (np.concatenate(list(sound_of(one).blocks())) for one in (clip, old))
        assert np.array_equal(heard, whole[round(late * 16000) :])
        assert np.array_equal(clip.mel.columns[:20], old.mel.columns[round(80 * late) :][:20])
        rows = clip.banks.windows(4, 8, Fraction(25), 1)
        shifted = old.banks.excerpt(Fraction(late), Fraction(FRAMES, 25)).windows(4, 8, Fraction(25), 1)
        assert np.array_equal(rows, shifted)
    assert find("--data", folder) == 0                     # measured by what the files hold, not what was set right
    assert found(folder) == pytest.approx({"a": 0.08, "b": 0.12}, abs=0.012)


def test_what_is_known_to_be_in_time_stays_and_the_rest_is_told_by_it(folder: Path, find: Callable[..., int]) -> None:
    assert find("--data", folder, "--in_sync", "a*") == 0
    assert found(folder) == pytest.approx({"a": 0, "b": 0.04}, abs=0.016)


def test_what_cannot_be_is_one_sentence(
    folder: Path, tmp_path: Path, find: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert find("--data", folder, "--in_sync", "nobody") == 2
    check_error(capsys.readouterr().err, "nobody", folder)
    assert find("--data", tmp_path) == 2
    check_error(capsys.readouterr().err, "pack_training.py")
    for unfit in ("name\nx\n", "clip,late\ntrain/a/one,\n", "clip,late\ntrain/a/one,nan\n", "clip,late\na,-1e9\n"):
        (folder / SOUND_OFFSETS).write_text(unfit)
        with fails(Unreadable, SOUND_OFFSETS, "find_sound_offsets.py"):
            packed(folder, 32, "box")
