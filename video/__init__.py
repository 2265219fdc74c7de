"""Pictures in and out of files, through PyAV alone.

`probe` says what a video is, `read_frames` yields its upright RGB frames at a constant rate, `write_video` makes a file
of frames and a sound, `join` makes one of several without encoding again, `write_picture` makes a still, and `atomic`
lets any file appear whole or not at all.  Everything is a stream: memory does not
grow with length.  Time begins at a file's first picture, frame k is at k / fps, and fps is an exact Fraction.
"""

from video.codecs import CODECS, CONTAINERS, codec_for, hardware
from video.encoding import CHUNK
from video.info import VideoInfo, probe
from video.joining import chunk_suffix, join
from video.picture import shrunken
from video.reading import pick_frames, picked_ahead, read_backwards, read_frames
from video.sound import Mono
from video.stills import PICTURES, write_picture
from video.writing import write_video

__all__ = [
    "CHUNK",
    "CODECS",
    "CONTAINERS",
    "PICTURES",
    "Mono",
    "VideoInfo",
    "chunk_suffix",
    "codec_for",
    "hardware",
    "join",
    "pick_frames",
    "picked_ahead",
    "probe",
    "read_backwards",
    "read_frames",
    "shrunken",
    "write_picture",
    "write_video",
]
