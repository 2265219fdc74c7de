"""Networks of the user's and marks, as a user asks for them: flags, lists, the Python API, a server; what files say."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from core.errors import BadInput
from lipsync import LipSync
from lipsync.cli.filelist import read_list
from lipsync.cli.flags import parser, settings
from lipsync.cli.main import generate
from lipsync.inspect.dry_run import estimate
from lipsync.jobs.job import Job
from lipsync.pipeline import SOURCE_TYPE, SYNTHETIC, LipSyncPipeline
from lipsync.settings import Settings
from tests.helpers.toy_onnx import NEEDED, brighter, codeformer, filtered, xseg
from video import probe, read_frames, write_picture
from web.__main__ import main as serve
from web.networks import as_flags, networks_of
from web.order import Order

BOX = ["--box", "20,134,90,180", "--device", "cpu", "--no_cache"]


def test_flags_lists_and_orders_say_the_same(tmp_path: Path) -> None:
    words = [
        "--face_restorer", "r.onnx", "--restorer_strength", "0.5", "--face_occluder", "o.onnx",
        "--voice_separator=v.onnx", "--separator_rate", "44100", "--mark", "--mark_text", "made by AI",
    ]  # fmt: skip
    expected = Settings(
        face_restorer=Path("r.onnx"), restorer_strength=0.5, face_occluder=Path("o.onnx"),
        voice_separator=Path("v.onnx"), separator_rate=44100, mark=True, mark_text="made by AI",
    )  # fmt: skip
    assert settings(parser().parse(["v.mp4", "a.wav", "o.mp4", *words])) == expected
    assert expected.extras == {
        "face_restorer": "r.onnx, strength 0.5", "face_occluder": "o.onnx", "voice_separator": "v.onnx, 44100 Hz",
        "mark": "made by AI",
    }  # fmt: skip
    assert Settings(restorer_strength=0.3, mark_text="x").extras == {}
    (tmp_path / "list.csv").write_text("video,audio,mark,restorer_strength\na.mp4,b.wav,,\nc.mp4,b.wav,no,1\n")
    one, two = read_list(tmp_path / "list.csv", ["--sample_path", "out", *words])
    assert one.settings == expected and (two.settings.mark, two.settings.restorer_strength) == (False, 1.0)
    order = Order("video", {"video": "a", "audio": "b"}, {"mark": "true", "mark_text": "AI", "restorer_strength": "0"})
    assert (order.settings.mark, order.settings.mark_text, order.settings.restorer_strength) == (True, "AI", 0.0)
    with pytest.raises(BadInput, match="face_restorer: true or false"):  # which it is, no visitor says
        Order("video", {"video": "a", "audio": "b"}, {"face_restorer": "r.onnx"})


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--face_restorer", "gone.onnx"], "--face_restorer gone.onnx: no such file"),
     (["--restorer_strength", "1.5"], "--restorer_strength 1.5: from 0"),
     (["--separator_rate", "12"], "--separator_rate 12: from 8000"),
     (["--mark_text", ""], "--mark_text ''"), (["--enhancer", "gfpgan"], "did you mean --face_restorer")],
)  # fmt: skip
def test_mistakes_are_a_sentence(folder: Path, tmp_path: Path, capsys, words: list[str], said: str) -> None:  # type: ignore[no-untyped-def]
    files = [str(folder / "person.mp4"), str(folder / "words.wav"), str(tmp_path / "new" / "o.mp4")]
    try:
        code = generate([*files, *words])
    except SystemExit as stop:
        code = int(str(stop.code))
    text = capsys.readouterr().err
    assert code == 2 and said in text and len(text.strip().splitlines()) == 1
    assert not any(tmp_path.iterdir())


@NEEDED
@pytest.mark.slow
def test_a_network_that_cannot_be_used_leaves_nothing_and_no_result_is_written_over_one(
    folder: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = codeformer(tmp_path / "model.mkv")
    given = ["--video", str(folder / "person.mp4"), "--audio", str(folder / "words.wav"), "--model_path",
             str(checkpoint), *BOX, "--face_restorer", str(path)]  # fmt: skip
    assert generate([*given, "-o", str(tmp_path / "o.mkv")]) == 2
    assert "takes 2 inputs" in capsys.readouterr().err
    assert generate([*given, "-o", str(path)]) == 2 and "is the input itself" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["model.mkv"]
    api = LipSync.from_pretrained(checkpoint, device="cpu", box=(20, 134, 90, 180), cache=None)
    with pytest.raises(BadInput, match="takes 2 inputs"):
        api(folder / "person.mp4", folder / "words.wav", tmp_path / "o.mkv", face_restorer=str(path))
    with pytest.raises(BadInput, match="is the input itself"):
        api(folder / "person.mp4", folder / "words.wav", path, face_occluder=str(path))


@NEEDED
@pytest.mark.slow
def test_all_at_once_as_a_user_would(
    folder: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--face_restorer", str(brighter(tmp_path / "r.onnx")), "--face_occluder", str(xseg(tmp_path / "o.onnx")),
             "--voice_separator", str(filtered(tmp_path / "v.onnx", np.ones(1), sample_rate="16000")),
             "--mark", "--save_orig", "--codec", "ffv1", "--json"]  # fmt: skip
    files = ["--video", str(folder / "person.mp4"), "--audio", str(folder / "words.wav"), "--model_path",
             str(checkpoint), "-o", str(tmp_path / "out.mkv")]  # fmt: skip
    assert generate([*files, *BOX, *words]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    extras = events[-1]["extras"]
    assert list(extras) == ["face_restorer", "face_occluder", "voice_separator", "mark"]
    assert any(event.get("stage") == "separate voice" for event in events)
    result, before = (np.stack(list(read_frames(tmp_path / name))) for name in ("out.mkv", "out_orig.mkv"))
    assert (result[:, 170:, 180:] != before[:, 170:, 180:]).any() and not (result != before)[:, :77].any()
    shown = LipSync.from_pretrained(checkpoint, device="cpu", box=(20, 134, 90, 180), cache=None).frames(
        folder / "person.mp4", folder / "words.wav", mark=True, face_restorer=str(tmp_path / "r.onnx"),
        face_occluder=str(tmp_path / "o.onnx"), voice_separator=str(tmp_path / "v.onnx"),
    )  # fmt: skip
    assert np.array_equal(np.stack(list(shown)), result)
    comments = []
    for name in ("out.mkv", "out_orig.mkv"):
        with av.open(str(tmp_path / name)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
            comments.append(tags.get("comment"))
    assert comments == [SYNTHETIC, None]  # the video as it was is not synthetic


@pytest.mark.slow
def test_a_preview_says_what_it_is_and_other_pictures_do_not(folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    files = ["--video", str(folder / "person.mp4"), "--audio", str(folder / "words.wav"), "--model_path",
             str(checkpoint), *BOX]  # fmt: skip
    assert generate([*files, "--preview", "0.4", "-o", str(tmp_path / "still.png")]) == 0
    assert generate([*files, "--preview", "0.4", "--mark", "-o", str(tmp_path / "marked.png")]) == 0
    with Image.open(tmp_path / "still.png") as still:
        assert still.info["Comment"].startswith("Synthetic: the mouth in the right half")
        assert f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}<" in still.info["XML:com.adobe.xmp"]
        still.verify()  # the sums of its chunks
    (one,), (two,) = (list(read_frames(tmp_path / name)) for name in ("still.png", "marked.png"))
    changed = np.flatnonzero((one != two).any(axis=(0, 2)))
    assert probe(tmp_path / "still.png").width == 512 and changed[0] > 256  # the original's half is as it was
    write_picture(tmp_path / "plain.png", one)
    with Image.open(tmp_path / "plain.png") as plain:
        assert not plain.info.keys() & {"Comment", "XML:com.adobe.xmp"}


@NEEDED
@pytest.mark.slow
def test_a_dry_run_knows_what_they_cost(folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    chosen = Settings(
        box=(20, 134, 90, 180), device="cpu", cache=None, face_restorer=brighter(tmp_path / "r.onnx"),
        face_occluder=xseg(tmp_path / "o.onnx"),
        voice_separator=filtered(tmp_path / "v.onnx", np.ones(1), sample_rate="16000"),
    )  # fmt: skip
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "result.mkv")
    found = estimate(LipSyncPipeline(checkpoint, chosen), job)
    assert all(found.seconds[stage] > 0 for stage in ("occlude", "restore", "separate"))


@pytest.mark.slow
@NEEDED
def test_a_server_takes_its_own_networks_and_refuses_others_when_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from web.__main__ import parser as server_flags

    path = brighter(tmp_path / "r.onnx")
    options = server_flags().parse_args(["--face_restorer", str(path), "--separator_rate", "44100"])
    found = networks_of(options)
    assert found == {"face_restorer": path, "separator_rate": 44100}
    assert as_flags(found) == ["--face_restorer", str(path), "--separator_rate", "44100"]
    for name, said in ((codeformer(tmp_path / "c.onnx"), "takes 2 inputs"), (tmp_path / "gone.onnx", "no such file")):
        assert serve(["--port", "0", "--data", str(tmp_path / "data"), "--face_restorer", str(name)]) == 2
        assert said in capsys.readouterr().err
