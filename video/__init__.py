"""Pictures in and out of files, through PyAV alone.

`probe` says what a video is, `read_frames` yields its upright RGB frames at a constant rate, `write_video` makes a file
of frames and a sound, and `atomic` lets any file appear whole or not at all.  Everything is a stream: memory does not
grow with length.  Time begins at a file's first picture, frame k is at k / fps, and fps is an exact Fraction.
"""

from video.atomic import atomic
from video.info import VideoInfo, probe
from video.reading import read_frames
from video.writing import CONTAINERS, write_video

__all__ = ["CONTAINERS", "VideoInfo", "atomic", "probe", "read_frames", "write_video"]
