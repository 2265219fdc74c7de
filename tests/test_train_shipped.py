"""scripts/train_shipped.sh: the plan, what it asks for first, what it passes over, how it stops and goes on."""

import json
import os
import shutil
import signal
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from core.errors import Stopped
from core.program import exit_code
from dataset.pack import Labels
from face_detection.alignment import POINTS
from scripts import train_shipped
from scripts.shipped_stages import NAMES, STAGES, makers
from systems.registry import find_preset, load_expert
from tests.helpers import forked
from tests.helpers.failing import check_error
from tests.helpers.talking_head import talking, tone
from video import write_video

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = find_preset("motion").model.motion_dim
Run = Callable[..., tuple[int, str, str]]
Started = list[tuple[str, list[str]]]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of a speaker, long enough for stage 1."""
    folder = tmp_path_factory.mktemp("pack")
    sound = tone(folder / "tone.wav", 32 / 25)
    for name in "ab":
        path = folder / "piece-000" / "train" / "ann" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, talking(32), Fraction(25), sound=sound, preset="ultrafast")
        points, motion = np.zeros((32, len(POINTS), 2), np.float32), np.zeros((32, NUMBERS), np.float32)
        Labels(points, motion, motion[:, 0]).save(path.with_suffix(".npz"))
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        monkeypatch.setattr(sys, "argv", ["train_shipped.py", *map(str, words)])
        code = train_shipped.main()
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The commands that would have been run: each makes what its own would make, at once."""
    found: Started = []

    def call(name: str, words: Sequence[str]) -> None:
        found.append((name, list(words)))
        output = Path(words[words.index("--output") + 1])
        if output.suffix:
            output.write_bytes(b"made")
        else:
            output.mkdir()
            (output / "weights.safetensors").write_bytes(b"made")

    monkeypatch.setattr(train_shipped, "call", call)
    return found


def test_every_checkpoint_that_ships_has_its_stage() -> None:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    shipped = [line.removeprefix("!") for line in lines if line.startswith("!checkpoints/") and "README" not in line]
    made = {stage.result for stage in STAGES}
    assert shipped and all({name} <= made or {f"{name}weights.safetensors", f"{name}motion.safetensors"} <= made
                           for name in shipped)  # fmt: skip
    for number, stage in enumerate(STAGES):  # and comes after what it takes, with settings that there are
        assert {maker.name for maker in makers(stage, quick=False)} <= set(NAMES[:number])
        settings = [word for word in stage.hurried.words if "=" in word]
        assert not stage.preset or find_preset(stage.preset).changed(settings).train.steps == 2


def test_a_dry_run_prints_the_plan_alone(run: Run, tmp_path: Path) -> None:
    code, said, _ = run(tmp_path / "gone", tmp_path / "out", "--dry_run")
    assert code == 0 and not list(tmp_path.iterdir())
    for number, stage in enumerate(STAGES, 1):
        assert f"{number}. {stage.name} (to be done)\n" in said
        assert f"-> {tmp_path / 'out' / stage.result}\n" in said
    assert f"--system style-medium --data {tmp_path / 'gone'}" in said


@pytest.mark.slow
def test_what_is_missing_is_one_sentence_before_anything_begins(
    run: Run, started: Started, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Path(shutil.copytree(pack, tmp_path / "bare"))
    (bare / "piece-000" / "train" / "ann" / "b.npz").unlink()
    (tmp_path / "empty.safetensors").write_bytes(b"")
    made = tmp_path / "made"
    (made / "checkpoints").mkdir(parents=True)
    (made / "checkpoints" / "sync.safetensors").write_bytes(b"somebody's")
    here = [pack, tmp_path / "out", "--device", "cpu"]
    cases: list[tuple[list[object], str]] = [
        ([tmp_path, *here[1:], "--stages", "sync"], "scripts/pack_training.py"),
        ([bare, *here[1:], "--stages", "sync"], "b.npz"),
        (here, "--features"),
        ([*here, "--features", tmp_path / "no"], "--features"),
        ([*here, "--features", tmp_path / "empty.safetensors"], "empty.safetensors"),
        (
            [*here, "--stages", "motion-reader,motion-medium", "--audio_encoder", tmp_path / "no"],
            "Whisper tiny.en's encoder",
        ),
        ([*here, "--stages", "motion-reader"], "motion_space.npz"),
        ([*here, "--stages", "style-small"], "add neutral-small to --stages"),
        ([*here[:2], "--stages", "sync", "--device", "abacus"], "--device abacus"),
        ([pack, made, "--stages", "sync"], "sync.safetensors"),
    ]
    for words, named in cases:
        code, _, said = run(*words)
        assert (code, started) == (2, [])
        check_error(said, named)
    usage = namedtuple("usage", ["free"])
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(1e6))
        code, _, said = run(*here, "--stages", "sync")
    assert code == 2 and not started
    check_error(said, "0.5 GB", "0.0 GB")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit) as end:
        run(*here, "--stages", "sink")
    assert end.value.code == 2


def test_what_is_finished_is_passed_over_and_what_was_stopped_goes_on(
    run: Run, started: Started, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [pack, tmp_path / "out", "--device", "cpu", "--stages", "framing,sync,diff2lip-base"]
    whole = train_shipped.call

    def stopping(name: str, command: Sequence[str]) -> None:
        if name == "sync":
            state = Path(command[command.index("--output") + 1]) / "state.pt"
            state.parent.mkdir()
            state.touch()
            started.append((name, list(command)))
            raise Stopped("stopped")
        whole(name, command)

    with monkeypatch.context() as patch:
        patch.setattr(train_shipped, "call", stopping)
        assert run(*words)[0] == 130
    assert [name for name, _ in started] == ["framing", "sync"]
    code, said, _ = run(*words, "--dry_run")
    assert "framing (finished: passed over)" in said and "sync (goes on)" in said and "base (to be done)" in said
    (tmp_path / "out" / "runs" / "sync" / "state.pt").unlink()
    (tmp_path / "out" / "runs" / "sync").rmdir()
    assert run(*words)[0] == 0
    assert [name for name, _ in started[2:]] == ["sync", "diff2lip-base"] and started[1] == started[2]
    assert run(*words)[0] == 0 and len(started) == 4
    assert (tmp_path / "out" / "parts" / "diff2lip-base.safetensors").read_bytes() == b"made"
    code, _, said = run(*words, "--quick")
    assert code == 2 and "framing was begun with other settings (--quick" in said and len(started) == 4
    code, _, said = run(*words[:4], "--quick", "--stages", "diff2lip-small")
    assert code == 2 and "diff2lip-base was begun with other settings" in said


def test_what_a_stage_ends_with_is_what_all_ends_with(capfd: pytest.CaptureFixture[str]) -> None:
    def ends(code: str) -> tuple[int, str]:
        found = exit_code(lambda: train_shipped.call("sync", [sys.executable, "-c", f"import os; {code}"]))
        return found, capfd.readouterr().err

    assert ends("os._exit(0)") == (0, "")
    assert ends("os._exit(4)")[0] == 4
    code, said = ends("os._exit(2)")
    assert code == 2 and "stage sync ended with exit code 2" in said
    code, said = ends("os.kill(os.getpid(), 9)")
    assert code == 1 and "stage sync was killed by signal 9" in said
    assert ends("os._exit(130)")[0] == 130 and ends("os.kill(os.getpid(), 15)")[0] == 130


@pytest.mark.slow
def test_a_signal_is_handed_on_and_waits_for_the_step_to_be_saved(tmp_path: Path) -> None:
    begun, saved = tmp_path / "begun", tmp_path / "saved"
    saving = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), pathlib.Path({str(saved)!r}).touch(),"
        " sys.exit(130)))\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        "time.sleep(60)"
    )

    def stop() -> None:
        while not begun.exists():
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    code = exit_code(lambda: train_shipped.call("sync", [sys.executable, "-c", saving]))
    stopper.join()
    assert code == 130 and saved.exists()


@pytest.mark.slow
def test_two_stages_are_trained_one_with_the_other(
    run: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(name: str, words: Sequence[str]) -> None:
        done = forked.run(words[1:])
        assert done.returncode == 0, done.stderr

    monkeypatch.setattr(train_shipped, "call", call)
    out = tmp_path / "out"
    words = [pack, out, "--quick", "--device", "cpu", "--stages", "sync,diff2lip-base"]
    code, _, said = run(*words)
    assert code == 0, said
    assert load_expert(out / "checkpoints" / "sync.safetensors")
    assert json.loads((out / "runs" / "diff2lip-base.json").read_text())[0] == "diff2lip-small"
    (out / "parts" / "diff2lip-base.safetensors").unlink()  # as when killed before it was put in its place
    assert run(*words)[0] == 0
    assert len((out / "runs" / "diff2lip-base" / "log.jsonl").read_text().splitlines()) == 2
    assert (out / "parts" / "diff2lip-base.safetensors").exists()
