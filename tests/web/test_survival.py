"""Jobs survive: a restart, kill -9 of the server and of a worker, many clients, a full queue."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.benchmark_server import Load
from tests.helpers.failing import check_error, check_sentence, fails
from tests.helpers.talking_head import tone
from tests.helpers.web_server import QUICK, ask, serving, start_web
from web.client import Client, Failed
from web.crew import Process
from web.files import Files
from web.order import Order
from web.problems import Refused
from web.store import STARTS, Store, Upload

pytest_plugins = ("tests.helpers.web_fixtures",)
ORDER = Order("video", {"video": "v", "audio": "a"}, {})


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    found = Files(tmp_path)
    for name in ORDER.files.values():
        found.store.add_upload(Upload("me", name, name, ".mp4", 3, {}))
    yield found
    found.store.close()


@pytest.fixture
def store(files: Files) -> Store:
    return files.store


def until(what: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.02)
    assert what()  # type: ignore[operator]


class ForkedLoad(Load):
    """Whose server is forked."""

    def _start(self) -> None:
        flags = [*self._command[3:], "--port", str(self._port)]
        environment = os.environ | {"XDG_CACHE_HOME": str(self._folder / "cache")}
        self._process = start_web(self._folder / "workers", flags, environment)  # type: ignore[assignment]
        self._port = int(self._process.stdout.readline().rpartition(":")[2].partition("/")[0])  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_a_job_goes_on_after_kill_9_of_worker_and_server(tmp_path: Path, model: Path, inputs: Path) -> None:
    with serving(tmp_path / "data", model) as server:
        client = Client(server.url)
        job = client.submit({"video": inputs / "person.mp4", "audio": inputs / "long.wav"}, **QUICK)["id"]
        until(lambda: (client.status(job)["progress"] or {}).get("stage") == "speak")
        os.kill(server.workers()[0], signal.SIGKILL)
        chunk = tmp_path / "data" / "jobs" / job / "result.mp4.parts"
        until(lambda: list(chunk.glob("*/00000000-00000320.mp4")))
        (orphan,) = server.workers()
        server.end(signal.SIGKILL)
        until(lambda: not Path(f"/proc/{orphan}").exists(), 10)  # a worker never outlives its server
        server.start()
        rest: list[int] = []
        done = client.wait(job, lambda seen: rest.append((seen["progress"] or {}).get("of", 0)), every=0.02)
        assert done["report"]["frames"] == 350 and max(rest) == 30  # from the chunk that was whole
        assert server.end() == 130
        server.start()
        assert client.status(job)["report"]["frames"] == 350


@pytest.mark.slow
def test_fifty_jobs_of_ten_clients(tmp_path: Path, model: Path) -> None:
    figures = ForkedLoad(tmp_path, 50, 10, model=model, words=0.2, queue=20).run(kills=3)
    print(figures.table())
    assert (figures.lost, figures.twice, figures.kills) == (0, 0, 3) and figures.full > 0


@pytest.mark.slow
def test_a_full_queue_says_when_to_come_again(tmp_path: Path, model: Path, inputs: Path) -> None:
    with serving(tmp_path / "data", model, "--max_queue", "1") as server:
        client = Client(server.url)
        long = {"video": inputs / "person.mp4", "audio": inputs / "long.wav"}
        first = client.submit(long, **QUICK)["id"]
        until(lambda: client.status(first)["status"] == "running")
        second = client.submit(long, **QUICK, seed=1)
        assert second["position"] == 0
        with fails(Failed, "queue") as failed:
            client._json("POST", "/jobs", long, {**QUICK, "seed": 2})
        assert failed.value.status == 429 and failed.value.retry is not None and 1 <= failed.value.retry <= 600
        assert client.submit(long, **QUICK, seed=1)["id"] == second["id"]  # the same is no other
        assert client.cancel(second["id"])["status"] == "cancelled"
        assert json.loads(ask(server, "/health")[2])["queued"] == 0


@pytest.mark.slow
def test_a_folder_and_a_port_have_one_server(tmp_path: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from web.__main__ import main

    with serving(tmp_path / "data", model) as server:
        flags = ["--data", str(tmp_path / "data"), "--port"]
        assert main([*flags, "0"]) == 2
        check_error(capfd.readouterr().err, "--data")
        assert main([*flags, str(server.port)]) == 2
        check_error(capfd.readouterr().err, f"--port {server.port}")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--host", "0.0.0.0"], "pass --password_file"),
        (["--host", "0.0.0.0", "--password_file", "short"], "12 characters"),
        (["--password_file", "nowhere"], "--password_file nowhere"),
        (["--max_queue", "0"], "--max_queue 0"),
        (["--model_path", "nowhere"], "--model_path nowhere"),
    ],
)
def test_what_the_server_cannot_do_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str], named: str
) -> None:
    from web.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIPSYNC_PASSWORD", raising=False)
    Path("short").write_text("hush\n")
    assert main(["--data", "data", *flags]) == 2
    check_error(capfd.readouterr().err, named)
    assert not Path("data").exists()


def test_a_package_that_is_missing_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from web.__main__ import main

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["--data", str(tmp_path / "data")]) == 2
    check_error(capfd.readouterr().err, "uvicorn", "pip install -r requirements-web.txt")


def test_a_job_whose_worker_always_ends_fails_in_the_end(store: Store) -> None:
    name = store.submit("me", ORDER, 5)[0].id
    for _ in range(STARTS):
        assert store.claim(["video"]) is not None
        job = store.give_back(name)
    assert job.status == "failed" and job.problem is not None and job.problem["exit_code"] == 4
    assert store.submit("me", ORDER, 5)[1] and store.job("me", name).status == "queued"  # asked for again
    store.claim(["video"])
    store.leave(name)  # the server's own end does not count
    assert store.job("me", name).starts == 0


def test_a_job_that_is_cancelled_stays_so(store: Store) -> None:
    name = store.submit("me", ORDER, 5)[0].id
    store.claim(["video"])
    assert store.cancel(name) and not store.cancel(name)
    store.finish(name, report={})  # the worker was quicker
    assert store.job("me", name).status == "cancelled"


def test_a_video_that_was_whole_when_the_server_died_is_not_made_again(files: Files) -> None:
    job, _ = files.store.submit("me", ORDER, 5)
    assert files.finished(job) is None
    files.folder(job).mkdir()
    (files.folder(job) / "report.json").write_text('{"frames": 3}')
    assert files.finished(job) is None
    files.result(job).touch()
    assert files.finished(job) == {"frames": 3}


def test_what_nobody_needs_is_deleted(files: Files, tmp_path: Path) -> None:
    files.store.add_upload(Upload("me", "x", "x", ".mp4", 3, {}))
    for name in ("v", "a", "x"):
        (tmp_path / "uploads" / "me").mkdir(exist_ok=True)
        (tmp_path / "uploads" / "me" / f"{name}.mp4").touch()
    name = files.store.submit("me", ORDER, 5)[0].id
    (tmp_path / "jobs" / name).mkdir()
    (tmp_path / "jobs" / "forgotten").mkdir()
    files.clean(0)
    assert {path.name for path in tmp_path.glob("uploads/me/*")} == {"v.mp4", "a.mp4"}
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [name]
    files.store.cancel(name)
    time.sleep(0.01)
    files.clean(0)  # the job goes, and then what it was made of
    assert not list(tmp_path.glob("uploads/me/*")) and not list((tmp_path / "jobs").iterdir())
    with fails(Refused, "job", "submit it again"):
        files.store.job("me", name)


@pytest.mark.slow
def test_once_the_model_has_changed_the_same_order_is_another_job(tmp_path: Path, model: Path, inputs: Path) -> None:
    own = shutil.copytree(model, tmp_path / "model")
    with serving(tmp_path / "data", own) as server:
        client, files = Client(server.url), {"video": inputs / "person.mp4", "audio": inputs / "words.wav"}
        first = client.submit(files, **QUICK)["id"]
        for changed in (False, True):
            assert server.end() == 130
            if changed:
                os.utime(next(own.rglob("*.safetensors")), (1, 1))
            server.start()
            assert (client.submit(files, **QUICK)["id"] == first) != changed and client.status(first)["id"] == first


@pytest.mark.slow
def test_a_server_that_could_not_delete_says_so_and_tries_again(tmp_path: Path, model: Path) -> None:
    with serving(tmp_path / "data", model, "--keep_hours", "0.00005") as server:  # 0.18 s
        jobs = tmp_path / "data" / "jobs"
        jobs.rename(tmp_path / "away")

        def cleaning() -> str | None:
            status, _, body = ask(server, "/health")
            assert status == 200  # jobs are made all the same
            return json.loads(body)["cleaning"]  # type: ignore[no-any-return]

        until(cleaning)
        check_sentence(cleaning() or "", "No such file", "tried again")
        assert str(tmp_path) not in (cleaning() or "")
        (tmp_path / "away").rename(jobs)
        until(lambda: cleaning() is None)
        (jobs / "forgotten").mkdir()
        until(lambda: not list(jobs.iterdir()))


@pytest.mark.slow
def test_a_file_that_breaks_its_reader_takes_nothing_down(tmp_path: Path, inputs: Path) -> None:
    process = Process([])
    tone(tmp_path / "a.wav", 0.1)
    order = {"kind": "file", "path": str(tmp_path / "a.wav"), "shows": False, "seconds": 9}
    assert process.ask(order) == {"answer": {"seconds": pytest.approx(0.1)}}
    process.end()
    assert not process.alive and "answer" in process.ask(order)  # by another one
    process.end(for_good=True)
