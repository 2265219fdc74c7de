"""read_sound: any file, on the clock of its pictures, or one sentence that says why not."""

import errno
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from audio import SAMPLE_RATE, Waveform, advanced, channel_blocks, read_sound, resampled
from core.errors import NoData, NotFound, Unreadable
from media import opening
from tests.helpers.failing import fails

TICK = Fraction(1, 1000)


def tone(seconds: float, rate: int) -> np.ndarray:
    """f32 [n]: 440 Hz whose loudness rises, so that its place in time can be told."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * time) * time / seconds).astype(np.float32)


def recording(
    path: Path,
    codec: str,
    *,
    rate: int = 44_100,
    layout: str = "stereo",
    starts: dict[float, float] | None = None,
    pictures: float | None = None,
) -> Path:
    """Tones of 0.5 s; starts: when (s) -> how loud; pictures: when (s) 10 frames of video begin, if at all."""
    with av.open(str(path), "w") as output:
        if pictures is not None:
            video = output.add_stream("libx264", rate=25, options={"bf": "0"})
            video.width, video.height, video.codec_context.time_base = 32, 32, TICK
        track = output.add_stream(codec, rate=rate)
        track.codec_context.layout = layout
        for start, loudness in (starts or {0.0: 1.0}).items():
            samples = np.repeat(loudness * tone(0.5, rate)[None], track.codec_context.channels, 0).astype(np.float32)
            for place in range(0, samples.shape[1], 1024):
                block = AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, place : place + 1024]), format="fltp", layout=layout
                )
                block.sample_rate, block.time_base = rate, Fraction(1, rate)
                block.pts = round(start * rate) + place
                output.mux(track.encode(block))
        output.mux(track.encode(None))
        if pictures is not None:
            for place in range(10):
                picture = VideoFrame(32, 32, "yuv420p")
                picture.pts, picture.time_base = round(pictures * 1000) + 40 * place, TICK
                output.mux(video.encode(picture))
            output.mux(video.encode(None))
    return path


def lateness(heard: np.ndarray, expected: np.ndarray) -> float:
    """Seconds by which `heard` lags behind `expected`, both f32 at SAMPLE_RATE."""
    place = int(np.argmax(np.correlate(heard, expected, mode="full")))
    return (place - len(expected) + 1) / SAMPLE_RATE


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.wav", "pcm_s16le", 44_100, "stereo"),
        ("a.flac", "flac", 16_000, "mono"),
        ("a.mp3", "libmp3lame", 44_100, "stereo"),
        ("a.m4a", "aac", 48_000, "5.1"),
        ("a.ogg", "libopus", 48_000, "mono"),
        ("ä ö.mkv", "aac", 22_050, "mono"),
    ],
)
def test_any_file_becomes_16_khz_mono(tmp_path: Path, name: str, codec: str, rate: int, layout: str) -> None:
    sound = read_sound(recording(tmp_path / name, codec, rate=rate, layout=layout))
    expected = tone(0.5, SAMPLE_RATE)
    assert (sound.rate, sound.samples.dtype) == (SAMPLE_RATE, np.float32)
    assert 0.5 <= sound.seconds < 0.56  # codecs write whole packets
    assert abs(lateness(sound.samples, expected)) < 0.003


def test_another_rate_may_be_asked_for(tmp_path: Path) -> None:
    sound = read_sound(recording(tmp_path / "a.wav", "pcm_s16le"), rate=8000)
    assert (sound.rate, sound.samples.size) == (8000, 4000)


def test_what_is_on_the_16_khz_file_is_what_is_read(tmp_path: Path) -> None:
    sound = read_sound(recording(tmp_path / "a.wav", "pcm_f32le", rate=SAMPLE_RATE, layout="mono"))
    assert np.array_equal(sound.samples, tone(0.5, SAMPLE_RATE))


@pytest.mark.parametrize(("pictures", "starts", "expected"), [(0.2, 0.0, -0.2), (0.0, 0.3, 0.3), (1.0, 1.0, 0.0)])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_time_begins_at_the_first_picture(
    tmp_path: Path, suffix: str, pictures: float, starts: float, expected: float
) -> None:
    path = recording(tmp_path / f"a{suffix}", "aac", starts={starts: 1.0}, pictures=pictures)
    sound = read_sound(path)
    assert abs(lateness(sound.samples, tone(0.5, SAMPLE_RATE)) - expected) < 0.005
    assert abs(sound.seconds - (0.5 + expected)) < 0.05


def test_a_hole_is_silence(tmp_path: Path) -> None:
    sound = read_sound(recording(tmp_path / "a.mkv", "pcm_s16le", starts={0.0: 1.0, 2.0: 0.7}))
    assert abs(sound.seconds - 2.5) < 0.005
    assert np.abs(sound.samples[round(0.55 * SAMPLE_RATE) : round(1.95 * SAMPLE_RATE)]).max() == 0
    assert abs(lateness(sound.samples[round(1.5 * SAMPLE_RATE) :], tone(0.5, SAMPLE_RATE)) - 0.5) < 0.003


def test_loud_sound_stays_in_range(tmp_path: Path) -> None:
    sound = read_sound(recording(tmp_path / "a.wav", "pcm_f32le", starts={0.0: 4.0}))
    assert np.abs(sound.samples).max() == 1


def test_a_cut_file_gives_what_decodes(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.mp3", "libmp3lame")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0.2 < read_sound(path).seconds < 0.35


def test_what_cannot_be_heard_says_so(tmp_path: Path) -> None:
    cut = recording(tmp_path / "cut.mp4", "aac", pictures=0.0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    text = tmp_path / "text.mp4"
    text.write_text("not a sound " * 100)
    empty = tmp_path / "empty.wav"
    empty.touch()
    silent = tmp_path / "silent.mkv"
    with av.open(str(silent), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height = 32, 32
        output.mux(stream.encode(VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    for path in (cut, text, empty, silent, tmp_path / "missing.wav", tmp_path):
        with fails((NoData, NotFound, Unreadable), path):
            read_sound(path)


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros((2, 5), np.float32), 16_000),
        (np.zeros(5), 16_000),
        (np.zeros(5, np.float32), 0),
        (np.array([0, 1.5], np.float32), 16_000),
        (np.array([0, np.nan], np.float32), 16_000),
    ],
)
def test_a_waveform_refuses_to_be_inconsistent(samples: np.ndarray, rate: int) -> None:
    with fails(ValueError, "samples" if rate else "rate"):
        Waveform(samples, rate)


def test_channels_are_those_of_the_file_and_of_mono_twice_the_same(tmp_path):
    samples = np.sin(np.arange(8000) / 9) * 0.5
    for channels in (1, 2):
        path = tmp_path / f"{channels}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(16000)
            stacked = np.stack([samples, 0.5 * samples], axis=1)[:, :channels]
            file.writeframes((stacked * 32767).astype("<i2").tobytes())
        both = np.concatenate(list(channel_blocks(path, rate=16000)), axis=1)
        assert both.shape == (2, 8000) and np.abs(both[0] - samples).max() < 1e-3
        assert np.abs(both[1] - samples * (1 if channels == 1 else 0.5)).max() < 1e-3
    blocks = np.array_split(samples.astype(np.float32), 5)
    back = np.concatenate(list(resampled(resampled(blocks, 16000, 44100), 44100, 16000)))
    assert abs(back.size - 8000) <= 2 and np.abs(back[100:7900] - samples[100:7900]).max() < 0.01
    assert list(resampled([], 16000, 8000)) == []


@pytest.mark.parametrize("samples", [0, 1, 3, 4, 6, 20, -2])
def test_a_sound_is_moved_forward_or_back(samples: int) -> None:
    blocks = [np.arange(3, dtype=np.float32), np.zeros(0, np.float32), np.arange(3, 10, dtype=np.float32)]
    moved = np.concatenate([np.zeros(0, np.float32), *advanced(blocks, samples)])
    whole = np.concatenate([np.zeros(max(-samples, 0)), np.arange(10)])
    assert moved.dtype == np.float32 and moved.tolist() == whole[max(samples, 0) :].tolist()


def test_a_sound_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*given: object, **named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    monkeypatch.setattr(opening.av, "open", denied)  # who runs as root may read anything
    with fails(Unreadable, path, "change its permissions"):
        read_sound(path)
