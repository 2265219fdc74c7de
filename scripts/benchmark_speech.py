"""Who tells speech from noise: the sound's energy, or silero-vad (--speech_detector).

    python scripts/benchmark_speech.py --data FOLDER [--noise 0 20 10 5] [--seed 0]

Every sound of a folder is heard between two stretches of noise alone, 3 s each, which goes on below it, at so many dB
below the sound's loudest 20 ms in twenty (0: no noise).  A table a level: of the stretches without words the share that
counts as speech, and of what energy calls speech in the sound as it is, the share that still does; milliseconds a
second of sound on one thread.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np

from audio import MEL_RATE, SAMPLE_RATE, Sound, Waveform, log_mel, read_sound
from audio.activity import HANGOVER, PRE_ROLL, Activity, speech_activity
from audio.silero import probabilities, silero_activity
from core.errors import NoData, NotFound
from core.flags import Parser
from core.guard import reads
from core.program import exit_code

ALONE = 3  # seconds of noise on either side
DETECTORS: dict[str, Callable[[Sound], Activity]] = {
    "energy": lambda sound: speech_activity(sound.mel), "silero": silero_activity,
}  # fmt: skip


def loudness(samples: np.ndarray) -> float:
    """The root mean square of the loudest twentieth of all 20 ms."""
    windows = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return float(np.sqrt(np.quantile(np.square(windows).mean(axis=1), 0.95)))


def figures(samples: np.ndarray, below: float, seed: int, detect: Callable[[Sound], Activity]) -> tuple[float, ...]:
    """(share of the noise alone that counts as speech, share of the speech that does, seconds a second of sound)."""
    truth = speech_activity(log_mel(Waveform(samples, SAMPLE_RATE))).speaking
    whole = np.pad(samples, ALONE * SAMPLE_RATE)
    if below:
        level = loudness(samples) * 10 ** (-below / 20)
        whole = whole + np.random.default_rng(seed).normal(0, level, len(whole))
    whole = whole.clip(-1, 1).astype(np.float32)
    sound = Sound(log_mel(Waveform(whole, SAMPLE_RATE)), lambda: [whole])
    begin = time.perf_counter()
    detected = detect(sound).speaking
    spent = (time.perf_counter() - begin) / sound.mel.seconds
    edge = ALONE * MEL_RATE
    early, late = edge - round((PRE_ROLL + 0.1) * MEL_RATE), edge + len(truth) + round((HANGOVER + 0.1) * MEL_RATE)
    alone = np.concatenate([detected[:early], detected[late:]])
    return float(alone.mean()), float(detected[edge : edge + len(truth)][truth].mean()), spent


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="a folder of sounds")
    parser.add_argument("--noise", type=float, nargs="+", default=[0, 20, 10, 5], help="dB below the speech")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise NotFound(f"--data {options.data}: no such folder; check the path")
    paths = [path for path in sorted(options.data.iterdir()) if path.suffix in (".wav", ".flac")]
    sounds = [read_sound(path).samples for path in paths]
    if not sounds:
        raise NoData(f"--data {options.data}: holds no .wav or .flac; name another folder")
    probabilities([np.zeros(512, np.float32)])  # loaded before anything is timed
    print(f"{len(sounds)} sounds, {sum(map(len, sounds)) / SAMPLE_RATE:.0f} s\n")
    print("| noise, dB below | detector | noise taken for speech | speech kept | ms a second |\n|---|---|---|---|---|")
    for below in options.noise:
        for name, detect in DETECTORS.items():
            wrong, recalled, spent = np.mean([figures(one, below, options.seed, detect) for one in sounds], axis=0)
            level = f"{below:g}" if below else "none"
            print(f"| {level} | {name} | {wrong:.0%} | {recalled:.0%} | {1000 * spent:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
