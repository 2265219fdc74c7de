"""AV-HuBERT's published weights, read as data: nothing in such a file is run."""

from pathlib import Path

from audio.avhubert import AvHubert, sound_path
from core.errors import BadInput, NotFound, Unreadable
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly

SITE = "https://facebookresearch.github.io/av_hubert"


def adopt_avhubert(model: AvHubert, path: Path, where: str) -> None:
    """The sound path of a published fairseq checkpoint becomes the model's; where: how to name it to the user.

    Raises BadInput if the file holds more than weights and plain settings, or does not fit.
    """
    if not path.is_file():
        raise NotFound(f"{where}: no such file; get AV-HuBERT Base, pre-trained, from {SITE}")
    try:
        weights = load_checkpoint(path).weights
    except BadInput as problem:
        raise Unreadable(
            f"{where}: cannot be read as weights alone, and nothing in it was run; if it is AV-HuBERT Base from {SITE},"
            " keep only its weights, where fairseq is installed and the file is trusted:"
            " torch.save({'model': torch.load(OLD, weights_only=False)['model']}, NEW)"
        ) from problem
    load_strictly(model, sound_path(weights), where)
