"""What all rows of a list need is loaded once."""

from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from systems.registry import load_motion
from tests.helpers import tiny_style


def test_stage_1_is_loaded_once_for_all_rows(tmp_path, monkeypatch):
    """Each row has settings of its own, and so a LipSyncPipeline of its own."""
    folder = tiny_style.save(tmp_path)
    loads = []
    monkeypatch.setattr("lipsync.models.load_motion", lambda path: loads.append(path) or load_motion(path))
    pipeline = LipSyncPipeline(folder, Settings(device="cpu"))
    rows = [pipeline.adjusted(start=float(number)) for number in range(4)]
    assert len({id(row.models.stage1) for row in rows}) == 1 and pipeline.models.stage1 is not None and len(loads) == 1
