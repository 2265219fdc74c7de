"""What is fetched is checked, and what does not come is named."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import BadInput
from evaluation import weights
from evaluation.weights import WeightStore
from face_detection import weights as detectors
from scripts import download_weights
from tests.helpers.failing import fails


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files that can be fetched, one of which is not what it should be, and one that is not there."""
    (tmp_path / "here").mkdir()
    table = {}
    for name, content in (("good", b"good"), ("false", b"evil")):
        (tmp_path / name).write_bytes(content)
        digest = hashlib.sha256(name.encode()).hexdigest()
        entry = replace(weights.TABLE["syncnet"], names=(f"{name}.pth",), url=(tmp_path / name).as_uri())
        table[name] = replace(entry, sha256=digest[:10] if name == "good" else digest)
    table["lost"] = replace(table["good"], names=("lost.pth",), url=(tmp_path / "lost").as_uri())
    monkeypatch.setattr(download_weights, "TABLE", table)
    monkeypatch.setattr(weights, "TABLE", table)
    monkeypatch.setattr(download_weights, "CHECKPOINTS", tmp_path / "here")
    for module in (detectors, weights, download_weights):
        monkeypatch.setattr(module, "weights_folders", lambda: (tmp_path / "here",))
    return tmp_path / "here"


def run(monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    monkeypatch.setattr("sys.argv", ["download_weights.py", *flags])
    return download_weights.main()


def test_all_are_tried_and_only_the_right_ones_stay(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 5
    said = capsys.readouterr()
    assert "false" in said.err and "lost" in said.err and "cannot be fetched" in said.err
    assert [path.name for path in shop.iterdir()] == ["good.pth"]
    assert run(monkeypatch, "good") == 0 and capsys.readouterr().out == ""


def test_the_list_tells_terms_and_place(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "good.pth").write_bytes(b"good")
    assert run(monkeypatch, "--list") == 0
    said = capsys.readouterr().out
    assert said.count("missing") == 2 and str(shop / "good.pth") in said and "MIT" in said
    with pytest.raises(SystemExit):
        run(monkeypatch, "unheard-of")


def test_a_shelf_notes_what_is_taken_and_refuses_a_file_that_is_another(shop: Path) -> None:
    (shop / "good.pth").write_bytes(b"good")
    (shop / "false.pth").write_bytes(b"evil")
    store = WeightStore()
    assert store.locate("good") == shop / "good.pth"
    with fails(BadInput, "false.pth"):
        store.locate("false")
    with fails(BadInput, "lost.pth"):
        store.locate("lost")
    assert list(store.taken) == ["good.pth"] and list(store.lacking) == ["false.pth", "lost.pth"]


def test_every_file_has_an_address_a_licence_and_a_hash() -> None:
    for entry in weights.TABLE.values():
        assert entry.url.startswith("https://") and entry.licence and len(entry.sha256) >= 8
