"""A voice for typed text, offline: eSpeak NG's, which is a robot's.

    echo "What shall be said." | python -m web.espeak --language en > words.wav

eSpeak NG is under the GPL, version 3 or later, and keeps its state in globals.  So it is loaded in a process of its
own, this program, which says one text and ends.  It comes with the package espeakng-loader, which nothing else needs.
A fresh process has the same random numbers: the same text is the same samples.
"""

import ctypes
import io
import subprocess
import sys
import threading
import unicodedata
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput, BadValue, NoData, NotFound
from core.flags import Parser
from core.program import exit_code

ROOT = Path(__file__).parents[1]
LONGEST = 1000  # characters of a text
PATIENCE = 30.0  # seconds after which a text is given up
BYTES = 44_100  # of a second of sound: 22 050 samples of two
SYNCHRONOUS, DONT_EXIT, UTF8 = 2, 0x8000, 1  # of speak_lib.h
REMEDY = f"run {sys.executable} -m pip install espeakng-loader"
_turn = threading.Lock()


@dataclass(frozen=True)
class Voice:
    """eSpeak NG's voice of a language, by its name of it (en, en-us, de, cmn)."""

    language: str = "en"

    @classmethod
    def named(cls, name: str) -> "Voice":
        """That of `espeak` or `espeak:LANGUAGE`, which has said something.  BadInput if there is no such voice."""
        kind, _, language = name.partition(":")
        if kind != "espeak":
            raise BadValue(f"--voice {name}: there is no such voice; pass espeak, or espeak:LANGUAGE")
        voice = cls(language or "en")
        try:
            voice.say("1", 60)
        except BadInput as problem:
            raise BadValue(f"--voice {name}: {problem}") from problem
        return voice

    def say(self, text: str, seconds: float) -> bytes:
        """A text as a WAV file: mono, 16 bits, 22 050 samples per second.

        Markup is read out, control characters are spaces.  One text at a time is said, in a process of its own.
        Raises BadInput for a text that is empty, has more than `LONGEST` characters, lasts longer than `seconds`, or
        has nothing in it that can be said.
        """
        plain = _plain(text)
        if not plain:
            raise NoData("the text is empty; type what shall be said")
        if len(plain) > LONGEST:
            raise BadInput(f"the text has {len(plain)} characters, and may have {LONGEST}; shorten it")
        command = [sys.executable, "-m", "web.espeak", f"--language={self.language}", f"--max_seconds={seconds}"]
        try:
            with _turn:
                ended = subprocess.run(command, input=plain.encode(), capture_output=True, cwd=ROOT, timeout=PATIENCE)
        except subprocess.TimeoutExpired as problem:
            raise BadInput(f"the text was not said within {PATIENCE:g} s; shorten it") from problem
        if ended.returncode == 0:
            return ended.stdout
        last = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        if ended.returncode == 2 and last.startswith("error: "):
            raise BadInput(last.removeprefix("error: "))
        raise BadInput("eSpeak NG breaks off at this text; say it in other words")


def title(text: str) -> str:
    """A name for a file of it: its first words, letters and digits alone."""
    words = "".join(letter if letter.isalnum() else " " for letter in text[:200]).split()
    name = ""
    for word in words:
        if name and len(name) + len(word) >= 40:
            break
        name = f"{name} {word}".strip()
    return name[:40] or "text"


def speak(text: str, language: str, seconds: float) -> bytes:
    """Says a text in this process, which should say no other; the WAV file.  BadInput, see `Voice.say`."""
    try:
        import espeakng_loader

        library, data = ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path()
    except (ImportError, OSError, RuntimeError) as problem:
        raise NotFound(f"eSpeak NG is not installed, or not for this machine ({problem}); {REMEDY}") from problem
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DONT_EXIT)
    if rate <= 0:
        raise NotFound(f"{data}: the data of eSpeak NG cannot be read; {REMEDY} --force-reinstall")
    if library.espeak_SetVoiceByName(language.encode()):
        known = sorted(path.name for path in Path(data, "lang").rglob("*") if path.is_file())
        raise BadValue(f"eSpeak NG does not know the language {language!r}; choose one of {', '.join(known)}")
    said, most = bytearray(), round(seconds * rate) * 2

    def hear(samples: int | None, count: int, events: int | None) -> int:
        if samples and count > 0:
            said.extend(ctypes.string_at(samples, 2 * count))
        return int(len(said) > most)  # 1: no more

    heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(hear)
    library.espeak_SetSynthCallback(heard)
    library.espeak_Synth.argtypes = (
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p,
        ctypes.c_void_p,
    )  # fmt: skip
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, UTF8, None, None)
    if len(said) > most:
        raise BadInput(f"the text takes longer than {seconds:g} s to say; shorten it")
    if not any(said):
        raise NoData("there is nothing in the text that can be said; type words")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(said)
    return file.getvalue()


def main(args: Sequence[str] | None = None) -> int:
    """What `python -m web.espeak` does.  Returns the exit code."""
    parser = Parser("Says the text of its standard input, by eSpeak NG; writes a WAV file to its standard output.",
                    prog="python -m web.espeak")  # fmt: skip
    parser.add_argument("--language", default="en", metavar="NAME", help="as eSpeak NG calls it (%(default)s)")
    parser.add_argument("--max_seconds", type=float, default=600, metavar="S", help="of sound (%(default)g)")
    options = parser.parse_args(args)

    def run() -> None:
        if sys.stdout.isatty():
            raise BadInput("the sound would be written to this terminal; end the command with > words.wav")
        if not 0 < options.max_seconds < 1e6:
            raise BadValue(f"--max_seconds {options.max_seconds:g}: give a number above 0")
        text = _plain(sys.stdin.buffer.read().decode(errors="replace"))
        sys.stdout.buffer.write(speak(text, options.language, options.max_seconds))

    return exit_code(run)


def _plain(text: str) -> str:
    """Without control characters, by which eSpeak NG can be told to change its voice, and halves of characters."""
    lines = text.replace("\r\n", "\n")  # as forms of browsers have them
    return "".join(" " if unicodedata.category(one) in ("Cc", "Cs") and one != "\n" else one for one in lines).strip()


if __name__ == "__main__":
    sys.exit(main())
