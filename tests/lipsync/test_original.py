"""A command line of the original release means here what it means there, and what a run tells as JSON lines."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from lipsync.cli.filelist import read_list
from lipsync.cli.flags import parser, settings
from lipsync.cli.legacy_flags import original_sentence
from lipsync.cli.main import generate
from lipsync.settings import Settings
from tests.helpers.failing import check_error
from video import probe

NETWORK = [
    "--attention_resolutions", "32,16,8", "--class_cond", "False", "--learn_sigma", "True", "--num_channels", "128",
    "--num_head_channels", "64", "--num_res_blocks", "2", "--resblock_updown", "True", "--use_fp16", "True",
    "--use_scale_shift_norm", "False", "--predict_xstart", "False", "--diffusion_steps", "1000", "--noise_schedule",
    "linear", "--rescale_timesteps", "False", "--nframes", "5", "--nrefer", "1", "--image_size", "128",
    "--face_hide_percentage", "0.5", "--use_ref=True", "--use_audio=True", "--audio_as_style=True",
]  # fmt: skip
SAMPLING = ["--sampling_seed=7", "--timestep_respacing", "ddim25", "--use_ddim", "True", "--sampling_batch_size=32"]
CROSS = ["--sampling_input_type=gt", "--sampling_ref_type=gt"]
STILL = ["--sampling_input_type=first_frame", "--sampling_ref_type=first_frame"]
LIST = ["--generate_from_filelist", "1", "--test_video_dir=videos/", "--filelist=list.txt", "--save_orig=False",
        "--face_det_batch_size", "64", "--pads", "0,0,0,0", "--model_path=m.pt", "--sample_path=out"]  # fmt: skip


def test_lists_of_voxceleb2() -> None:
    options = parser().parse([*NETWORK, *SAMPLING, *CROSS, *LIST])
    chosen = settings(options)
    assert (chosen.fixed_crop, chosen.length, chosen.fps, chosen.mask) == (True, "shortest", Fraction(25), "half")
    assert (chosen.reference, chosen.first_frame, chosen.seed, chosen.steps) == ("gt", False, 7, "ddim25")
    assert (chosen.sampler, chosen.feather, chosen.strict_pose, options.save_orig) == ("ddim", 0.0, "force", False)
    sentence = original_sentence(options) or ""
    assert "VoxCeleb2's fixed crop" in sentence and "\n" not in sentence and "docs/generation.md" in sentence
    still = settings(parser().parse([*NETWORK, *SAMPLING, *STILL, *LIST]))
    assert (still.first_frame, still.reference) == (True, "first_frame")


def test_one_video_and_what_it_says_wins() -> None:
    words = [*NETWORK, *SAMPLING, *CROSS, "--video_path=v.mp4", "--audio_path=a.mp4", "--generate_from_filelist", "0",
             "--out_path=o.mp4", "--is_voxceleb2=False", "--video_fps", "30", "--mask", "jaw"]  # fmt: skip
    options = parser().parse(words)
    chosen = settings(options)
    assert (chosen.fixed_crop, chosen.fps, chosen.mask, options.save_orig) == (False, Fraction(30), "jaw", True)
    assert options.sample_path is None and "the face's crop" in (original_sentence(options) or "")


def test_what_it_does_without_being_told() -> None:
    options = parser().parse([*NETWORK, "--video_path", "v.mp4", "--audio_path", "a.mp4"])
    assert options.sample_path == Path("d2l_gen") and options.save_orig and settings(options).fixed_crop
    ours = parser().parse(["--video", "v.mp4", "--audio", "a.mp4", "--num_channels", "128"])
    assert original_sentence(ours) is None
    assert settings(ours) == Settings()


def test_rows_of_its_lists_too(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a b\n")
    words = parser().expanded([*NETWORK, *LIST, f"--filelist={tmp_path / 'list.txt'}"])
    (item,) = read_list(tmp_path / "list.txt", words)
    assert item.settings.fixed_crop and item.settings.length == "shortest" and item.job.output == Path("out/a_b.mp4")


def test_a_list_of_the_original_that_is_not_there_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("id1/v/1.mp4", "id2/v/1.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    words = [*NETWORK, *CROSS, *LIST, f"--test_video_dir={tmp_path}", f"--sample_path={tmp_path / 'out'}"]
    known = "voxceleb2_test_n_5000_seed_797_cross_5K.txt"
    for _ in range(2):  # there is no m.pt, which is said after the list was made
        assert generate([*words, f"--filelist=dataset/filelists/{known}"]) == 2
    assert (tmp_path / "out" / "filelists" / known).read_text().split("\n")[:2] != ["", ""]
    assert capsys.readouterr().err.count("2 pairs drawn, of the 5000") == 1
    assert generate([*words, "--filelist=mine.txt"]) == 2
    check_error(capsys.readouterr().err, "mine.txt", "lrw_cross")


@pytest.mark.slow
def test_it_runs_and_tells(
    folder: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The original's flags, on a tiny network of ours, whose steps the command line says."""
    words = [*NETWORK, *CROSS, "--timestep_respacing", "2", "--use_ddim", "True", "--model_path", str(checkpoint),
             "--video_path", str(folder / "person.mp4"), "--audio_path", str(folder / "words.wav"),
             "--out_path", str(tmp_path / "o.mp4"), "--device", "cpu", "--json"]  # fmt: skip
    assert generate([*words, "--write_config", str(tmp_path / "run.json")]) == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    assert err.count("taken for a command line of the original") == 1 and "not used here" not in err
    kinds = [event["event"] for event in events]
    assert kinds[0] == "message" and kinds[-1] == "result" and "progress" in kinds
    last = [event for event in events if event["event"] == "progress" and event["stage"] == "speak"][-1]
    result = events[-1]
    assert last["done"] == last["total"] == result["frames"] == probe(tmp_path / "o.mp4").frames
    assert result["output"] == str(tmp_path / "o.mp4") and (tmp_path / "o_orig.mp4").exists()
    source = probe(folder / "person.mp4")
    assert probe(tmp_path / "o.mp4").fps == 25 and result["frames"] <= source.frames / source.fps * 25 + 1

    made = (tmp_path / "o.mp4").read_bytes()
    assert generate(["--config", str(tmp_path / "run.json"), "--output", str(tmp_path / "again.mp4")]) == 0
    assert (tmp_path / "again.mp4").read_bytes() == made
    capsys.readouterr()
    assert generate(["--json", "--video", str(tmp_path / "gone.mp4"), "--audio", "a.wav", "--output", "o.mp4"]) == 2
    out, err = capsys.readouterr()
    (event,) = map(json.loads, out.splitlines())
    assert event["event"] == "error" and event["code"] == 2 and err == f"error: {event['text']}\n"
    (tmp_path / "lines.json").write_text('{"json": true}')
    words = ["--config", str(tmp_path / "lines.json"), "--video", str(tmp_path / "gone.mp4")]
    assert generate([*words, "--audio", "a.wav", "--output", "o.mp4"]) == 2
    assert json.loads(capsys.readouterr().out) == event
