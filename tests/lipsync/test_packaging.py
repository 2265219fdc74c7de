"""The nodes of ComfyUI against a stub of it, the notebook, and the Dockerfile, as far as they can be tried here."""

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from video import probe, read_frames

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Loaded as ComfyUI loads a folder of custom_nodes: by its path, through a link, under a name of its own."""
    (tmp_path / "custom_nodes").mkdir()
    link = tmp_path / "custom_nodes" / "lip-sync"
    link.symlink_to(ROOT / "comfyui")
    spec = importlib.util.spec_from_file_location("custom_nodes.lip-sync", link / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """As much of ComfyUI as the nodes ask for."""
    seen = SimpleNamespace(total=0, done=0, asked=0)

    class ProgressBar:
        def __init__(self, total: int) -> None:
            seen.total = total

        def update(self, number: int) -> None:
            seen.done += number

    def asked() -> None:
        seen.asked += 1

    for name, content in (
        ("comfy", {}),
        ("comfy.utils", {"ProgressBar": ProgressBar}),
        ("comfy.model_management", {"throw_exception_if_processing_interrupted": asked}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return seen


@pytest.mark.slow
def test_a_node_takes_frames_and_a_sound_and_gives_frames(
    nodes: ModuleType, comfy: SimpleNamespace, folder: Path, checkpoint: Path
) -> None:
    kind = nodes.NODE_CLASS_MAPPINGS["LipSyncFrames"]
    asked = {**kind.INPUT_TYPES()["required"], **kind.INPUT_TYPES()["optional"]}
    frames = torch.stack([torch.from_numpy(frame.copy()) for frame in read_frames(folder / "person.mp4")]).float() / 255
    given = {name: entry[1]["default"] for name, entry in asked.items() if len(entry) > 1 and "default" in entry[1]}
    given |= {"frames": frames, "audio": {"waveform": torch.zeros(1, 2, 4000), "sample_rate": 16000}}
    given |= {"checkpoint": str(checkpoint), "strict_pose": "force"}
    made, audio, rate = getattr(kind(), kind.FUNCTION)(**given)
    assert made.shape == (6, *frames.shape[1:]) and made.dtype == torch.float32 and 0 <= made.min() <= made.max() <= 1
    assert audio is given["audio"] and rate == 25.0
    assert (comfy.total, comfy.done, comfy.asked) == (6, 6, 6)
    changed = (made - frames[:6]).abs().amax(dim=(0, 3))
    assert changed.max() > 0.02 and changed[:10].max() == 0  # the mouth alone: what is far from it is as it was


@pytest.mark.slow
def test_a_node_takes_files(nodes: ModuleType, folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    kind = nodes.NODE_CLASS_MAPPINGS["LipSyncFile"]
    words = {"video": str(folder / "person.mp4"), "audio": str(folder / "words.wav"), "output": str(tmp_path / "o.mp4")}
    (path,) = kind().speak(**words, quality="fast", seed=7, checkpoint=str(checkpoint))
    assert probe(Path(path)).frames == 25
    assert set(nodes.NODE_CLASS_MAPPINGS) == set(nodes.NODE_DISPLAY_NAME_MAPPINGS)


def test_the_notebook_is_whole_and_without_outputs() -> None:
    notebook = json.loads((ROOT / "notebooks" / "lipsync.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 4
    text = "".join(line for cell in cells for line in cell["source"])
    assert "evaluation" in text and not re.search(r"\w+\.py\"", text.replace('"generate.py"', ""))  # scripts may go
    for cell in cells:
        ast.parse("".join(cell["source"]))
        assert cell["outputs"] == [] and cell["execution_count"] is None


def test_what_the_dockerfile_copies_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split())
    assert 'ENTRYPOINT ["python", "/lip-sync/generate.py"]' in text
