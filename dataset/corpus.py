"""What a folder of training data is, told by its shape (layout.py), so that nobody has to say."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from audio import Sound, sound_blocks
from core.errors import Mismatch, NoData

from .footage import Footage
from .layout import PACK, VIDEOS, layout_of
from .pack import Framing, PackClip, packed
from .splits import SPLITS
from .video_clip import VideoClip

NOTES = logging.getLogger(__name__)


def corpus(
    data: Path, size: int, framing: Framing = "box", *, to_train: bool = True
) -> Mapping[str, Sequence[Footage]]:
    """The footage of each split that has any, of faces size x size: split -> clips, in a fixed order.

    framing: how faces are cut; only a pack knows how to align them.  to_train: whether it must have what to train on.
    Nothing is decoded yet.  Raises BadInput if the data is of no known shape, has nothing to train on, or has been
    prepared for another size.
    """
    layout = layout_of(data)
    if framing != "box" and layout is not PACK:
        raise Mismatch(f"{data}: faces are to be aligned, which takes a pack; make one with scripts/pack_training.py")
    if layout is VIDEOS:  # which a folder of anything else that was not recognised would be, too
        NOTES.warning("%s: taken for videos of one face each, a folder a speaker; faces are looked for in each", data)
    splits = packed(data, size, framing) if layout is PACK else layout.read(data, size)
    if to_train and not splits.get("train"):
        raise NoData(f"{data}: has no clips to train on (split train); prepare some with python -m dataset.prepare")
    return {split: splits[split] for split in SPLITS if splits.get(split)}


def sound_of(clip: Footage) -> Sound:
    """What is heard in footage: the mel alone of what was prepared, the samples as well of what is a video."""
    if isinstance(clip, VideoClip):
        return Sound(clip.mel, partial(sound_blocks, clip.sound))
    if isinstance(clip, PackClip):
        return Sound(clip.mel, clip.samples)
    return Sound(clip.mel)
