"""The Python API does what generate.py does, from any folder, as docs/api.md says."""

import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from core.errors import BadValue, NotFound
from lipsync import LipSync
from lipsync.cli.main import generate
from lipsync.pipeline import SYNTHETIC
from tests.helpers.failing import fails
from video import read_frames

ROOT = Path(__file__).parents[2]
SETTINGS = {"device": "cpu", "precision": "fp32", "detector": "haar", "cache": None}


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> LipSync:
    return LipSync.from_pretrained(checkpoint, **SETTINGS)


@pytest.mark.slow
def test_a_call_makes_what_the_program_makes(
    model: LipSync, checkpoint: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = model(folder / "person.mp4", str(folder / "words.wav"), tmp_path / "one.mkv", codec="ffv1", mask="half")
    assert (report.frames, report.edited) == (25, 25)
    flags = ["--device", "cpu", "--precision", "fp32", "--face_detector", "haar", "--no_cache"]
    code = generate([
        "--video", str(folder / "person.mp4"), "--audio", str(folder / "words.wav"), "--mask", "half", "--codec",
        "ffv1", "--model_path", str(checkpoint), "-o", str(tmp_path / "two.mkv"), *flags,
    ])  # fmt: skip
    assert code == 0
    one, two = (list(read_frames(tmp_path / name)) for name in ("one.mkv", "two.mkv"))
    assert len(one) == 25 and all(map(np.array_equal, one, two))
    (tmp_path / "result.mkv").write_bytes((folder / "person.mp4").read_bytes())
    monkeypatch.chdir(tmp_path)  # what frames are called by, they are not written to
    shown = list(model.frames("result.mkv", folder / "words.wav", mask="half"))
    assert len(shown) == 25 and all(map(np.array_equal, one, shown))


@pytest.mark.slow
def test_the_words_may_be_named_by_segments(model: LipSync, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text(f"start,end,face,sound\n0,0.4,largest,{folder / 'words.wav'}\n")
    assert model(folder / "person.mp4", None, tmp_path / "out.mp4", segments=tmp_path / "who.csv").edited == 10


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"lenght": "video"}, ("lenght", "length?")),
        ({"device": "cpu"}, ("device", "LipSync.from_pretrained")),
        ({"detail": 2.0}, ("--detail",)),
        ({"length": "vidoe"}, ("length", "'vidoe'", "audio, video, shortest")),
        ({"registration": "false"}, ("registration", "'false'", "True and False")),
        ({"compare": None}, ("compare", "None", "True and False")),
        ({"crf": "16"}, ("crf", "'16'", "whole numbers")),
        ({"start": "0:02"}, ("start", "'0:02'", "numbers")),
        ({"fps": 29.97}, ("fps", "29.97", "Fraction(30000, 1001)")),
        ({"pads": (0, 1, 2)}, ("pads", "(0, 1, 2)", "four numbers")),
        ({"face": 1}, ("face", "1", "texts")),
    ],
)
def test_what_cannot_be_is_one_sentence(
    model: LipSync, folder: Path, tmp_path: Path, call: dict[str, object], named: tuple[str, ...]
) -> None:
    with fails(BadValue, *named):
        model(folder / "person.mp4", folder / "words.wav", tmp_path / "out.mp4", **call)
    with fails(NotFound, "--video"):
        next(model.frames(folder / "nobody.mp4", folder / "words.wav"))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"batch": -1}, "batch -1"),
        ({"batch": "all"}, "batch"),
        ({"lookahead": float("nan")}, "lookahead nan"),
        ({"lookahead": "0.5"}, "lookahead"),
        ({"seconds": "10"}, "seconds"),
        ({"registration": "no"}, "registration"),
        ({"face_restorer": "nowhere.onnx"}, "nowhere.onnx"),
    ],
)
def test_a_stream_refuses_what_cannot_be(model: LipSync, folder: Path, call: dict[str, object], named: str) -> None:
    with fails((BadValue, NotFound), named):
        model.stream(folder / "person.mp4", **call)  # type: ignore[arg-type]


def test_settings_may_be_of_numpy_and_paths_of_text(checkpoint: Path, tmp_path: Path) -> None:
    chosen = {"registration": np.bool_(False), "seed": np.int64(3), "start": np.float32(0.5), "fps": 25, "end": None}
    model = LipSync.from_pretrained(checkpoint, **SETTINGS | {"cache": str(tmp_path)}, **chosen, pads=[0, 1, 2, 3])
    assert model.settings.cache == tmp_path and not model.settings.registration


@pytest.mark.slow
def test_the_documented_example_runs_from_another_folder(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.S)
    given = ", ".join([repr(str(checkpoint)), *(f"{name}={value!r}" for name, value in SETTINGS.items())])
    program = "\n".join(examples).replace("from_pretrained()", f"from_pretrained({given})")
    assert "200:, 100:300" in program
    for name in ("person.mp4", "words.wav"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "my_program.py").write_text(program.replace("200:, 100:300", "60:, 90:140"), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "my_program.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("20 20 []\n") and (tmp_path / "result.mp4").exists()


def test_help_needs_no_torch() -> None:
    code = "import sys, lipsync.cli.flags; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.slow
def test_a_result_says_in_its_metadata_that_it_is_synthetic(model: LipSync, folder: Path, tmp_path: Path) -> None:
    model(folder / "person.mp4", folder / "words.wav", tmp_path / "a.mp4", end=0.1, length="shortest")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata["comment"] == SYNTHETIC


@pytest.mark.slow
def test_whoever_asks_is_told_how_far_a_call_is(model: LipSync, folder: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    model(folder / "person.mp4", folder / "words.wav", tmp_path / "a.mp4", progress=lambda *how: told.append(how))
    assert [how for how in told if how[0] == "speak"] == [("speak", k + 1, 25) for k in range(25)]
    assert ("find faces", 20, 20) in told
