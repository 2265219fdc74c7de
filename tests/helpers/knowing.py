"""A judge that knows the truth: pictures and sounds say which moment they are of."""

import torch
import torch.nn.functional as F
from torch import Tensor


class Knowing:
    """Embeds both sides as the moment they are of, read off the last pixel and the first mel band."""

    size = 32

    def embed_faces(self, faces: Tensor) -> Tensor:
        return _circle((faces[:, 0, 0, -1, -1] + 1) * 127.5)

    def embed_sound(self, speech: Tensor) -> Tensor:
        return _circle(speech[:, 0, 0] * 20 + 20)

    def sync_probability(self, faces: Tensor, speech: Tensor) -> Tensor:
        return (self.embed_faces(faces) * self.embed_sound(speech)).sum(dim=1)


def _circle(moment: Tensor) -> Tensor:
    """Moments of 20 apart are opposite."""
    angle = moment * torch.pi / 20
    return F.normalize(torch.stack([angle.cos(), angle.sin()], dim=1), dim=1)
