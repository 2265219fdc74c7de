"""probe and read_frames: the right frame at the right time, from anywhere, in any container."""

import errno
import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from core.errors import NoData, NotFound, Unreadable
from core.program import said
from media import opening
from tests.helpers.failing import fails
from tests.helpers.numbered_clips import HEIGHT, WIDTH, clip, numbered, numbers
from video import pick_frames, probe, read_backwards, read_frames, shrunken

MILLISECOND = Fraction(1, 1000)
REAL = Path(__file__).parents[2].parent / "shared" / "clips" / "full"

CONTAINERS = {
    "b_frames.mp4": {},
    "b_frames.mkv": {},
    "b_frames.ts": {},
    "open_gop.ts": {"options": {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}},
    "intra_refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=12:bframes=3"}},
    "b_frames.avi": {},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "10", "bf": "2", "b": "2000000"}},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_frame_comes_once_and_a_seek_changes_nothing(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / name, range(45), **CONTAINERS[name])
    info, frames = probe(path), list(read_frames(path))
    assert (info.fps, info.frames, info.height, info.width) == (25, 45, HEIGHT, WIDTH)
    assert not info.audio and not info.still
    assert numbers(frames) == list(range(45))
    for start in range(0, 45, 4):
        part = list(read_frames(path, start=start, stop=min(start + 3, 45)))
        assert all(np.array_equal(*pair) for pair in zip(part, frames[start : start + 3], strict=True))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_rate_is_exact(tmp_path: Path, suffix: str) -> None:
    ntsc = Fraction(30000, 1001)
    path = clip(tmp_path / f"ntsc{suffix}", range(40), tick=1 / ntsc, fps=ntsc)
    assert probe(path).fps == ntsc
    assert numbers(read_frames(path)) == list(range(40))


def test_a_camera_that_drops_frames_gets_them_filled_with_the_ones_before(tmp_path: Path) -> None:
    kept = [place for place in range(59) if place % 7 != 3]
    path = clip(tmp_path / "dropped.mp4", kept, tick=Fraction(1, 30), fps=Fraction(30))
    assert (probe(path).fps, probe(path).frames) == (30, 59)
    expected = [max(k for k, place in enumerate(kept) if place <= frame) for frame in range(59)]
    assert numbers(read_frames(path)) == expected
    assert numbers(read_frames(path, start=37)) == expected[37:]


def test_free_timestamps_show_the_last_picture_at_each_moment(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).integers(25, 42, 60)).tolist()
    path = clip(tmp_path / "free.mp4", times, tick=MILLISECOND, fps=Fraction(30))
    info = probe(path)
    expected = [
        max(k for k, time in enumerate(times) if (time - times[0]) * MILLISECOND <= frame / info.fps)
        for frame in range(info.frames)
    ]
    assert numbers(read_frames(path)) == expected
    assert abs(info.seconds - (times[-1] - times[0]) * MILLISECOND) < Fraction(1, 10)
    for start in range(0, info.frames, 7):
        assert numbers(read_frames(path, start=start, stop=info.frames)) == expected[start:]


def test_a_late_first_picture_is_frame_0(tmp_path: Path) -> None:
    path = clip(tmp_path / "late.mp4", range(5, 20))
    assert numbers(read_frames(path)) == list(range(15))


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_the_picture_stands_upright(tmp_path: Path, rotation: int) -> None:
    plain = next(read_frames(clip(tmp_path / "plain.mp4", range(5))))
    path = clip(tmp_path / "turned.mp4", range(5), rotation=rotation)
    with av.open(str(path)) as container:
        counterclockwise = next(container.decode(video=0)).rotation
    frame = next(read_frames(path))
    assert np.array_equal(frame, np.rot90(plain, counterclockwise // 90))
    assert (probe(path).height, probe(path).width) == frame.shape[:2]
    side = max(frame.shape) // 2
    small = list(read_frames(path, start=2, longest=side))
    assert len(small) == 3 and {max(one.shape) for one in small} == {side}
    assert small[0].shape == shrunken(frame, side).shape


@pytest.mark.parametrize(
    ("matrix", "luma"),
    [(1, (0.2126, 0.0722)), (5, (0.299, 0.114)), (6, (0.299, 0.114)), (9, (0.2627, 0.0593)), (2, (0.299, 0.114))],
)
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_what_the_tags_say(tmp_path: Path, matrix: int, luma: tuple[float, float], full: bool) -> None:
    y, cb, cr = 120, 90, 160
    path = tmp_path / "colour.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        picture = VideoFrame(32, 32, "yuv420p")
        for plane, value in zip(picture.planes, (y, cb, cr), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        picture.colorspace, picture.color_range = matrix, 2 if full else 1
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    red, blue = luma
    bright = y / 255 if full else (y - 16) / 219
    scale = 255 if full else 224
    r, b = bright + 2 * (1 - red) * (cr - 128) / scale, bright + 2 * (1 - blue) * (cb - 128) / scale
    g = (bright - red * r - blue * b) / (1 - red - blue)
    assert np.abs(next(read_frames(path))[16, 16] - 255 * np.array([r, g, b])).max() <= 1


@pytest.mark.parametrize(("name", "codec", "pixels"), [("p.png", "png", "rgb24"), ("p.jpg", "mjpeg", "yuvj420p")])
def test_a_picture_is_a_video_of_one_frame(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    path = clip(tmp_path / name, [0], codec=codec, pixels=pixels, options={})
    info = probe(path)
    assert (info.still, info.frames, info.fps, info.height, info.width) == (True, 1, 25, HEIGHT, WIDTH)
    (frame,) = read_frames(path)
    assert np.abs(frame.astype(int) - numbered(0)).max() <= 4


def test_transparent_parts_lie_on_black(tmp_path: Path) -> None:
    path = tmp_path / "transparent.png"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 2, 1, "rgba"
        pixels = np.array([[[200, 100, 50, 255], [200, 100, 50, 0]]], np.uint8)
        output.mux(stream.encode(VideoFrame.from_ndarray(pixels, format="rgba")))
        output.mux(stream.encode(None))
    (frame,) = read_frames(path)
    assert frame.tolist() == [[[200, 100, 50], [0, 0, 0]]]


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts", "cut.mpg"])
def test_a_cut_file_yields_as_many_frames_as_it_promises(tmp_path: Path, name: str) -> None:
    codec = "mpeg2video" if name == "cut.mpg" else "libx264"
    path = clip(tmp_path / name, range(60), codec=codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    info = probe(path)
    assert 15 < info.frames < 60
    assert len(list(read_frames(path))) == info.frames


def test_a_long_undecodable_stretch_is_an_error(tmp_path: Path) -> None:
    path = clip(tmp_path / "damaged.mp4", range(100), options={"g": "100", "bf": "0"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in spans[30:]:
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    with fails(Unreadable, "damaged.mp4", "1."):
        list(read_frames(path))


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    cut = clip(tmp_path / "cut.mp4", range(50))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    text = tmp_path / "text.mp4"
    text.write_text("not a video " * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path in (cut, text, empty, tmp_path / "missing.mp4", tmp_path):
        with fails((NoData, NotFound, Unreadable), path):
            probe(path)
        with fails((NoData, NotFound, Unreadable), path):
            list(read_frames(path))


@pytest.mark.parametrize(("box", "count"), [("stts", 8), ("stsd", 12)])
def test_an_index_that_asks_for_all_memory_is_damaged(tmp_path: Path, box: str, count: int) -> None:
    """FFmpeg says then that memory lacks, as it does where it does."""
    path = clip(tmp_path / "v.mp4", range(5))
    stored = bytearray(path.read_bytes())
    place = stored.index(box.encode()) + count
    stored[place : place + 4] = b"\x7f" * 4
    path.write_bytes(stored)
    with fails(Unreadable, path) as caught:
        probe(path)
    assert said(caught.value) is caught.value


def test_without_memory_no_file_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*given: object, **named: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    path = clip(tmp_path / "v.mp4", range(5))
    monkeypatch.setattr(opening.av, "open", none_left)
    monkeypatch.setattr(opening, "_has_memory", lambda: False)
    with pytest.raises(OSError, match="allocate"):
        probe(path)


def test_a_range_outside_the_video_is_a_bug(tmp_path: Path) -> None:
    path = clip(tmp_path / "short.mp4", range(5))
    assert list(read_frames(path, start=5)) == []
    with fails(ValueError, "short.mp4", "0..4"):
        read_frames(path, start=3, stop=6)


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = clip(tmp_path / "ünter wegs 100%d.mp4", range(5))
    assert probe(path).frames == 5
    clip(path, range(9))
    assert probe(path).frames == 9


@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not here")
@pytest.mark.parametrize(
    ("name", "fps", "frames"),
    [
        ("grid_360x288.mpg", Fraction(25), 75),
        ("phone_352x640_29775fps.mp4", Fraction(1920000, 64483), 64),
        ("square_22131fps.mp4", Fraction(30), 183),
        ("square_24fps.mov", Fraction(24), 446),
        ("tv_480x360_2997fps.mp4", Fraction(30000, 1001), 209),
    ],
)
def test_real_clips(name: str, fps: Fraction, frames: int) -> None:
    info = probe(REAL / name)
    assert (info.fps, info.frames) == (fps, frames)
    late = list(read_frames(REAL / name, start=frames - 3))
    assert len(late) == 3 and late[0].shape == (info.height, info.width, 3)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed by Linux only")
def test_a_frame_that_was_read_leaves_nothing_behind(tmp_path: Path) -> None:
    """No thread of its own, and no cycle that keeps it, and all that its decoder drew pictures from, until the garbage
    collector comes by."""
    path = clip(tmp_path / "v.mp4", range(40), options={"g": "20"}, rotation=90)
    tasks = len(list(Path("/proc/self/task").iterdir()))
    gc.collect()
    gc.disable()
    try:
        before = [one for one in gc.get_objects() if type(one) is VideoFrame]  # which other tests still hold
        assert sum(1 for _ in read_frames(path)) == 40
        assert sum(1 for _ in read_backwards(path, start=0, stop=40, held=8)) == 40
        assert sum(1 for _ in pick_frames(path, [3, 25])) == 2
        kept = [one for one in gc.get_objects() if type(one) is VideoFrame]
    finally:
        gc.enable()
    assert len(kept) <= len(before) and len(list(Path("/proc/self/task").iterdir())) <= tasks


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with fails(Unreadable, "folder.mp4", "folder"):
        probe(tmp_path / "folder.mp4")
    with fails(Unreadable, "/dev/null", "device"):
        probe(Path("/dev/null"))
    (tmp_path / "nowhere.mp4").symlink_to("nothing")
    with fails(NotFound, "nowhere.mp4"):
        probe(tmp_path / "nowhere.mp4")


def test_a_picture_with_too_many_pixels_is_said_to_have_them(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with fails(Unreadable, "huge.png", "pixels"):
        probe(tmp_path / "huge.png")


def test_a_picture_is_the_file_of_its_name_and_no_pattern_of_others(tmp_path: Path) -> None:
    for name, level in (("x%03d.png", 200), ("x001.png", 20), ("x002.png", 20), ("100%.png", 90)):
        Image.new("RGB", (32, 32), (level,) * 3).save(tmp_path / name)
    for name, level in (("x%03d.png", 200), ("100%.png", 90)):
        assert probe(tmp_path / name).frames == 1
        (frame,) = read_frames(tmp_path / name)
        assert (frame == level).all()


def test_a_picture_with_a_side_that_cannot_be_moved_is_refused(tmp_path: Path) -> None:
    Image.new("L", (32_767, 16)).save(tmp_path / "wide.png")
    with fails(Unreadable, "wide.png", "32766"):
        probe(tmp_path / "wide.png")


def test_a_gif_of_one_picture_is_a_still_and_of_two_a_video(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (48, 32), (level,) * 3) for level in (0, 200)]
    pictures[0].save(tmp_path / "one.gif")
    pictures[0].save(tmp_path / "two.gif", save_all=True, append_images=pictures[1:], duration=100)
    one, two = (probe(tmp_path / f"{name}.gif") for name in ("one", "two"))
    assert (one.still, one.frames, one.fps) == (True, 1, 25) and (two.still, two.frames) == (False, 2)
