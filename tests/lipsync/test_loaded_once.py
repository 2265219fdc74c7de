"""What all rows of a list need is loaded once."""

import tiny_style

from lipsync import pipeline
from lipsync.pipeline import Dubber
from lipsync.settings import Settings


def test_stage_1_is_loaded_once_for_all_rows(tmp_path, monkeypatch):
    """Each row has settings of its own, and so a Dubber of its own."""
    folder = tiny_style.save(tmp_path)
    loads = []
    load = pipeline.load_motion
    monkeypatch.setattr(pipeline, "load_motion", lambda path: loads.append(path) or load(path))
    dubber = Dubber(folder, Settings(device="cpu"))
    rows = [dubber.adjusted(start=float(number)) for number in range(4)]
    assert len({id(row.stage1) for row in rows}) == 1 and dubber.stage1 is rows[0].stage1 and len(loads) == 1
