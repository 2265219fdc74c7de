"""Where the face is: detectors with one framing, one face tracked through a clip, cut out of it and pasted back.

Every detector returns boxes framed as the fixed crop of VoxCeleb2 is (`voxceleb2_box`):
the framing that the weights are trained on.
"""

from face_detection.box import Box, Detection, voxceleb2_box
from face_detection.cropping import cut, jaw_mask, mouth_mask, paste
from face_detection.detector import Detector
from face_detection.loading import NAMES, load_detector
from face_detection.track import MAX_GAP, FaceTrack
from face_detection.tracking import track_face

__all__ = [
    "MAX_GAP",
    "NAMES",
    "Box",
    "Detection",
    "Detector",
    "FaceTrack",
    "cut",
    "jaw_mask",
    "load_detector",
    "mouth_mask",
    "paste",
    "track_face",
    "voxceleb2_box",
]
