"""Style-Preserving Lip Sync via Audio-Aware Style Reference (arXiv 2408.05412), both stages."""

from ..stage1 import StyleReference
from .labels import SPACE, labelled
from .lip_motion import MotionSpace
from .motion import MotionPredictor, PredictorConfig
from .motion_model import LipMotion, LipMotionConfig
from .motion_progress import MotionEvaluate, motion_samples
from .motion_training import PredictingObjective, PredictorTraining, ReaderTraining, ReadingObjective
from .renderer import Renderer, RendererConfig
from .sequences import FaceData, SequenceData
from .system import StyleSystem
from .training import RendererObjective, RendererTraining

__all__ = [
    "SPACE",
    "FaceData",
    "LipMotion",
    "LipMotionConfig",
    "MotionEvaluate",
    "MotionPredictor",
    "MotionSpace",
    "PredictingObjective",
    "PredictorConfig",
    "PredictorTraining",
    "ReaderTraining",
    "ReadingObjective",
    "Renderer",
    "RendererConfig",
    "RendererObjective",
    "RendererTraining",
    "SequenceData",
    "StyleReference",
    "StyleSystem",
    "labelled",
    "motion_samples",
]
