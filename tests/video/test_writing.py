"""write_video and atomic: what is written reads back, sounds in time, and appears whole or not at all."""

import errno
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from core.atomic import atomic
from core.errors import BadInput, BadValue, NoData, NotFound, Unreadable, Unwritable
from tests.helpers.failing import fails
from tests.helpers.numbered_clips import clip, numbered, numbers
from video import probe, read_frames, write_video

RATE = 16_000


def frames(count: int, height: int = 48, width: int = 64) -> Iterator[np.ndarray]:
    return (numbered(k % 256, height, width) for k in range(count))


def noise(path: Path, seconds: float) -> Path:
    samples = np.random.default_rng(0).integers(-8000, 8000, round(seconds * RATE)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def sound(path: Path) -> tuple[float, np.ndarray, str]:
    """When the first sound is heard after the first picture (seconds), the samples f32 [n], and the codec."""
    with av.open(str(path)) as container:
        pictures, stream = container.streams.video[0], container.streams.audio[0]
        heard = list(container.decode(stream))
        offset = heard[0].pts * heard[0].time_base - (pictures.start_time or 0) * pictures.time_base
        samples = np.concatenate([frame.to_ndarray().astype(np.float32)[0] for frame in heard])
        return float(offset), samples, stream.codec_context.name


def sound_bytes(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".MP4"])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_what_is_written_reads_back(tmp_path: Path, suffix: str, fps: Fraction) -> None:
    path = tmp_path / f"größe und länge{suffix}"
    assert write_video(path, frames(40), fps, preset="veryfast") == 40
    info = probe(path)
    assert (info.fps, info.frames, info.height, info.width, info.audio) == (fps, 40, 48, 64, False)
    assert numbers(read_frames(path)) == list(range(40))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_colours_survive(tmp_path: Path) -> None:
    colours = [(200, 30, 60), (10, 250, 40), (255, 255, 255), (0, 0, 0), (90, 140, 220), (224, 172, 105)]
    path = tmp_path / "colours.mp4"
    write_video(path, (np.full((32, 32, 3), colour, np.uint8) for colour in colours), Fraction(25), crf=1)
    for frame, colour in zip(read_frames(path), colours, strict=True):
        assert np.abs(frame.astype(int) - colour).max() <= 3
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    assert (picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc) == (1, 1, 1, 1)


@pytest.mark.parametrize(("height", "width"), [(47, 64), (48, 63), (47, 63)])
def test_an_odd_size_grows_by_its_own_edge(tmp_path: Path, height: int, width: int) -> None:
    path = tmp_path / "odd.mp4"
    write_video(path, frames(5, height, width), Fraction(25))
    info = probe(path)
    assert (info.height, info.width) == (height + height % 2, width + width % 2)
    assert numbers(frame[:height, :width] for frame in read_frames(path)) == list(range(5))


def test_the_shape_of_pixels_survives(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    write_video(path, frames(5), Fraction(25), pixel_aspect=Fraction(16, 15))
    assert probe(path).pixel_aspect == Fraction(16, 15)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        write_video(tmp_path / name, frames(30), Fraction(25), sound=noise(tmp_path / "n.wav", 1))
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_sound_is_copied_packet_by_packet(tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / f"second{suffix}"
    write_video(first, frames(50), Fraction(25), sound=noise(tmp_path / "n.wav", 2))
    write_video(second, frames(50), Fraction(25), sound=first)
    assert sound_bytes(second) == sound_bytes(first)
    offset, samples, codec = sound(second)
    before, original, _ = sound(first)
    assert codec == "aac"
    late = int(np.argmax(np.correlate(samples[:12000], original[2000:8000]))) - 2000
    assert abs(late / RATE + offset - before) < 0.002


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "aac"), (".mov", "pcm_s16le"), (".mkv", "pcm_s16le")])
@pytest.mark.parametrize(("count", "seconds", "expected"), [(25, None, 1.0), (100, None, 2.0), (50, 0.5, 0.5)])
def test_the_sound_ends_with_the_pictures(
    tmp_path: Path, suffix: str, codec: str, count: int, seconds: float | None, expected: float
) -> None:
    path = tmp_path / f"out{suffix}"
    write_video(path, frames(count), Fraction(25), sound=noise(tmp_path / "n.wav", 2), seconds=seconds)
    offset, samples, written = sound(path)
    assert (written, round(offset, 3)) == (codec, 0)
    assert expected <= len(samples) / RATE < expected + 0.13  # whole packets
    assert probe(path).frames == count


def test_sound_begins_where_the_pictures_of_its_file_begin(tmp_path: Path) -> None:
    """A click at 0.5 s in a file whose pictures begin at 0.2 s belongs at 0.3 s."""
    source = tmp_path / "late.mkv"
    samples = np.zeros((1, RATE), np.int16)
    samples[0, RATE // 2] = 30_000
    with av.open(str(source), "w") as output:
        pictures, track = output.add_stream("libx264", rate=25), output.add_stream("pcm_s16le", rate=RATE)
        pictures.width, pictures.height, track.codec_context.layout = 64, 48, "mono"
        block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = RATE, 0, Fraction(1, RATE)
        output.mux(track.encode(block))
        for place in range(20):
            picture = av.VideoFrame.from_ndarray(numbered(place), format="rgb24")
            picture.pts, picture.time_base = place + 5, Fraction(1, 25)
            output.mux(pictures.encode(picture))
        output.mux(pictures.encode(None))
    path = tmp_path / "out.mov"
    write_video(path, frames(20), Fraction(25), sound=source)
    offset, heard, _ = sound(path)
    assert abs(np.abs(heard).argmax() / RATE + offset - 0.3) < 0.002


def test_sound_that_is_none_says_so(tmp_path: Path) -> None:
    silent = clip(tmp_path / "silent.mp4", range(5))
    text = tmp_path / "text.mp4"
    text.write_text("no sound")
    for source in (silent, text, tmp_path / "missing.wav"):
        with fails((NoData, NotFound, Unreadable), source):
            write_video(tmp_path / "out.mp4", frames(5), Fraction(25), sound=source)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["silent.mp4", "text.mp4"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "no space"), RuntimeError("a bug")])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the user's own")

    def broken() -> Iterator[np.ndarray]:
        yield from frames(60)
        raise failure

    with pytest.raises(BadInput if isinstance(failure, OSError) else type(failure)):
        write_video(path, broken(), Fraction(25))
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"the user's own"


@pytest.mark.parametrize("name", ["out.avi", "out", "no folder/out.mp4"])
def test_a_place_that_cannot_be_written_says_so(tmp_path: Path, name: str) -> None:
    with fails((BadValue, NotFound), Path(name)):
        write_video(tmp_path / name, frames(5), Fraction(25))
    assert not list(tmp_path.iterdir())


def test_no_frame_and_frames_that_change_size(tmp_path: Path) -> None:
    with fails(NoData, "out.mp4"):
        write_video(tmp_path / "out.mp4", [], Fraction(25))
    with fails(ValueError, "frame 1"):
        write_video(tmp_path / "out.mp4", [numbered(0), numbered(0, 32, 32)], Fraction(25))
    assert not list(tmp_path.iterdir())


def test_atomic_replaces_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with atomic(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with fails(Unwritable, tmp_path), atomic(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == [path]
