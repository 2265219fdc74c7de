"""Which mouth the lips of a clip move around, guessed from one frame of it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class NeutralGuess(nn.Module):
    """The best linear guess of a clip's mean motion (Henderson 1975, BLUP): of what a frame is beside the mean of all,
    as much as clips differ by, of all that frames differ by.  [..., d] -> [..., d]
    """

    mean: Tensor   # [d] of all clips
    share: Tensor  # [d, d]

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("share", torch.eye(numbers))

    def forward(self, motion: Tensor) -> Tensor:
        guess: Tensor = self.mean + (motion - self.mean) @ self.share.T
        return guess

    @classmethod
    def fitted(cls, people: Mapping[str, Sequence[NDArray[np.float32]]]) -> "NeutralGuess":
        """Of the motion [n, d] of frames of clips, by who speaks; everybody counts alike.

        ValueError if there are fewer than two people of whom a clip has two frames.
        """
        clips = [[motion.astype(np.float64) for motion in own if len(motion) > 1] for own in people.values()]
        clips = [own for own in clips if own]
        if len(clips) < 2:
            raise ValueError(f"{len(clips)} people are too few")

        def average(values: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
            """Over clips."""
            return np.asarray(np.mean([np.mean([values(motion) for motion in own], axis=0) for own in clips], axis=0))

        mean = average(lambda motion: motion.mean(axis=0))
        frames = average(lambda motion: np.cov(motion.T))
        seen = average(lambda motion: np.outer(*2 * [motion.mean(axis=0) - mean]))
        blur = average(lambda motion: np.cov(motion.T) / len(motion))  # of a mean of so few frames
        sizes, axes = np.linalg.eigh(seen - blur)
        between = axes * np.maximum(sizes, 0) @ axes.T
        guess = cls(len(mean))
        guess.mean.copy_(torch.from_numpy(mean))
        guess.share.copy_(torch.from_numpy(between @ np.linalg.pinv(between + frames)))
        return guess
