"""A stream says what a file says: the same frames from pushed samples, as soon as its look-ahead is there."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from audio import read_sound
from core.errors import BadInput, NoFace
from guided_diffusion.engine.checkpoint import save_checkpoint
from lipsync import LipSync
from lipsync.streaming.live import RealClock, play
from lipsync.streaming.pacing import Pacer
from systems import registry
from tests.helpers import tiny_style
from tests.helpers.seeded import seeded
from tests.helpers.talking_head import PORTRAIT, picture, tone
from tests.helpers.tiny_syncdiff import MEL, PAPER
from video import write_picture

SETTINGS = {
    "device": "cpu", "precision": "fp32", "detector": "haar", "cache": None, "batch": 1,
}  # fmt: skip
BOX = {"box": (20.0, 170.0, 70.0, 180.0), "strict_pose": "force"}


def syncdiff(folder: Path, config: object = MEL) -> Path:
    with seeded():
        model = tiny_style.filled(registry.build("syncdiff", config))
    save_checkpoint(folder / "sync.safetensors", registry.describe("syncdiff", model, 1, model.state_dict()))
    return folder / "sync.safetensors"


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("still") / "face.png"
    write_picture(path, picture())
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> LipSync:
    return LipSync.from_pretrained(checkpoint, **SETTINGS)


def streamed(model: LipSync, face: Path, sound: Path, block: int = 320, **settings: object) -> list[np.ndarray]:
    """All frames, pushed in blocks, whose times are those of the frames."""
    found, samples = [], read_sound(sound).samples
    with model.stream(face, **settings) as stream:
        for start in range(0, len(samples), block):
            stream.push(samples[start : start + block])
            found += list(stream.ready())
        stream.finish()
        found += list(stream.ready())
    assert [time for _, time in found] == [float(k / stream.fps) for k in range(len(found))]
    return [frame for frame, _ in found]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["diff2lip", "syncdiff", "syncdiff on filter banks", "style"])
def test_a_stream_shows_what_a_file_shows(kind: str, checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    path = checkpoint
    if kind.startswith("syncdiff"):
        path = syncdiff(tmp_path, PAPER if "filter" in kind else MEL)
    elif kind == "style":
        path = tiny_style.save(tmp_path)
    model, lookahead = LipSync.from_pretrained(path, **SETTINGS), {"lookahead": 1.0} if kind == "style" else {}
    sound = tone(tmp_path / "words.wav", 1.3)  # longer than the video, which goes back
    shown = streamed(model, folder / "person.mp4", sound, **BOX, **lookahead)  # type: ignore[arg-type]
    whole = list(model.frames(folder / "person.mp4", sound, **BOX))
    assert len(shown) == len(whole) == 33 and shown[0].shape == (192, 256, 3)
    apart = max(int(np.abs(one.astype(int) - other).max()) for one, other in zip(shown, whole, strict=True))
    assert apart <= (1 if kind == "style" else 0)  # products of other sizes are rounded otherwise


@pytest.mark.slow
def test_frames_come_as_soon_as_their_look_ahead_is_there(model: LipSync, still: Path) -> None:
    stream = model.stream(still, **BOX)
    assert stream.size == (192, 256) and stream.lookahead == 0.2125 and stream.batch == 1
    stream.push(np.zeros(3399, np.float32))
    assert list(stream.ready()) == []
    stream.push(np.zeros(1, np.int16))
    assert [time for _, time in stream.ready()] == [0.0, 0.04]  # their windows are the same
    stream.push(np.zeros(16_000, np.float32))
    assert len(list(stream.ready())) == 25


@pytest.mark.slow
def test_frames_may_be_left_out_but_not_made_before_their_sound(model: LipSync, still: Path) -> None:
    stream = model.stream(still, **BOX)
    with pytest.raises(BadInput, match="cannot be made now"):
        stream.make([0])
    stream.push(read_sound(PORTRAIT.with_name("speech.flac")).samples[:16_000])
    stream.make([3])
    with pytest.raises(BadInput, match="cannot be made now"):
        stream.make([2])
    stream.make([9])
    assert next(stream.ready())[1] == 0.4


@pytest.mark.slow
def test_another_thread_may_push(model: LipSync, still: Path) -> None:
    stream = model.stream(still, **BOX)

    def speak() -> None:
        for _ in range(10):
            stream.push(np.zeros(800, np.float32))
        stream.finish()

    speaker = threading.Thread(target=speak)
    speaker.start()
    assert len(list(stream)) == 12  # of 0.5 s, to the nearest even
    speaker.join()


@pytest.mark.slow
def test_memory_is_that_of_the_seconds_that_are_held(model: LipSync, folder: Path) -> None:
    stream = model.stream(folder / "person.mp4", seconds=0.2, **BOX)
    stream.push(np.zeros(16_000, np.float32))
    stream.finish()
    plain = [frame[:10, :40].copy() for frame, _ in stream.ready()]
    assert len(stream._face.frames) == 5 and np.array_equal(plain[0], plain[8]) and np.array_equal(plain[3], plain[5])


@pytest.mark.slow
def test_other_rates_and_batches_work(model: LipSync, still: Path, tmp_path: Path) -> None:
    style = LipSync.from_pretrained(tiny_style.save(tmp_path), **SETTINGS)
    sound = tone(tmp_path / "words.wav", 0.7)
    assert len(streamed(style, still, sound, fps=30, **BOX)) == 21
    assert len(streamed(style, still, sound, batch=5, **BOX)) == 17


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"length": "video"}, "length: a stream has no end"),
        ({"silence": "close", "patch": True}, "silence, patch: a stream"),
        ({"seed": 3}, "seed: belongs to the loaded model"),
        ({"lookahaed": 1}, "unknown setting"),
        ({"seconds": 0}, "seconds 0: give how many"),
        ({"style_strength": 0.5}, "knows no style"),
        ({"style_video": "nobody.mp4"}, "nobody.mp4: no such file"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    model: LipSync, still: Path, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        model.stream(still, **settings)


def test_a_look_ahead_that_is_too_short_is_refused(still: Path, tmp_path: Path) -> None:
    style = LipSync.from_pretrained(tiny_style.save(tmp_path), **SETTINGS)
    with pytest.raises(BadInput, match=r"waits for 0\.173 s of sound or more"):
        style.stream(still, lookahead=0.1, **BOX)


@pytest.mark.slow
def test_a_picture_without_a_face_is_refused(model: LipSync, tmp_path: Path) -> None:
    write_picture(tmp_path / "wall.png", np.full((192, 256, 3), 90, np.uint8))
    with pytest.raises(NoFace, match=r"wall\.png"):
        model.stream(tmp_path / "wall.png")


@pytest.mark.slow
def test_a_stream_is_played_by_the_clock(model: LipSync, folder: Path) -> None:
    stream, found = model.stream(folder / "person.mp4", **BOX), []
    stream.push(read_sound(folder / "words.wav").samples)
    stream.finish()
    with RealClock.of(stream) as clock:
        pacer = Pacer(stream.fps, stream.batch)
        found = list(play(stream, clock, pacer))
    assert sum(len(packet.samples) for packet in found) == 16_000 and pacer.report.frames == 25
    assert pacer.report.shown == sum(packet.picture is not None for packet in found) > 0


@pytest.mark.slow
def test_whispers_windows_are_the_offline_ones_from_six_seconds_on() -> None:
    from audio import LiveSound, Sound
    from systems.style import LipMotion
    from tests.systems.style.test_whisper_ears import EARS

    with seeded():
        model = LipMotion(EARS).eval().requires_grad_(False)
        torch.nn.init.normal_(model.predictor.head[1].weight, std=0.5)
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000 * 9).astype(np.float32)
    whole = model.predictor.predict(model.hear(Sound(None, lambda: [samples]), [range(227)])(0, 227), None)  # type: ignore[arg-type]
    for seconds in (6.0, 0.5):
        live, sound, parts = model.live(None, 1.0, None, seconds), LiveSound(), []
        assert live.samples(0) / 16_000 == pytest.approx(seconds, abs=0.05)
        for start in range(0, len(samples), 640):
            sound.push(samples[start : start + 640])
            while live.samples(sum(map(len, parts))) <= sound.length:
                parts.append(live(sound))
        sound.end()
        while sum(map(len, parts)) < 225:
            parts.append(live(sound))
        made = torch.cat(parts)[:225]
        assert torch.isfinite(made).all()
        if seconds == 6.0:  # but for frames that see features of two windows
            for inside in (slice(0, 96), slice(104, 196), slice(204, 225)):
                assert float((made - whole[:225])[inside].abs().max()) < 1e-4


@pytest.mark.slow
def test_a_sound_that_is_pushed_at_once_is_said_from_its_beginning(model: LipSync, still: Path, tmp_path: Path) -> None:
    sound, few = tone(tmp_path / "words.wav", 18.0), {**BOX, "fps": 4}
    at_once = streamed(model, still, sound, block=10**7, **few)
    in_pieces = streamed(model, still, sound, block=16_000, **few)
    assert len(at_once) == 72 and all(map(np.array_equal, at_once, in_pieces))
