"""What a folder of training data is: prepared, VoxCeleb2 or LRW, told by its shape, so that nobody has to say."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from audio import Sound, sound_blocks
from core.errors import BadInput

from .footage import Footage
from .lrw import is_lrw, lrw
from .pack import Framing, PackClip, is_pack, packed
from .prepared import is_prepared, prepared
from .splits import SPLITS
from .video_clip import VideoClip
from .voxceleb2 import is_voxceleb2, voxceleb2


def corpus(data: Path, size: int, framing: Framing = "box") -> Mapping[str, Sequence[Footage]]:
    """The footage of each split that has any, of faces size x size: split -> clips, in a fixed order.

    framing: how faces are cut; only a pack knows how to align them.
    Nothing is decoded yet.  Raises BadInput if the folder is of no known shape, has nothing to train on, or has been
    prepared for another size.
    """
    found = _found(data, size, framing)
    if not found.get("train"):
        raise BadInput(f"{data}: has no clips to train on (split train); prepare some with python -m dataset.prepare")
    return {split: found[split] for split in SPLITS if found.get(split)}


def sound_of(clip: Footage) -> Sound:
    """What is heard in footage: the mel alone of what was prepared, the samples as well of what is a video."""
    if isinstance(clip, PackClip | VideoClip):
        return Sound(clip.mel, partial(sound_blocks, clip.path))
    return Sound(clip.mel)


def _found(data: Path, size: int, framing: Framing) -> Mapping[str, Sequence[Footage]]:
    if not data.is_dir():
        raise BadInput(f"{data}: no such folder; check the path of the data")
    if is_pack(data):
        return packed(data, size, framing)
    if framing != "box":
        raise BadInput(f"{data}: faces are to be aligned, which takes a pack; make one with scripts/pack_training.py")
    if is_prepared(data):
        return prepared(data, size)
    if is_voxceleb2(data):
        return voxceleb2(data, size)
    if is_lrw(data):
        return lrw(data, size)
    raise BadInput(
        f"{data}: no prepared clips, and neither VoxCeleb2 (id00012/VIDEO/00001.mp4) nor LRW"
        " (WORD/train/WORD_00001.mp4); prepare the videos with python -m dataset.prepare --videos"
    )
