"""Media as people have them, which came out wrong once; made here, and those of ../shared/cases where there are any."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.stream import Disposition
from av.video.frame import VideoFrame
from PIL import Image

from audio import broken_samples, read_sound
from core.errors import Unreadable
from tests.helpers.failing import fails
from video import probe, read_frames, write_video
from video.hdr import BT2020, HLG, LUMA_2020, PQ, TO_709, to_sdr

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
RATE = 44_100
FPS = Fraction(25)


def corners() -> np.ndarray:
    """A picture no two of whose eight orientations are alike."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48], picture[:32, 48:], picture[32:, :48] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return picture


def tone(seconds: float, rate: int, pitch: float = 300.0) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def sound(path: Path, channels: np.ndarray, rate: int, codec: str, start: float = 0.0) -> Path:
    """channels f32 [c, n]"""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = "mono" if len(channels) == 1 else "stereo"
        kind = "fltp" if codec in ("aac", "libvorbis") else "flt"
        packed = channels if kind == "fltp" else channels.T.reshape(1, -1)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(packed), format=kind, layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate), Fraction(1, rate)
        output.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def joint(tmp_path: Path, ending: str, codec: str) -> Path:
    """A second in stereo, then one in mono at another rate."""
    one = sound(tmp_path / f"one.{ending}", np.stack([tone(1, RATE)] * 2), RATE, codec)
    two = sound(tmp_path / f"two.{ending}", tone(1, 24_000, 500)[None], 24_000, codec)
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    return path


@pytest.mark.parametrize(("ending", "codec"), [("ogg", "libvorbis"), ("aac", "aac")])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_that_changes_midway_is_whole_and_in_sync(tmp_path: Path, ending: str, codec: str, suffix: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec} here")
    path = joint(tmp_path, ending, codec)
    given = read_sound(path).samples
    assert abs(given.size / 16_000 - 2) < 0.15  # with what AAC puts before each
    write_video(tmp_path / f"out{suffix}", iter([corners()] * 60), FPS, sound=path)
    found = read_sound(tmp_path / f"out{suffix}").samples
    assert abs(found.size - given.size) < 0.06 * 16_000
    assert delay(given[18_000:30_000], found[18_000:30_000]) <= 2  # samples, an eighth of a millisecond


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared")
@pytest.mark.parametrize(("name", "seconds"), [("chained.ogg", 1.6), ("joined.aac", 6.1), ("antiphase.wav", 1.6)])
def test_the_sounds_that_people_reported(tmp_path: Path, name: str, seconds: float) -> None:
    given = read_sound(CASES / name).samples
    assert abs(given.size / 16_000 - seconds) < 0.1 and np.abs(given).max() > 0.1
    write_video(tmp_path / "out.mp4", iter([corners()] * 160), FPS, sound=CASES / name)
    found, half = read_sound(tmp_path / "out.mp4").samples, given.size // 2
    assert delay(given[half : half + 9_000], found[half : half + 9_000]) <= 16  # a millisecond


def delay(one: np.ndarray, other: np.ndarray) -> int:
    size = 2 * min(one.size, other.size)
    places = np.fft.irfft(np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size)))
    return abs(int((places.argmax() + size // 2) % size - size // 2))


TURNS = {
    1: lambda x: x, 2: np.fliplr, 3: lambda x: x[::-1, ::-1], 4: np.flipud, 5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1), 7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: lambda x: np.rot90(x),
}  # fmt: skip
MATRICES = {  # a, b, c, d of x' = a x + c y, y' = b x + d y
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1), 5: (0, 1, 1, 0), 6: (0, 1, -1, 0),
    7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("orientation", TURNS)
def test_photographs_stand_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(corners()).save(path, exif=exif, quality=95)
    upright(path, orientation)


@pytest.mark.parametrize("orientation", MATRICES)
def test_videos_stand_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, iter([corners()] * 5), FPS)
    data = bytearray(path.read_bytes())
    a, b, c, d = MATRICES[orientation]
    matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 36] = matrix
    path.write_bytes(data)
    upright(path, orientation)


def upright(path: Path, orientation: int) -> None:
    wanted = TURNS[orientation](corners())
    info, found = probe(path), next(read_frames(path))
    assert (info.height, info.width) == wanted.shape[:2] == found.shape[:2]
    assert np.abs(found.astype(int) - wanted).mean() < 12  # the chroma of edges


def film(path: Path, *, tracks: tuple[np.ndarray, ...] = (), default: int = 0, start: float = 0.0) -> Path:
    """25 frames, and sounds at 16 kHz that begin `start` seconds after them."""
    with av.open(str(path), "w") as output:
        pictures = output.add_stream("libx264", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        streams = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in tracks]
        for number, stream in enumerate(streams):
            stream.disposition = Disposition.default if number == default else Disposition(0)
        for _ in range(25):
            output.mux(pictures.encode(VideoFrame.from_ndarray(corners(), format="rgb24")))
        output.mux(pictures.encode(None))
        for samples, stream in zip(tracks, streams, strict=True):
            frame = AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, round(start * 16_000), Fraction(1, 16_000)
            output.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize("start", [200_000.0, 601.0])
def test_sound_on_another_clock_begins_with_the_pictures(tmp_path: Path, start: float) -> None:
    path = film(tmp_path / "a.mkv", tracks=(tone(1, 16_000),), start=start)
    assert 0.9 < read_sound(path).seconds < 1.1
    write_video(tmp_path / "out.mkv", read_frames(path), FPS, sound=path)
    assert 0.9 < read_sound(tmp_path / "out.mkv").seconds < 1.1


def test_sound_that_is_only_late_stays_late(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", tracks=(tone(1, 16_000),), start=3.0)
    assert 3.9 < read_sound(path).seconds < 4.1


@pytest.mark.parametrize("default", [0, 1])
def test_the_default_sound_is_heard(tmp_path: Path, default: int) -> None:
    path = film(tmp_path / "a.mkv", tracks=(np.zeros(16_000, np.float32), tone(1, 16_000)), default=default)
    assert (np.abs(read_sound(path).samples).max() > 0.1) == (default == 1)


@pytest.mark.parametrize("first", [True, False])
def test_a_thumbnail_is_not_the_video(tmp_path: Path, first: bool) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        streams = {number: output.add_stream("libx264", rate=FPS) for number in ((1, 20) if first else (20, 1))}
        for stream in streams.values():
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.disposition = Disposition(0)
        for count, stream in streams.items():
            for _ in range(count):
                output.mux(stream.encode(VideoFrame.from_ndarray(corners(), format="rgb24")))
            output.mux(stream.encode(None))
    assert probe(path).frames == 20 and len(list(read_frames(path))) == 20


def test_channels_that_cancel(tmp_path: Path) -> None:
    left = tone(1, 16_000)
    path = sound(tmp_path / "a.wav", np.stack([0.5 * left, -0.52 * left]), 16_000, "pcm_f32le")
    assert np.abs(read_sound(path).samples).max() > 0.15
    path = sound(tmp_path / "b.wav", np.stack([left, np.zeros_like(left)]), 16_000, "pcm_f32le")
    assert 0.15 < np.abs(read_sound(path).samples).max() < 0.3  # mixed as ever


def test_samples_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    samples = tone(1, 16_000)
    samples[5_000:5_010] = np.nan, np.inf, -np.inf, *[np.nan] * 7
    path = sound(tmp_path / "a.wav", samples[None], 16_000, "pcm_f32le")
    found = read_sound(path).samples
    assert broken_samples(path) == 10
    wanted = np.where(np.isfinite(samples), samples, 0)
    assert np.abs(found - wanted).max() < 1e-3


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (999, 1), (2**31 - 1, 2), (16_000, 255)])
def test_sounds_that_no_recorder_makes_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    path = sound(tmp_path / "a.wav", tone(1, 16_000)[None], 16_000, "pcm_f32le")
    data = bytearray(path.read_bytes())
    place = data.index(b"fmt ") + 8
    data[place + 2 : place + 8] = channels.to_bytes(2, "little") + rate.to_bytes(4, "little")
    path.write_bytes(data)
    with fails(Unreadable, "a.wav"):
        read_sound(path)
    with fails(Unreadable, "a.wav"):
        write_video(tmp_path / "out.mp4", iter([corners()]), FPS, sound=path)


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{film}\n#EXT-X-ENDLIST\n",
    "b.mp4": "#EXTM3U\n#EXTINF:9,\n{film}\n#EXT-X-ENDLIST\n",
    "c.txt": "ffconcat version 1.0\nfile '{film}'\n",
    "d.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet'
             ' mimeType="video/mp4"><Representation id="1"><BaseURL>{film}</BaseURL></Representation></AdaptationSet>'
             "</Period></MPD>",
}  # fmt: skip


@pytest.mark.parametrize("name", PLAYLISTS)
def test_lists_of_other_files_are_no_media(tmp_path: Path, name: str) -> None:
    other = film(tmp_path / "film.mkv", tracks=(tone(1, 16_000),))
    (tmp_path / name).write_text(PLAYLISTS[name].format(film=other.name))
    for read in (probe, read_sound):
        with fails(Unreadable, name):
            read(tmp_path / name)


def stored(light: np.ndarray, transfer: int) -> np.ndarray:
    """Light (1 is SDR white) in BT.709 -> R'G'B' u16 as HLG or PQ stores it in BT.2020: the formulas of BT.2100."""
    light = light @ np.linalg.inv(TO_709).T
    if transfer == PQ:
        power = (203 * light / 10_000) ** (2610 / 16384)
        values = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    else:
        display = light * 203 / 1000
        luma = (display @ LUMA_2020)[..., None]
        scene = display * luma ** (1 / 1.2 - 1)
        upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        values = np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)
    return np.rint(65535 * np.clip(values, 0, 1)).astype(np.uint16)


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_hdr_is_seen_as_the_sdr_that_it_was_made_of(transfer: int) -> None:
    sdr = np.random.default_rng(0).integers(8, 240, (32, 32, 3))
    found = to_sdr(stored((sdr / 255) ** 2.4, transfer), transfer, BT2020)
    assert np.abs(found.astype(int) - sdr).max() <= 2
    bright = to_sdr(np.full((1, 1, 3), 65535, np.uint16), transfer, BT2020)
    assert bright.min() > 245


def test_wide_gamut_alone_is_mapped_too() -> None:
    grey = to_sdr(np.full((1, 1, 3), 30_000, np.uint16), 14, BT2020)
    assert np.abs(grey.astype(int) - round(30_000 / 65535 * 255)).max() <= 1


def cases() -> Iterator[Path]:
    yield from (path for path in sorted(CASES.glob("*")) if path.suffix in (".mp4", ".mkv", ".jpg"))


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared")
@pytest.mark.parametrize("path", list(cases()), ids=lambda path: path.name)
def test_the_cases_that_people_reported(path: Path) -> None:
    found = next(read_frames(path)).astype(int)
    if path.suffix != ".jpg":
        base = next(read_frames(CASES / "base.mp4")).astype(int)
        base = base[:, ::-1] if path.name == "hflip.mp4" else base
        assert np.abs(found - base).mean() < (4 if path.name == "hlg.mp4" else 2)
        assert probe(path).hdr == (path.name == "hlg.mp4")
