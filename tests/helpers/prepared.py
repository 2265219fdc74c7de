"""Steps of the recipe that many tests take together."""

from typing import Any

from lipsync.jobs.job import Job
from lipsync.pipeline import LipSyncPipeline
from lipsync.planning.face_selection import FaceSelector
from lipsync.rendering.render_job import RenderJob
from video import VideoInfo


def prepared(pipeline: LipSyncPipeline, job: Job, **stretches: Any) -> RenderJob:
    """A job, ready to be rendered."""
    return pipeline.prepare(pipeline.plan(job), **stretches)


def selector(pipeline: LipSyncPipeline, info: VideoInfo) -> FaceSelector:
    """The faces of a video under the pipeline's settings."""
    return pipeline.models.face_selector(info, pipeline.settings)
