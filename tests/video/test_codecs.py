"""What each codec keeps, which containers hold it, transparency, made sound, stills."""

from fractions import Fraction

import av
import numpy as np
import pytest

from core.errors import BadValue
from tests.helpers.failing import fails
from tests.helpers.numbered_clips import numbered
from video import CODECS, Mono, codec_for, probe, read_frames, write_picture, write_video


def noise(count: int, channels: int = 3, height: int = 48, width: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, channels), np.uint8) for _ in range(count)]


def decoded(path, kind) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=kind) for frame in container.decode(video=0)]


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_ffv1_keeps_every_bit(tmp_path, size):
    frames = noise(5, height=size[0], width=size[1])
    write_video(tmp_path / "out.mkv", frames, Fraction(25), codec="ffv1")
    assert all(np.array_equal(*pair) for pair in zip(read_frames(tmp_path / "out.mkv"), frames, strict=True))


def test_prores_is_near_and_tagged(tmp_path):
    frames = [numbered(k) for k in range(5)]
    write_video(tmp_path / "out.mov", frames, Fraction(24), codec="prores")
    info = probe(tmp_path / "out.mov")
    assert (info.fps, info.frames) == (24, 5)
    for got, frame in zip(read_frames(tmp_path / "out.mov"), frames, strict=True):
        assert np.abs(got.astype(int) - frame)[:, 4:-4].mean() < 3
    with av.open(str(tmp_path / "out.mov")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("prores", "yuv422p10le")
        assert next(container.decode(video=0)).colorspace == 1


@pytest.mark.parametrize(("codec", "suffix", "worst"), [("ffv1", ".mkv", 0), ("prores", ".mov", 3)])
def test_transparency_survives(tmp_path, codec, suffix, worst):
    frame = np.full((48, 64, 4), (200, 90, 60, 0), np.uint8)
    frame[16:32, 16:48, 3] = np.linspace(0, 255, 32).astype(np.uint8)
    path = tmp_path / f"out{suffix}"
    write_video(path, [frame] * 3, Fraction(25), codec=codec)
    for got in decoded(path, "rgba"):
        assert np.abs(got[..., 3].astype(int) - frame[..., 3]).max() <= worst
        assert np.abs(got[..., :3].astype(int) - frame[..., :3]).max() <= worst


@pytest.mark.parametrize(
    ("codec", "name", "named"),
    [("ffv1", "out.mp4", ".mkv"), ("prores", "out.mkv", ".mov"), ("h264", "out.avi", ".mp4, .mov, .mkv"),
     ("vp9", "out.mkv", "h264, ffv1, prores")],
)  # fmt: skip
def test_a_container_that_does_not_hold_the_codec_says_which_does(tmp_path, codec, name, named):
    with fails(BadValue, codec, named):
        write_video(tmp_path / name, noise(1), Fraction(25), codec=codec)
    assert not list(tmp_path.iterdir())


def test_h264_has_no_transparency(tmp_path):
    with fails(BadValue, "out.mov", "--codec prores", ".mov"):
        codec_for("h264", tmp_path / "out.mov", transparent=True)
    with fails(ValueError, "[48, 64, 4]"):
        write_video(tmp_path / "out.mov", noise(1, 4), Fraction(25))
    assert all(codec.matte is None or codec_for(name, tmp_path / f"o{codec.suffixes[0]}", transparent=True)
               for name, codec in CODECS.items())  # fmt: skip


def test_a_made_sound_is_heard_in_time(tmp_path):
    samples = np.zeros(48_000, np.float32)
    samples[24_000:24_480] = 0.8 * np.sin(np.arange(480) * 0.3)
    blocks = (samples[start : start + 1000] for start in range(0, len(samples), 1000))
    write_video(tmp_path / "out.mov", noise(25), Fraction(25), sound=Mono(blocks, 48_000))
    with av.open(str(tmp_path / "out.mov")) as container:
        heard = list(container.decode(audio=0))
    offset = float(heard[0].pts * heard[0].time_base)
    signal = np.concatenate([frame.to_ndarray()[0] for frame in heard])
    assert abs(np.abs(signal).argmax() / 48_000 + offset - 0.505) < 0.006


def test_a_still_is_the_picture(tmp_path):
    (picture,) = noise(1, height=31, width=17)
    write_picture(tmp_path / "still.png", picture)
    assert np.array_equal(next(read_frames(tmp_path / "still.png")), picture)
    with fails(BadValue, "still.jpg", ".png"):
        write_picture(tmp_path / "still.jpg", picture)
    assert [path.name for path in tmp_path.iterdir()] == ["still.png"]
