"""Where a protocol looks."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from core.errors import NoFace
from evaluation.framing import CropBoxes, crop_boxes, syncnet_box, voxceleb2_picture
from evaluation.protocol import PROTOCOLS, Protocol
from evaluation.video_sample import WIDE
from face_detection import Box, Detection, voxceleb2_box
from face_detection.networks import S3FD_CALIBRATION
from tests.helpers.failing import fails
from video import probe, write_video


class Blob:
    """Finds the one bright square, of 24 pixels."""

    name = "blob"

    def detect(self, frames: list[np.ndarray]) -> list[list[Detection]]:
        found = []
        for frame in frames:
            rows, columns = np.nonzero(frame[..., 0] > 128)
            place = (columns.mean() + 0.5, rows.mean() + 0.5) if rows.size else None
            found.append([Detection(Box.centred(*place, 24, 24), 1.0)] if place else [])
        return found


def test_fixed_framings_look_at_one_place_and_show_syncnet_all(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [np.zeros((224, 224, 3), np.uint8)] * 2, Fraction(25))
    info = probe(tmp_path / "a.mp4")
    for framing, face in (("voxceleb2", Box(50, 0, 174, 158)), ("whole", Box(0, 0, 224, 224))):
        found = crop_boxes(info, framing, [0, 1], None)
        assert len(found) == 2 and found[0].face == face and found[0].place(WIDE) == face
        assert found[1].wide == Box(0, 0, 224, 224)
    assert crop_boxes(info, "lrw", [0], None)[0].face.height == pytest.approx(224 * 164 / 256)
    with fails(ValueError, "detector"):
        crop_boxes(info, "face", [0], None)


def test_a_face_is_followed_and_held_where_it_is_lost(tmp_path: Path) -> None:
    frames = np.zeros((30, 96, 128, 3), np.uint8)
    for k, frame in enumerate(frames[:20]):
        frame[30:54, 20 + k : 44 + k] = 255
    write_video(tmp_path / "a.mp4", frames, Fraction(25), crf=0)
    found = crop_boxes(probe(tmp_path / "a.mp4"), "face", list(range(30)), Blob())
    assert [round(boxes.face.centre[0]) for boxes in found[5:15]] == [round(32 + k) for k in range(5, 15)]
    assert found[29].face == found[28].face and abs(found[29].face.centre[0] - 51) < 2
    assert found[3].wide == syncnet_box(found[3].face)
    write_video(tmp_path / "none.mp4", np.zeros((3, 96, 128, 3), np.uint8), Fraction(25))
    with fails(NoFace, "none.mp4"):
        crop_boxes(probe(tmp_path / "none.mp4"), "face", [0, 1, 2], Blob())


def test_syncnets_crop_is_its_programs_for_the_box_that_s3fd_would_find() -> None:
    s3fd = Box(100, 80, 180, 180)
    crop = syncnet_box(S3FD_CALIBRATION.apply(s3fd))
    assert crop.corners == pytest.approx((140 - 70, 130 - 50, 140 + 70, 130 + 90))


def test_every_protocol_says_all_of_itself() -> None:
    for protocol in PROTOCOLS.values():
        said = dict(protocol.lines())
        assert protocol.about in said["protocol"] and str(protocol.size) in said["pictures"]
        assert said["setting"] in protocol.name
    with fails(ValueError, "odd", "size"):
        Protocol("odd", "cross", "whole", 33, "")


def test_a_face_in_a_whole_video_is_looked_at_as_voxceleb2_would_have_cut_it() -> None:
    face = Box(103.5, 40.0, 351.5, 356.0)
    boxes = CropBoxes(face, voxceleb2_picture(face))
    assert boxes.place(224).corners == pytest.approx(voxceleb2_box(224, 224).corners)
