"""What is known from sound: any file -> 16 kHz mono -> log-mel in the Wav2Lip convention, one window per video frame.

`whisper.py` hears the same samples as Whisper does, for speech features that carry over to unheard people.
`read_mel` streams: a file of any length becomes its mel (25.6 kB per second) and nothing else stays in memory.
Time begins at a file's first picture if it has moving pictures (as in `video`), else at its first sound.
"""

from audio.filterbank import BANK_RATE, ROW, FilterBanks, filterbanks_of, log_filterbanks, read_filterbanks
from audio.live import LiveSound
from audio.mel import HOP, LEAD, MEL_RATE, MELS, SILENCE, WINDOW, Mel, log_mel, mel_of, read_mel
from audio.sound import Sound, open_sound
from audio.waveform import (
    SAMPLE_RATE,
    Waveform,
    advanced,
    broken_samples,
    channel_blocks,
    louder_channel,
    read_sound,
    resampled,
    sound_blocks,
)

__all__ = [
    "BANK_RATE",
    "HOP",
    "LEAD",
    "MELS",
    "MEL_RATE",
    "ROW",
    "SAMPLE_RATE",
    "SILENCE",
    "WINDOW",
    "FilterBanks",
    "LiveSound",
    "Mel",
    "Sound",
    "Waveform",
    "advanced",
    "broken_samples",
    "channel_blocks",
    "filterbanks_of",
    "log_filterbanks",
    "log_mel",
    "louder_channel",
    "mel_of",
    "open_sound",
    "read_filterbanks",
    "read_mel",
    "read_sound",
    "resampled",
    "sound_blocks",
]
