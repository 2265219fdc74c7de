"""Typed text that is said offline: what the voice promises, and the door that it is asked through."""

import io
import json
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from audio import read_sound
from core.errors import BadInput, BadValue, NoData
from tests.helpers.failing import check_error, fails
from tests.helpers.web_server import QUICK, ROOT, Server, ask, serving
from video import probe
from web.__main__ import main
from web.client import Client, Failed
from web.client import main as client_main
from web.espeak import LONGEST, PATIENCE, Voice, title

pytest_plugins = ("tests.helpers.web_fixtures",)
SPOKEN = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeakng-loader (GPL) is not installed")
WORDS = "Good morning. This is a voice that nobody has."


def heard(file: bytes) -> tuple[float, float]:
    """Seconds and loudest sample (0 to 1) of a WAV file, which is mono and of 16 bits."""
    with wave.open(io.BytesIO(file)) as sound:
        assert sound.getparams()[:3] == (1, 2, 22050)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    return len(samples) / 22050, float(np.abs(samples / 32768).max())


@SPOKEN
def test_a_text_becomes_sound_always_the_same() -> None:
    voice = Voice("en")
    said = voice.say(WORDS, 60)
    seconds, loudest = heard(said)
    assert 2 < seconds < 6 and 0.2 < loudest < 1
    assert voice.say(f" {WORDS}\r\n", 60) == said != Voice("de").say(WORDS, 60)
    assert heard(voice.say(f"{WORDS} {WORDS}", 60))[0] == pytest.approx(2 * seconds, rel=0.2)


@SPOKEN
@pytest.mark.parametrize(
    "text",
    ['<break time="99s"/> hi <audio src="/etc/passwd"/>', "[[h@l@U]] hi", "a\0b", "\ud800 hi", "\u202e hi \ufeff",
     "--language=xx; $(id) `id` %s%n", "\x01200V hi"],
)  # fmt: skip
@pytest.mark.slow
def test_markup_and_control_characters_do_nothing(text: str) -> None:
    seconds, loudest = heard(Voice().say(text, 20))
    assert 0.3 < seconds < 12 and 0.2 < loudest < 1
    assert Voice().say("\x0110S hi", 20) == Voice().say("10S hi", 20)  # would be slower


@pytest.mark.slow
@SPOKEN
@pytest.mark.parametrize("piece", ["word ", "9", "a", "\U0001f389", "\u6f22"])
def test_the_longest_text_takes_bounded_time_and_sound(piece: str) -> None:
    text, begun = (piece * LONGEST)[:LONGEST], time.monotonic()
    try:
        assert 10 < heard(Voice().say(text, 300))[0] < 300
    except BadInput as problem:
        assert "300 s" in str(problem)
    assert time.monotonic() - begun < PATIENCE / 2


@SPOKEN
def test_what_cannot_be_said_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with fails(NoData, "empty"):
        Voice().say(" \n\t\x07", 20)
    with fails(BadInput, f"{LONGEST + 1} characters", "shorten"):
        Voice().say("a" * (LONGEST + 1), 20)
    assert heard(Voice().say("a\r\n" * (LONGEST // 2), 900))[0] > 1  # a line's end is one character
    with fails(BadInput, "nothing", "type words"):
        Voice().say("...", 20)
    with fails(BadInput, "1.5 s", "shorten"):
        Voice().say(WORDS, 1.5)
    with fails(BadValue, "--voice espeak:xx", "pt-BR"):
        Voice.named("espeak:xx")


@SPOKEN
def test_it_is_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "web.espeak", "--language", "de"]
    with (tmp_path / "words.wav").open("wb") as file:
        subprocess.run(command, input=b"Guten Tag, wie geht es?", stdout=file, cwd=ROOT, check=True)
    assert 1 < read_sound(tmp_path / "words.wav").seconds < 4
    wrong = subprocess.run([*command, "--max_seconds", "nan"], input=b"a", capture_output=True, cwd=ROOT, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    check_error(wrong.stderr.decode(), "--max_seconds")


def test_a_server_without_the_package_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError('there is none')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    remedies = {"espeak": ("there is none", "-m pip install espeakng-loader"), "tone": ("espeak:LANGUAGE",)}
    for voice, names in remedies.items():
        assert main(["--voice", voice, "--port", "0", "--data", str(tmp_path / "data")]) == 2
        check_error(capsys.readouterr().err, f"--voice {voice}", *names)
    assert not (tmp_path / "data").exists()


def test_a_file_is_called_by_its_words() -> None:
    assert title("../../etc, <b>Hello</b>\n\u4f60\u597d") == "etc b Hello b \u4f60\u597d"
    assert title("...") == "text" and title("a" * 99) == "a" * 40
    assert title("one two three four five six seven eight nine") == "one two three four five six seven eight"


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """A server with a voice; files may last 20 s."""
    flags = ("--voice", "espeak", "--max_seconds", "20", "--max_upload", "2")
    with serving(tmp_path_factory.mktemp("speaking") / "data", model, *flags) as found:
        yield found


@SPOKEN
@pytest.mark.slow
def test_a_text_is_an_upload_of_its_visitor(speaking: Server) -> None:
    client = Client(speaking.url)
    found = client.speak(WORDS)
    assert found["name"] == "Good morning This is a voice that nobody.wav" and 2 < found["seconds"] < 6
    assert client.speak(WORDS)["id"] == found["id"]
    status, headers, body = ask(speaking, f"/uploads/{found['id']}")
    assert status == 200 and headers["content-type"].startswith("audio/") and heard(body)[1] > 0.2
    assert ask(speaking, f"/uploads/{found['id']}", cookie="visitor=somebody-else")[0] == 404
    assert json.loads(ask(speaking, "/limits")[2])["voice"] == {"language": "en", "characters": LONGEST}


@SPOKEN
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "name"),
    [("", "empty"), (" ", "empty"), ("a" * (LONGEST + 1), "shorten"), ("?!", "type words"), ("9" * LONGEST, "20 s")],
)
def test_a_text_that_cannot_be_said_is_answered_by_422(speaking: Server, text: str, name: str) -> None:
    with fails(Failed, name) as failed:
        Client(speaking.url).speak(text)
    assert failed.value.status == 422 and failed.value.exit_code == 2


@SPOKEN
@pytest.mark.slow
def test_the_client_has_a_text_said(
    speaking: Server, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person, result = str(inputs / "person.mp4"), str(tmp_path / "r.mp4")
    flags = ["--server", speaking.url, *(f"--set={name}={value}" for name, value in QUICK.items())]
    assert client_main([person, "--text", "Hello.", result, *flags]) == 0
    assert probe(tmp_path / "r.mp4").frames > 10
    for wrong in ([person, result], [person, str(inputs / "words.wav"), result, "--text", "Hello."]):
        assert client_main([*wrong, *flags]) == 2
        check_error(capsys.readouterr().err, "--text")


@pytest.mark.slow
def test_a_server_without_a_voice_says_so(server: Server) -> None:
    assert json.loads(ask(server, "/limits")[2])["voice"] is None
    with fails(Failed, "no voice", "--voice espeak") as failed:
        Client(server.url).speak(WORDS)
    assert failed.value.status == 404
    body = json.loads(ask(server, "/openapi.json")[2])["components"]["schemas"]["Body_speech_speech_post"]
    assert body["properties"]["text"]["maxLength"] == LONGEST


@SPOKEN
@pytest.mark.slow
def test_what_was_said_is_deleted_like_any_file(tmp_path: Path, model: Path) -> None:
    with serving(tmp_path / "data", model, "--voice", "espeak", "--keep_hours", "0.0008") as server:  # 2.9 s
        found = Client(server.url).speak("Hello.")["id"]
        end = time.monotonic() + 20
        while ask(server, f"/uploads/{found}")[0] == 200 and time.monotonic() < end:
            time.sleep(0.2)
        assert ask(server, f"/uploads/{found}")[0] == 404
        assert not list((tmp_path / "data" / "uploads").glob("*/*"))
