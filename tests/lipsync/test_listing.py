"""What a line of a list asks for."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import BadValue, NoData, NotFound, Unreadable, Unwritable
from lipsync.cli.filelist import read_list
from lipsync.jobs.item import default_name, original_of
from lipsync.settings import Settings
from tests.helpers.failing import fails


def written(tmp_path, text, name="list.txt"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


FLAGS = ["--test_video_dir", "/data", "--sample_path", "out"]


def test_a_pair_of_the_original_gets_the_originals_name(tmp_path):
    listing = written(tmp_path, "id1/abc/00001 id2/x-y/00002\nABOUT_00001 WORD_00012\n")
    first, second = read_list(listing, [*FLAGS, "--is_voxceleb2", "True", "--sampling_input_type", "first_frame"])
    assert first.job.output == Path("out/id1.abc.00001_id2.x-y.00002.mp4")
    assert (first.job.video, first.job.audio) == (Path("/data/id2/x-y/00002"), Path("/data/id1/abc/00001"))
    assert first.settings == replace(Settings(), fixed_crop=True, first_frame=True)
    assert second.job.output == Path("out/ABOUT_00001_WORD_00012.mp4") and first.source is None
    (item,) = read_list(written(tmp_path, "a b"), [*FLAGS, "--save_orig", "True", "--codec", "ffv1"])
    assert (item.job.output, item.source) == (Path("out/a_b.mkv"), Path("out/a_b_orig.mkv"))


def test_its_files_are_found_with_any_ending_and_as_lrw_lies(tmp_path):
    (tmp_path / "WORD" / "test").mkdir(parents=True)
    for name in ("WORD/test/WORD_00012.mp4", "anna.mov"):
        (tmp_path / name).touch()
    found, absent = read_list(written(tmp_path, "anna WORD_00012\nanna bert"), ["--sample_path", "out"])
    job = found.located()
    assert (job.audio, job.video) == (tmp_path / "anna.mov", tmp_path / "WORD/test/WORD_00012.mp4")
    assert job.output == Path("out/anna_WORD_00012.mp4")
    with fails(NotFound, "bert.mp4"):
        absent.located()


def test_rows_may_say_what_differs_from_the_command_line(tmp_path):
    listing = written(tmp_path, "video,audio,output,face,start,is-voxceleb2,pads\n"
                      "a.mp4,b.wav,sub/one.mp4,index:1,0:02,True,\"0,1,2,3\"\n"
                      "/abs/c.mov,b.wav,,,,,\n", "list.csv")  # fmt: skip
    one, two = read_list(listing, ["--sample_path", "out", "--face", "center", "--crf", "20"])
    assert (one.job.video, one.job.audio) == (tmp_path / "a.mp4", tmp_path / "b.wav")
    assert (one.job.output, two.job.output) == (Path("out/sub/one.mp4"), Path("out/c_b.mp4"))
    assert one.settings == Settings(face="index:1", start=2, fixed_crop=True, pads=(0, 1, 2, 3), crf=20)
    assert two.settings == Settings(face="center", crf=20) and two.job.video == Path("/abs/c.mov")
    assert one.located() == one.job


def test_json_lines_say_the_same(tmp_path):
    text = '{"video": "a.mp4", "audio": "b.wav", "crf": 3, "save_orig": true}\n\n'
    text += '{"video": "c.mp4", "segments": "s.csv"}'
    one, two = read_list(written(tmp_path, text), FLAGS)
    assert (one.settings.crf, one.source) == (3, Path("out/a_b_orig.mp4"))
    assert (two.job.segments, two.job.audio, two.job.output) == (Path("/data/s.csv"), None, Path("out/c.mp4"))


def test_the_command_line_may_name_what_all_rows_share(tmp_path):
    listing = written(tmp_path, "audio\na.wav\nb.wav\n", "list.csv")
    jobs = [item.job for item in read_list(listing, ["--sample_path", "out", "--video", "person.mp4"])]
    assert {job.video for job in jobs} == {Path("person.mp4")}
    assert [job.output.name for job in jobs] == ["person_a.mp4", "person_b.mp4"]


@pytest.mark.parametrize(
    ("name", "text", "kind", "named"),
    [
        ("a.csv", "video,colour\na,b\n", BadValue, ("row 2: ", "'colour'")),
        ("a.csv", "video,quality\na,best\n", BadValue, ("row 2: ", "'quality'")),
        ("a.csv", "video,crf\na.mp4,99\n", BadValue, ("row 2: ", "--crf 99")),
        ("a.csv", "video,extend\na.mp4,upwards\n", BadValue, ("row 2: ", "--extend")),
        ("a.csv", "audio\na.wav\n", NoData, ("row 2: ",)),
        ("a.csv", "video,fps\na.mp4,nan\nb.mp4,1e30\n", BadValue, ("row 2: ",)),
        ("a.csv", "video\n", NoData, ()),
        ("a.jsonl", "[1]", Unreadable, ("row 1: ",)),
        ("a.txt", "one two three", Unreadable, ("line 1: ",)),
        ("a.txt", "", NoData, ()),
        ("a.csv", "video,audio\na/x.mp4,s.wav\nb/x.mp4,s.wav\n", Unwritable, ("row 3: ", "out/x_s.mp4")),
    ],
)
def test_a_list_that_cannot_be_used_says_where(tmp_path, name, text, kind, named):
    with fails(kind, name, *named):
        read_list(written(tmp_path, text, name), ["--sample_path", "out"])


def test_a_row_that_says_what_it_cannot_fails_alone(tmp_path):
    text = "video,crf,output\na.mp4,99,x.mp4\nb.mp4,20,\nc.mp4,many,\n,,\n"
    items = read_list(written(tmp_path, text, "list.csv"), ["--sample_path", "out"])
    assert ["--crf 99" in str(items[0].problem), items[1].problem, items[2].problem is None] == [True, None, False]
    assert [item.job.output for item in items] == [Path("out/x.mp4"), Path("out/b.mp4"), Path("out/list, row 4")]


def test_a_line_that_is_there_twice_counts_once(tmp_path):
    assert len(read_list(written(tmp_path, "a b\nc d\na b\n"), FLAGS)) == 2


def test_names_of_results_that_were_given_none():
    assert default_name(Path("x/v.1.mov"), Path("a.b.wav"), "h264") == "v.1_a.b.mp4"
    assert default_name(Path("v.mp4"), None, "prores") == "v.mov"
    assert original_of(Path("x/out.a.mp4")) == Path("x/out.a_orig.mp4")
