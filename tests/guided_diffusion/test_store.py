"""A blob store is a folder far away: the same run, the same files.  Here blobfile writes to a disk instead."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import Unreadable, Unwritable
from guided_diffusion.engine import storage
from guided_diffusion.engine.storage import Store, blob_url
from tests.helpers.adversarial import FOUR, measured, trainer
from tests.helpers.failing import fails


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("gs://bucket/runs/a", "gs://bucket/runs/a"),
        ("az://account/container/run", "az://account/container/run"),
        ("https://account.blob.core.windows.net/container/run", "https://account.blob.core.windows.net/container/run"),
        ("runs/gs", None),
        ("/runs/gs:/a", None),
        ("s3://bucket/run", None),
    ],
)
def test_a_path_says_whether_it_is_far_away(place: str, url: str | None) -> None:
    assert blob_url(Path(place)) == url


def test_on_a_disk_nothing_is_copied(tmp_path: Path) -> None:
    near = Store(tmp_path)
    assert near.folder == tmp_path and near.fetch("a/b") == tmp_path / "a" / "b" and near.names("a") == []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"1")
    near.keep("a")
    assert near.names("a") == ["b"]
    near.remove("a/b")
    assert near.names("a") == []


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What gs://bucket is in this test."""
    monkeypatch.setattr(storage, "blob_url", lambda place: str(tmp_path / "bucket"))
    return tmp_path / "bucket"


def test_what_is_kept_is_found_by_the_next_and_the_scratch_folder_goes(bucket: Path) -> None:
    first = Store(Path("gs://bucket"))
    (first.folder / "deep" / "er").mkdir(parents=True)
    (first.folder / "deep" / "er" / "file").write_bytes(b"1")
    (first.folder / "top").write_bytes(b"2")
    first.keep("deep")
    first.keep("top")
    scratch = first.folder
    del first
    assert not scratch.exists()
    second = Store(Path("gs://bucket"))
    assert second.fetch("deep/er/file").read_bytes() == b"1" and second.fetch("top").read_bytes() == b"2"
    assert second.names("deep/er") == ["file"] and second.names("nothing") == [] and not second.fetch("none").exists()
    second.remove("deep/er/file")
    assert Store(Path("gs://bucket")).names("deep/er") == []


def test_a_run_far_away_resumes_as_one_on_a_disk(tmp_path: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(FOUR, save_every=2, evaluate_every=2, keep=2)
    far = Path("gs://bucket")
    trainer(far, replace(config, steps=2), evaluate=measured).run()
    trainer(far, replace(config, steps=3), evaluate=measured).run()
    trainer(far, config, evaluate=measured).run()
    monkeypatch.undo()
    trainer(tmp_path / "near", config, evaluate=measured).run()
    there, here = (torch.load(folder / "state.pt", weights_only=True) for folder in (bucket, tmp_path / "near"))
    assert there["step"] == here["step"] == 4
    assert all(torch.equal(value, there["weights"][name]) for name, value in here["weights"].items())
    kept = [path.name for path in (bucket / "history").iterdir()]
    assert sorted(kept) == ["0000003.safetensors", "0000004.safetensors"]
    assert len((bucket / "log.jsonl").read_text().splitlines()) == 6 and any((bucket / "tensorboard").iterdir())


def test_a_store_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import blobfile

    def refuse(*_: object, **__: object) -> None:
        raise blobfile.Error("no credentials")

    for name in ("exists", "makedirs"):
        monkeypatch.setattr(blobfile, name, refuse)
    far = Store(Path("gs://bucket/run"))
    with fails(Unreadable, "gs://bucket/run", "no credentials"):
        far.fetch("state.pt")
    (far.folder / "state.pt").write_bytes(b"1")
    with fails(Unwritable, "gs://bucket/run/state.pt", "no credentials"):
        far.keep("state.pt")
