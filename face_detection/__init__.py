"""Where the faces are: detectors with one framing, people tracked through a video, faces cut out and pasted back.

Every detector returns boxes framed as the fixed crop of VoxCeleb2 is (`voxceleb2_box`):
the framing that the weights are trained on.
"""

from face_detection.aligning import TrackPoints, align, assess_fitness, find_points
from face_detection.box import Box, Detection, voxceleb2_box
from face_detection.cache import default_folder
from face_detection.cropping import Layer, cut, jaw_mask, make_layer, mouth_mask, paste, sharpness_aware_mask
from face_detection.detail import with_detail
from face_detection.detector import Detector
from face_detection.displacing import displaced
from face_detection.faces import Faces, find_faces, track_face
from face_detection.fading import opacity, unfit_ranges
from face_detection.ffhq import FFHQ_SIDE, ffhq_square, warped
from face_detection.finding import FaceFinder
from face_detection.landmarks import Landmarks
from face_detection.lip_colour import LipColour
from face_detection.loading import NAMES, load_detector
from face_detection.mouth_detail import MouthDetail
from face_detection.searching import search
from face_detection.selection import FaceQuery
from face_detection.sightings import Sightings
from face_detection.track import MAX_GAP, FaceTrack

__all__ = [
    "FFHQ_SIDE",
    "MAX_GAP",
    "NAMES",
    "Box",
    "Detection",
    "Detector",
    "FaceFinder",
    "FaceQuery",
    "FaceTrack",
    "Faces",
    "Landmarks",
    "Layer",
    "LipColour",
    "MouthDetail",
    "Sightings",
    "TrackPoints",
    "align",
    "assess_fitness",
    "cut",
    "default_folder",
    "displaced",
    "ffhq_square",
    "find_faces",
    "find_points",
    "jaw_mask",
    "load_detector",
    "make_layer",
    "mouth_mask",
    "opacity",
    "paste",
    "search",
    "sharpness_aware_mask",
    "track_face",
    "unfit_ranges",
    "voxceleb2_box",
    "warped",
    "with_detail",
]
