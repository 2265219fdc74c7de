"""The log is means, in order, on disk, and forgets what was not saved; TensorBoard sees the same."""

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from guided_diffusion.engine.logger import Evaluation, Log
from guided_diffusion.engine.throughput import Pace
from tests.helpers.failing import fails

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_line_is_the_mean_since_the_last(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        for value in (1.0, 2.0, 6.0):
            log.add({"loss": value})
        assert log.flush(3) == {"loss": 3.0}
        log.add({"loss": 5.0})
        log.flush(4, {"speed": 2.0})
    assert lines(tmp_path) == [{"step": 3, "loss": 3.0}, {"step": 4, "loss": 5.0, "speed": 2.0}]


def test_it_forgets_what_was_not_saved(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "lo')
    with Log(tmp_path, 2) as log:
        log.write(3, {"loss": 1.0})
    assert lines(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.0}]


def test_a_picture_is_kept_as_it_is(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        log.evaluation(12, Evaluation({"matched_db": 20.0}, PICTURE))
        log.evaluation(13, Evaluation({"matched_db": 21.0}))
    assert lines(tmp_path) == [{"step": 12, "matched_db": 20.0}, {"step": 13, "matched_db": 21.0}]
    assert [path.name for path in (tmp_path / "strips").iterdir()] == ["0000012.png"]
    found = cv2.imread(str(tmp_path / "strips" / "0000012.png"))
    assert found is not None and np.array_equal(found[..., ::-1], PICTURE)


def test_tensorboard_sees_the_same_and_not_what_was_forgotten(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step, lost in ((0, 3), (2, 3)):
        with Log(tmp_path, step) as log:
            for now in range(step + 1, lost + 1):
                log.write(now, {"network/fit": step + 0.5})
            log.evaluation(lost, Evaluation({}, PICTURE))
        closed = int(time.time())  # the names of TensorBoard's files tell seconds; those of one second are in no order
        while int(time.time()) == closed:
            time.sleep(0.05)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    found = {event.step: event.value for event in board.Scalars("network/fit")}
    assert found == {1: 0.5, 2: 0.5, 3: 2.5} and board.Tags()["images"] == ["strip"]


@pytest.mark.parametrize("picture", [PICTURE[..., 0], PICTURE[..., :2], PICTURE.astype(np.float32)])
def test_what_is_no_picture_is_refused(picture: NDArray[np.uint8]) -> None:
    with fails(ValueError, "picture", "[h, w, 3]"):
        Evaluation({}, picture)


def test_the_pace_counts_all_clips_and_the_share_of_waiting() -> None:
    pace = Pace(clips=64)
    pace.add(2.0, 0.5)
    pace.add(6.0, 3.5)
    assert pace.figures() == {"steps_per_second": 0.25, "clips_per_second": 16.0, "data_wait": 0.5}
