"""Files that are cut off or damaged: used as far as they go, and said to be so, once, with what lacks."""

import re
import struct
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.video.frame import VideoFrame
from PIL import Image

from audio import read_sound
from core import progress
from media import damage_of
from tests.helpers.failing import check_sentence
from video import probe, read_frames

FPS = 25
FAST = {"movflags": "+faststart"}
FRAGMENTS = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}


def picture(number: int) -> np.ndarray:
    """Noise, which no codec makes small, u8 [64, 96, 3]."""
    return np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8)


def film(path: Path, codec: str, sound: str | None = "aac", frames: int = 50, **container: Any) -> Path:
    """2 s of noise and, a little longer than it, of sound; a key picture every 10."""
    with av.open(str(path), "w", container_options=container) as output:
        pictures = output.add_stream(codec, rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt, pictures.codec_context.gop_size = 96, 64, "yuv420p", 10
        heard = None if sound is None else output.add_stream(sound, rate=48_000)
        for number in range(frames):
            output.mux(pictures.encode(VideoFrame.from_ndarray(picture(number), format="rgb24")))
            if heard is not None:
                samples = np.random.default_rng(number).uniform(-0.3, 0.3, (1, 1940)).astype(np.float32)
                frame = AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, 1940 * number, Fraction(1, 48_000)
                output.mux(heard.encode(frame))
        output.mux(pictures.encode(None))
        if heard is not None:
            output.mux(heard.encode(None))
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    """The same without its end."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


VIDEOS: dict[str, dict[str, Any]] = {
    "fast.mp4": {"codec": "mpeg4", **FAST}, "fast.mov": {"codec": "libx264", "sound": "pcm_s16le", **FAST},
    "fragments.mp4": {"codec": "mpeg4", **FRAGMENTS}, "a.mkv": {"codec": "mpeg4"}, "a.avi": {"codec": "mpeg4",
    "sound": "mp2"}, "a.webm": {"codec": "libvpx", "sound": "libopus"},
}  # fmt: skip


def seconds(sentence: str) -> list[float]:
    """All that it names: what should be there, and what is."""
    return [float(number) for number in re.findall(r"(\d+\.\d+) s\b", sentence)]


@pytest.fixture(autouse=True)
def said_anew() -> None:
    progress.say_anew()


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_that_is_cut_off_is_used_and_said_to_be_once(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / name, **VIDEOS[name])
    assert probe(path).frames == 50 and len(list(read_frames(path))) == 50 and read_sound(path).seconds > 1.9
    assert damage_of(path) == [] and capsys.readouterr().err == ""
    found = probe(cut(path)).frames
    assert 15 <= found <= 40 and len(list(read_frames(path))) == found and read_sound(path).seconds > 0.5
    (sentence,) = damage_of(path)
    check_sentence(sentence, path, "cut off", "pictures", "copy")
    *expected, left = seconds(sentence)
    assert left == pytest.approx(found / FPS, abs=0.05)
    assert expected == ([] if name == "fragments.mp4" else [pytest.approx(2, abs=0.2)])
    assert capsys.readouterr().err == f"{sentence}\n"
    progress.say_anew()
    probe(path)  # of another job
    assert capsys.readouterr().err == f"{sentence}\n"


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_a_broadcast_has_no_end_that_could_lack(tmp_path: Path, name: str) -> None:
    path = cut(film(tmp_path / name, "mpeg2video", "mp2"))
    assert len(list(read_frames(path))) == probe(path).frames < 45
    read_sound(path)
    assert damage_of(path) == []


def wav(path: Path, seconds: float = 2.0, codec: str = "pcm_s16le") -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=48_000, layout="mono")
        kind = stream.codec_context.format.name
        samples = (np.random.default_rng(0).uniform(-0.3, 0.3, (1, round(seconds * 48_000)))).astype(np.float32)
        resampler = AudioResampler(format=kind, layout="mono", rate=48_000)
        for start in range(0, samples.shape[1], 960):
            block = np.ascontiguousarray(samples[:, start : start + 960])
            frame = AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
            for converted in resampler.resample(frame):
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return path


SOUNDS = {
    "a.wav": "pcm_s16le", "a.aiff": "pcm_s16be", "a.flac": "flac", "a.mp3": "libmp3lame", "a.ogg": "libopus",
    "a.mka": "aac",
}  # fmt: skip


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_that_is_shorter_than_its_head_says(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wav(tmp_path / name, codec=SOUNDS[name])
    whole = read_sound(path).seconds
    assert whole == pytest.approx(2, abs=0.06) and damage_of(path) == []
    left = read_sound(cut(path)).seconds
    assert 0.9 < left < 1.4
    (sentence,) = damage_of(path)
    check_sentence(sentence, path, "cut off", "sound")
    assert seconds(sentence)[-1] == pytest.approx(left, abs=0.15)
    read_sound(path)
    assert capsys.readouterr().err == f"{sentence}\n"


def test_a_head_that_says_nothing_is_none_that_lies(tmp_path: Path) -> None:
    """As programs write it that do not know the length beforehand, or never came to correct it."""
    for number, size in enumerate((0, 0xFFFFFFFF, 0x7FFFFFFF - 36)):
        path = wav(tmp_path / f"{number}.wav")
        data = bytearray(path.read_bytes())
        for place in (4, data.index(b"data") + 4):
            data[place : place + 4] = struct.pack("<I", size)
        path.write_bytes(data)
        assert read_sound(path).seconds == pytest.approx(2, abs=0.01) and damage_of(path) == []
    path = wav(tmp_path / "text.wav")  # with another chunk behind the sound, which is cut
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4000) + b"INFO")
    read_sound(path)
    assert damage_of(path) == []
    path = film(tmp_path / "live.mkv", "mpeg4", live="1")
    probe(path), read_sound(path)
    assert damage_of(path) == []


def shifted(path: Path) -> None:
    """Every 7th picture is not there, and the sound lasts twice as long."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        heard = output.add_stream("aac", rate=48_000, layout="mono")
        for number in range(40):
            frame = VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number + number // 6, Fraction(1, FPS)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for start in range(0, 4 * 48_000, 1024):
            frame = AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
            output.mux(heard.encode(frame))
        output.mux(heard.encode(None))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_dropped_pictures_and_longer_sounds_are_no_damage(tmp_path: Path, name: str) -> None:
    shifted(tmp_path / name)
    assert len(list(read_frames(tmp_path / name))) == probe(tmp_path / name).frames
    read_sound(tmp_path / name)
    assert damage_of(tmp_path / name) == []


def packets(path: Path) -> list[tuple[int, int]]:
    """Where the pictures lie in a file: position and size."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size and p.pos is not None]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_pictures_in_the_middle_that_do_not_decode(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / name, "mpeg4", None)
    data = bytearray(path.read_bytes())
    for place, size in packets(path)[22:25]:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)
    assert len(list(read_frames(path))) == 50
    (sentence,) = damage_of(path)
    check_sentence(sentence, path, "damaged", "pictures", "0.8")
    list(read_frames(path)), list(read_frames(path, start=20, stop=30))
    assert damage_of(path) == [sentence] and len(capsys.readouterr().err.splitlines()) == 1


def test_sound_in_the_middle_that_does_not_decode(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.flac", codec="flac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40_000] = bytes(40_000)
    path.write_bytes(data)
    assert read_sound(path).seconds == pytest.approx(2, abs=0.3)
    assert len(damage_of(path)) == 1


@pytest.mark.parametrize("progressive", [True, False])
def test_a_picture_that_is_cut_off(tmp_path: Path, *, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.kron(picture(0), np.ones((4, 4, 1), np.uint8))).save(path, progressive=progressive)
    next(read_frames(path))
    assert damage_of(path) == []
    path.write_bytes(path.read_bytes() + b"what a camera adds")
    next(read_frames(path))
    assert damage_of(path) == []
    next(read_frames(cut(path, 0.5)))
    (sentence,) = damage_of(path)
    check_sentence(sentence, path, "cut off")


def test_a_file_that_was_made_whole_again_is_no_longer_damaged(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav")
    whole = path.read_bytes()
    read_sound(cut(path))
    assert damage_of(path)
    path.write_bytes(whole)
    read_sound(path)
    assert damage_of(path) == []
    with wave.open(str(path)) as file:
        assert file.getnframes() == 96_000
