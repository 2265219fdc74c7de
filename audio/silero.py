"""When somebody speaks, by silero-vad (MIT): a small network that tells speech from any other sound, noise included.

Its weights lie in its wheel and run through onnxruntime.  The package itself is not imported: it would set torch's
number of threads for the whole process.  Every 32 ms are judged, knowing what was heard before.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from audio.activity import Activity, Series, settled
from audio.mel import MEL_RATE
from audio.sound import Sound
from audio.waveform import SAMPLE_RATE
from core.errors import NotFound

FRAME, BEFORE = 512, 64  # samples that are judged at once, and of those before them that are looked at
STATE = (1, 1, 128)
AT_ONCE = 512  # frames in a call, 16 s
BEGINS, ENDS = 0.5, 0.35  # probabilities from which on, and below which no more, it is speech (as the package has them)
WEIGHTS = "silero_vad_16k_sequence.onnx"
REMEDY = "pip install -r requirements-silero.txt, or use --speech_detector energy"


def silero_activity(sound: Sound) -> Activity:
    """When somebody speaks in a sound.  NotFound if a package is missing, Mismatch if only the mel was kept."""
    likely = probabilities(sound.blocks())
    speech, speaking = np.zeros(len(likely), bool), False
    for place, probability in enumerate(likely):
        speaking = probability >= (ENDS if speaking else BEGINS)
        speech[place] = speaking
    centres = np.arange(len(sound.mel.columns)) * (SAMPLE_RATE // MEL_RATE) // FRAME
    inside = centres < len(speech)
    columns = np.zeros(len(centres), bool)
    columns[inside] = speech[centres[inside]]
    return settled(columns)


def probabilities(blocks: Iterable[np.ndarray]) -> Series:
    """f32 [n]: how likely each 32 ms of samples f32 [-1, 1] at 16 kHz are speech; the last ones are filled up."""
    session, hidden, cell = _session(), np.zeros(STATE, np.float32), np.zeros(STATE, np.float32)
    before, probability_blocks = np.zeros(BEFORE, np.float32), [np.zeros(0, np.float32)]
    for frames in _frames(blocks):
        heads = np.concatenate([before[None], frames[:-1, -BEFORE:]])
        before = frames[-1, -BEFORE:]
        probability, hidden, cell = session.run(
            ["speech_probs", "hn", "cn"], {"input": np.concatenate([heads, frames], axis=1), "h": hidden, "c": cell}
        )
        probability_blocks.append(probability)
    return np.concatenate(probability_blocks)


def _frames(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """f32 [n, 512], at most AT_ONCE of them; silence behind the end."""
    waiting, size = np.zeros(0, np.float32), AT_ONCE * FRAME
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= size:
            yield waiting[:size].reshape(-1, FRAME)
            waiting = waiting[size:]
    if len(waiting):
        yield np.pad(waiting, (0, -len(waiting) % FRAME)).reshape(-1, FRAME)


@cache
def _session() -> Any:
    """onnxruntime on the network, by one thread: the same probabilities anywhere."""
    try:
        import onnxruntime
    except ImportError as problem:
        raise NotFound(f"--speech_detector silero: needs onnxruntime, which is not installed; {REMEDY}") from problem
    package = find_spec("silero_vad")
    file = None if package is None or package.origin is None else Path(package.origin).parent / "data" / WEIGHTS
    if file is None or not file.exists():
        raise NotFound(f"--speech_detector silero: needs silero-vad from 6.2.3 on, which is not installed; {REMEDY}")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
