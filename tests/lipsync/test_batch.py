"""Many videos by one command: each is accounted for, and none stops the others."""

import json
import shutil
from fractions import Fraction

import pytest

from lipsync.cli.main import generate, generate_dist
from tests.helpers.talking_head import talking, tone
from video import probe, read_frames, write_video

FLAGS = ["--box", "20,110,90,180", "--device", "cpu", "--precision", "fp32", "--steps", "1"]


@pytest.fixture
def data(folder, tmp_path):
    """Two videos of which one cannot be read, and two sounds that are shorter than a batch."""
    (tmp_path / "data" / "id1").mkdir(parents=True)
    shutil.copy(folder / "person.mp4", tmp_path / "data" / "id1" / "anna.mp4")
    (tmp_path / "data" / "broken.mp4").write_text("not a video")
    for name in ("one", "two"):
        tone(tmp_path / "data" / f"{name}.wav", 0.2 if name == "one" else 0.4)
    return tmp_path / "data"


@pytest.fixture
def run(data, checkpoint, tmp_path, capsys):
    """Runs a list; returns the exit code, and what was said on both outputs."""

    def run(text, *flags, name="list.csv", program=generate):
        listing = tmp_path / name
        listing.write_text(text)
        code = program(["--filelist", str(listing), "--test_video_dir", str(data), "--sample_path",
                        str(tmp_path / "out"), "--model_path", str(checkpoint), *FLAGS, *flags])  # fmt: skip
        return code, capsys.readouterr()

    return run


LIST = "video,audio\nid1/anna.mp4,one.wav\nbroken.mp4,one.wav\ngone.mp4,one.wav\nid1/anna.mp4,two.wav\n"


def report(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out" / "list.report.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("program", [generate, generate_dist])
def test_a_bad_one_is_reported_and_the_others_are_made(run, tmp_path, program):
    code, said = run(LIST, program=program)
    assert code == 5 and "2 of 4" in said.err and "Traceback" not in said.err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"anna_one.mp4", "anna_two.mp4", "list.report.jsonl"}
    assert [probe(tmp_path / "out" / f"anna_{name}.mp4").frames for name in ("one", "two")] == [5, 10]
    lines = report(tmp_path)
    assert [line["output"] for line in lines] == ["anna_one.mp4", "broken_one.mp4", "gone_one.mp4", "anna_two.mp4"]
    assert [bool(line["error"]) for line in lines] == [False, True, True, False]
    assert "broken.mp4" in lines[1]["error"] and lines[0]["report"]["edited"] == 5
    rows = dict(line.split(maxsplit=1) for line in said.out.splitlines()[:5])
    assert rows == {"listed": "4", "made": "2", "skipped": "0", "failed": "2", "frames": "15"}


@pytest.mark.slow
def test_only_what_is_not_finished_by_the_same_settings_is_made_again(run, data, tmp_path):
    good = LIST.replace("broken.mp4,one.wav\ngone.mp4,one.wav\n", "")
    assert run(LIST)[0] == 5
    one, two = (tmp_path / "out" / f"anna_{name}.mp4" for name in ("one", "two"))
    two.unlink()
    before = one.stat().st_mtime_ns
    code, said = run(good)
    assert code == 0 and "made     1" in said.out and "skipped  1" in said.out
    assert one.stat().st_mtime_ns == before and two.exists()
    assert "skipped  2" in run(good)[1].out
    assert "made     2" in run(good, "--crf", "30")[1].out
    tone(data / "one.wav", 0.12)
    assert "made     1" in run(good, "--crf", "30")[1].out
    assert probe(one).frames == 3 and len(report(tmp_path)) == 4


@pytest.mark.slow
def test_pairs_as_for_the_original(run, data, tmp_path):
    """Sounds and videos without endings, results named after both, and the video as it was beside each."""
    write_video(data / "one.mp4", talking(5), Fraction(25), sound=data / "one.wav")
    (data / "WORD" / "test").mkdir(parents=True)
    shutil.copy(data / "one.mp4", data / "WORD" / "test" / "WORD_00002.mp4")
    code, said = run("one id1/anna\nWORD_00002 one\n", "--save_orig", "True", "--length", "shortest",
                     "--num_channels", "128", name="pairs.txt")  # fmt: skip
    assert code == 0 and said.err.count("--num_channels") == 1
    assert said.out.splitlines()[-1].startswith("next: ") and said.out.splitlines()[-1].endswith(" --protocol cross")
    for name in ("one_id1.anna", "WORD_00002_one"):
        result, source = (tmp_path / "out" / f"{name}{end}.mp4" for end in ("", "_orig"))
        assert probe(result).frames == probe(source).frames > 4 and probe(result).audio and probe(source).audio
    before = next(read_frames(tmp_path / "out" / "one_id1.anna_orig.mp4")).astype(int)
    assert abs(next(read_frames(data / "id1" / "anna.mp4")).astype(int) - before).mean() < 3


def test_a_problem_of_the_disk_is_one_results_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bad.mp4.parts").touch()  # a file where the folder of segments should be
    code, _ = run("video,audio,output\nid1/anna.mp4,one.wav,bad.mp4\nid1/anna.mp4,one.wav,good.mp4\n")
    first, second = report(tmp_path)
    assert code == 5 and "bad.mp4" in first["error"] and second["error"] is None
    assert (tmp_path / "out" / "good.mp4").exists()


@pytest.mark.slow
def test_a_dry_run_says_what_would_be_made_and_writes_nothing(run, tmp_path):
    code, said = run(LIST, "--dry_run")
    assert code == 5 and not (tmp_path / "out").exists() and "nothing was made" in said.err
    assert "row 3: " in said.err and "broken.mp4" in said.err and "row 4: " in said.err and "gone.mp4" in said.err
    rows = dict(line.split("  ", 1) for line in said.out.splitlines())
    told = {name: text.strip() for name, text in rows.items()}
    assert (told["results"], told["finished"], told["cannot be made"]) == ("4", "0", "2")
    assert told["to be made"] == "2: 15 frames, 0.6 s" and told["total"].startswith("about ")
    run(LIST)
    code, said = run(LIST, "--dry_run")
    told = {name: text.strip() for name, text in (line.split("  ", 1) for line in said.out.splitlines())}
    assert code == 5 and (told["finished"], told["to be made"]) == ("2", "0: 0 frames, 0.0 s") and "total" not in told


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--filelist", "gone.txt", "--sample_path", "out"], "gone.txt"),
        (["--filelist", "gone.txt"], "--sample_path"),
        (["--filelist", "gone.txt", "--sample_path", "out", "--list_faces"], "--video"),
        (["--generate_from_filelist", "1", "--video", "v"], "--filelist"),
        (["--video", "v", "--audio", "a"], "--output"),
        (["--video", "v", "--audio", "a", "--sample_path", "out"], "--video v"),
        (["--generate_from_filelist", "0", "--filelist", "l"], "--video"),
        (["--video", "v", "--output", "o", "--threads", "0"], "--threads"),
        (["v.mp4", "a.wav", "."], "."), (["v.mp4", "a.wav", "--output", "/"], "--output"),
    ],
)
def test_usage(flags, words, capsys):
    try:
        code = generate(flags)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2 and words in said and len(said.splitlines()) == 1
