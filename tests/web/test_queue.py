"""What is promised of the queue by itself, with puppets for workers: older rows, other models, races."""

import json
import os
import queue
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.failing import check_sentence, fails
from web.app import Service
from web.crew import Crew, Gone
from web.files import Files
from web.networks import stamp
from web.order import Order
from web.problems import Refused
from web.store import StoredJob, Upload

UPLOADS = {"video": "v", "audio": "a"}
SOONER, LATER = (Order("video", UPLOADS, {"seed": seed}) for seed in "12")


class Puppet:
    """In place of a worker's process: answers an order when the test says what, None to end without an answer."""

    alive = True

    def __init__(self, flags: Sequence[str]) -> None:
        self.begun: queue.Queue[str] = queue.Queue()
        self.words: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
        self.busy = False

    def ask(self, order: Mapping[str, Any], heard: object) -> Mapping[str, Any]:
        self.busy = True
        self.begun.put(Path(order["folder"]).name)
        answer = self.words.get()
        self.busy = False
        if answer is None:
            raise Gone(-9)
        return {"answer": answer}

    def end(self, *, for_good: bool = False) -> None:
        if self.busy:
            self.words.put(None)


class LatePuppet(Puppet):
    """Was done already when it is ended, which takes a moment."""

    def end(self, *, for_good: bool = False) -> None:
        if not for_good:
            self.words.put({})
            time.sleep(0.2)
        super().end()


def opened(root: Path, made_by: str = "") -> Files:
    """A folder in which `me` has both uploads."""
    files = Files(root, made_by)
    for name in UPLOADS.values():
        files.store.add_upload(Upload("me", name, name, ".mp4", 3, {}))
    return files


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with closing(opened(tmp_path)) as found:
        yield found


@pytest.fixture
def crew(files: Files, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Crew]:
    monkeypatch.setattr("web.crew.Process", getattr(request, "param", Puppet))
    found = Crew(files.store, files, ["cpu"], [])
    yield found
    found.stop()


def ended(files: Files, job: StoredJob) -> StoredJob:
    end = time.monotonic() + 20
    while not (found := files.store.job("me", job.id)).over and time.monotonic() < end:
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("status", ["queued", "running", "done"])
@pytest.mark.parametrize("given", [{"beauty": "high"}, {"crf": "99"}], ids=["unknown", "not allowed"])
def test_an_order_that_only_an_older_version_knew_fails_alone(
    files: Files, crew: Crew, tmp_path: Path, status: str, given: dict[str, str]
) -> None:
    older, later = (files.store.submit("me", order, 5)[0] for order in (SOONER, LATER))
    with closing(sqlite3.connect(tmp_path / "queue.sqlite")) as base, base:
        base.execute("UPDATE jobs SET given = ?, status = ? WHERE id = ?", (json.dumps(given), status, older.id))
    crew.processes["video on cpu"].words.put({"frames": 3})  # type: ignore[attr-defined]
    crew.start()
    assert ended(files, later).status == "done" and crew.whole
    seen = {job.id: Service(files, crew).told(job) for job in files.store.jobs("me")}[older.id]
    assert (seen["status"], seen["settings"], seen["result"]) == ("failed", given, None)
    check_sentence(seen["problem"]["error"], "older version", "order it again")
    files.clean(-1)  # what is over is deleted, it among the rest
    assert files.store.jobs() == []


def test_a_job_that_comes_while_others_are_cleaned_keeps_its_folder(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = files.store.jobs

    def jobs_before_another_came() -> list[StoredJob]:
        found = jobs()
        files.folder(files.store.submit("me", LATER, 5)[0]).mkdir()
        return found

    monkeypatch.setattr(files.store, "jobs", jobs_before_another_came)
    files.clean(60)
    (job,) = jobs()
    assert files.folder(job).exists()


def test_a_result_is_of_the_model_that_made_it(tmp_path: Path) -> None:
    with closing(opened(tmp_path, "one")) as files:
        made, kept = (files.store.submit("me", order, 5)[0] for order in (SOONER, LATER))
        assert files.store.claim(["video"]) is not None
        files.store.finish(made.id, report={})
        assert files.store.submit("me", SOONER, 5) == (files.store.job("me", made.id), False)
    with closing(opened(tmp_path, "other")) as files:
        again, new = files.store.submit("me", SOONER, 5)
        assert new and again.id != made.id and files.store.job("me", made.id).status == "done"
        assert (waited := files.store.claim(["video"])) is not None and waited.id == kept.id
        files.store.finish(kept.id, report={})
    with closing(opened(tmp_path, "one")) as files:
        assert not files.store.submit("me", SOONER, 5)[1]
        assert files.store.submit("me", LATER, 5)[1]  # ordered of the one, made by the other


def test_a_folder_of_an_older_version_is_gone_on_with(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as files:
        job = files.store.submit("me", LATER, 5)[0]
    with closing(sqlite3.connect(tmp_path / "queue.sqlite")) as base:
        base.execute("ALTER TABLE jobs DROP COLUMN made_by")
    with closing(opened(tmp_path, "one")) as files:
        assert (claimed := files.store.claim(["video"])) is not None and claimed.id == job.id


def test_model_and_networks_are_told_apart_without_reading_them(tmp_path: Path) -> None:
    model, weights, restorer = tmp_path / "model", tmp_path / "model" / "weights.safetensors", tmp_path / "r.onnx"
    model.mkdir()
    weights.write_bytes(b"one")
    restorer.write_bytes(b"network")
    networks = {"face_restorer": restorer, "separator_rate": 16000}
    seen = [stamp(model, {}), stamp(None, {}), stamp(model, networks), stamp(model, {"separator_rate": 16000})]
    assert seen[:3] == [stamp(weights, {}), stamp(None, {}), stamp(model, networks)]
    os.utime(restorer, (1, 1))
    seen.append(stamp(model, networks))
    weights.write_bytes(b"another")
    seen.append(stamp(model, {}))
    assert len(set(seen)) == len(seen) == 6


@pytest.mark.parametrize("crew", [LatePuppet], indirect=True)
def test_a_job_that_is_cancelled_when_it_is_done_does_not_end_the_next(files: Files, crew: Crew) -> None:
    sooner, later = (files.store.submit("me", order, 5)[0] for order in (SOONER, LATER))
    worker: Any = crew.processes["video on cpu"]
    crew.start()
    assert worker.begun.get(timeout=20) == sooner.id
    assert crew.cancel(sooner)
    assert worker.begun.get(timeout=20) == later.id
    worker.words.put({"frames": 3})
    done = ended(files, later)
    assert (done.status, done.starts, crew.restarts) == ("done", 1, 0)
    assert files.store.job("me", sooner.id).status == "cancelled"


def test_a_job_whose_upload_was_deleted_meanwhile_is_refused(files: Files) -> None:
    assert files.store.upload("me", "v") and files.store.upload("me", "a")
    files.clean(-1)
    with fails(Refused, "upload v", "send the file again") as refused:
        files.store.submit("me", SOONER, 5)
    assert refused.value.status == 404 and files.store.jobs() == []
