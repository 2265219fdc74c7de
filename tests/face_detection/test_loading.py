"""Promises of load_detector: nothing is fetched unsaid or unchecked, and every way out is one sentence."""

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

from core import paths
from core.errors import BadInput, BadValue, NotFound, Unreadable
from face_detection import NAMES, load_detector, loading, weights
from tests.helpers.failing import fails

torch = pytest.importorskip("torch")
CASCADES = pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="this OpenCV has no cascades")
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "weights"


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without any weights and, as far as the addresses in the table go, without a network."""
    for module in (paths, weights):
        monkeypatch.setattr(module, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in weights.TABLE:
        publish(monkeypatch, name, tmp_path / "nowhere" / name)
    return tmp_path


def publish(monkeypatch, name: str, file: Path, sha256: str | None = None) -> None:
    """Let the published address of these weights be a local file."""
    entry = weights.TABLE[name]
    changed = dataclasses.replace(entry, url=file.as_uri(), sha256=sha256 or entry.sha256)
    monkeypatch.setitem(weights.TABLE, name, changed)


@CASCADES
def test_auto_tries_the_network_once_says_so_once_and_remembers(bare, monkeypatch):
    said: list[str] = []
    tried: list[str] = []
    fetch = weights.fetch
    monkeypatch.setattr(weights, "fetch", lambda entry, target: (tried.append(entry.url), fetch(entry, target)))
    for _ in range(3):
        assert load_detector("auto", say=said.append).name == "haar"
    assert len(said) == len(tried) == 1
    assert "haar" in said[0] and str(bare / "checkpoints") in said[0]
    (mark,) = (bare / "cache" / "lip-sync").iterdir()
    os.utime(mark, (0, 0))  # long ago
    load_detector("auto", say=said.append)
    assert len(said) == len(tried) == 2
    with fails(NotFound, "face_detection_yunet_2023mar.onnx"):  # asked for by name, it is tried
        load_detector("yunet", say=said.append)
    assert len(tried) == 3


def test_auto_says_what_it_fetched(bare, monkeypatch):
    (bare / "source.onnx").write_bytes(b"weights")
    publish(monkeypatch, "yunet", bare / "source.onnx", hashlib.sha256(b"weights").hexdigest())
    named = loading._named

    def loaded(name, device, say):
        weights.obtain(name, say=say)
        return SimpleNamespace(name=name)

    monkeypatch.setattr(loading, "_named", loaded)
    said: list[str] = []
    assert named is not loading._named and load_detector("auto", say=said.append).name == "yunet"
    assert len(said) == 1 and "fetched face_detection_yunet_2023mar.onnx (0.2 MB, MIT)" in said[0]


@CASCADES
def test_haar_needs_nothing_and_says_nothing(bare):
    said: list[str] = []
    assert load_detector("haar", say=said.append).name == "haar"
    assert said == []


@pytest.mark.parametrize("name", sorted(weights.TABLE))
def test_a_detector_asked_for_by_name_that_cannot_be_had_says_where_to_put_what(bare, name):
    with pytest.raises(BadInput) as caught:
        load_detector(name, say=lambda _: None)
    sentence = str(caught.value)
    entry = weights.TABLE[name]
    assert str(bare / "checkpoints" / entry.names[0]) in sentence and entry.url in sentence
    assert "\n" not in sentence


def test_what_is_fetched_is_checked_and_stored_under_its_name(bare, monkeypatch):
    source = bare / "source.bin"
    source.write_bytes(b"weights")
    publish(monkeypatch, "yunet", source, hashlib.sha256(b"weights").hexdigest())
    path = weights.obtain("yunet", say=lambda _: None)
    assert path.read_bytes() == b"weights" and path.name == "face_detection_yunet_2023mar.onnx"
    source.unlink()
    assert weights.obtain("yunet", say=lambda sentence: pytest.fail(sentence)) == path


def test_a_wrong_file_is_refused_and_leaves_nothing_behind(bare, monkeypatch):
    source = bare / "source.bin"
    source.write_bytes(b"something else")
    publish(monkeypatch, "yunet", source)
    with fails(Unreadable, "source.bin", "SHA-256"):
        weights.obtain("yunet", say=lambda _: None)
    assert list((bare / "checkpoints").iterdir()) == []


def test_a_download_that_breaks_leaves_nothing_behind(bare, monkeypatch):
    def broken(url: str, timeout: float) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(weights.urllib.request, "urlopen", broken)
    with fails(NotFound, "retinaface_mobilenet0.25.pth"):
        weights.obtain("retinaface", say=lambda _: None)
    assert list((bare / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(("device", "best"), [("cpu", "yunet"), ("cuda", "retinaface")])
def test_auto_takes_the_best_that_is_on_disk_without_a_word(bare, monkeypatch, device, best):
    (bare / "checkpoints").mkdir()
    (bare / "hub" / "checkpoints").mkdir(parents=True)
    (bare / "checkpoints" / "face_detection_yunet.onnx").touch()
    (bare / "hub" / "checkpoints" / "retinaface_mobilenet0.25.pth").touch()
    monkeypatch.setattr(loading, "_named", lambda name, device, say: SimpleNamespace(name=name))
    assert load_detector("auto", device=device, say=lambda sentence: pytest.fail(sentence)).name == best


@CASCADES
def test_auto_goes_on_from_what_does_not_load_and_says_why(bare, monkeypatch):
    (bare / "checkpoints").mkdir()
    (bare / "checkpoints" / "face_detection_yunet.onnx").write_bytes(b"<html>rate limit exceeded</html>")
    said: list[str] = []
    assert load_detector("auto", say=said.append).name == "haar"
    assert len(said) == 1 and "haar" in said[0] and "face_detection_yunet.onnx" in said[0]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="no weights at hand")
@pytest.mark.parametrize("name", ["yunet", "retinaface", "blazeface"])
def test_every_back_end_is_loaded_from_checkpoints(bare, name):
    (bare / "checkpoints").mkdir()
    source = weights.TABLE[name].on_disk((SHARED,))
    shutil.copy(source, bare / "checkpoints" / source.name)
    assert load_detector(name).name == name


@pytest.mark.parametrize("name", ["yunet", "retinaface"])
def test_a_file_that_is_no_weights_is_named(bare, name):
    if name == "retinaface":
        pytest.importorskip("face_alignment")
    (bare / "checkpoints").mkdir()
    path = bare / "checkpoints" / weights.TABLE[name].names[0]
    path.write_bytes(b"<html>rate limit exceeded</html>")
    with fails(Unreadable, path):
        load_detector(name)


def test_an_unknown_name_lists_the_known_ones():
    with fails(BadValue, "--face_detector", ", ".join(NAMES)):
        load_detector("dlib")
    assert set(weights.TABLE) == set(NAMES) - {"auto", "haar"}
