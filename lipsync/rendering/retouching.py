"""New faces are retouched before they are seen: restored by a network, and kept behind what is before the mouth.

Both happen within the layer that is laid over a frame, so what that leaves untouched stays so.  Each frame is judged
together with those around it, of the same face in the same shot: so it is a few frames behind what it is handed.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import cv2
import numpy as np

from face_detection import FFHQ_SIDE, Box, Layer, cut, ffhq_square, warped
from lipsync.onnx.face_occluder import FaceOccluder, Mask, shrunken
from lipsync.onnx.face_restorer import FaceRestorer

from .steadying import REACH, Floats, Residual, steady_correction, steady_mask
from .views import CompositedFrame, result

ROWS, COLUMNS = slice(208, 512), slice(32, 480)
"""The part of FFHQ's square in which a mouth is pasted, and some more; both sides are multiples of 16."""
EDGE = 16  # pixels of that part within which a correction fades to nothing at its upper end and its sides
MASKED = 256  # side of a mask, pixels

Watch = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Touch:
    """What the back ends say of one face in one frame; scene: of which face and shot it is."""

    scene: tuple[int, ...]
    hidden: Mask | None
    correction: Residual | None


@dataclass(frozen=True)
class Retoucher:
    """restorer, occluder: the networks, if any; strength: how much of a restoration is seen, 0 to 1."""

    restorer: FaceRestorer | None
    occluder: FaceOccluder | None
    strength: float = 1.0

    def __call__(
        self, frames: Iterator[CompositedFrame], watch: Watch, first: int = 0, stop: int | None = None
    ) -> Iterator[CompositedFrame]:
        """Consecutive frames, of which those from `first` to before `stop` come back; the others are seen alone.

        watch: told the stages "occlude" and "restore".  BadInput if a network gives what it should not.
        """
        for done, (frame, touches, at) in enumerate(self._windows(frames, watch)):
            if first <= done and (stop is None or done < stop):
                with watch("retouch"):
                    layers = tuple(self._retouched(frame, touches, at, place) for place in range(len(frame.layers)))
                yield replace(frame, layers=layers)

    def following(self) -> Callable[[int, CompositedFrame], CompositedFrame]:
        """For frames as they come, some of them left out: retouches one, which is judged with those before it alone.

        It is told the number of each, which rises, and the frame.  BadInput if a network gives what it should not.
        """
        before: deque[tuple[int, list[Touch]]] = deque(maxlen=REACH)

        def retouched(number: int, frame: CompositedFrame) -> CompositedFrame:
            own = [self._touch(frame, place, lambda _: nullcontext()) for place in range(len(frame.layers))]
            touches = [*(touch for at, touch in before if number - at <= REACH), own]
            before.append((number, own))
            layers = [self._retouched(frame, touches, len(touches) - 1, place) for place in range(len(frame.layers))]
            return replace(frame, layers=tuple(layers))

        return retouched

    def _windows(
        self, frames: Iterator[CompositedFrame], watch: Watch
    ) -> Iterator[tuple[CompositedFrame, list[list[Touch]], int]]:
        """Each frame, what is said of it and of up to REACH frames to both sides, and which of these is its own."""
        waiting: deque[CompositedFrame] = deque()
        touches: deque[list[Touch]] = deque(maxlen=2 * REACH + 1)
        for frame in frames:
            waiting.append(frame)
            touches.append([self._touch(frame, place, watch) for place in range(len(frame.layers))])
            if len(waiting) > REACH:
                yield waiting.popleft(), list(touches), len(touches) - 1 - REACH
        while waiting:
            at = len(touches) - len(waiting)
            yield waiting.popleft(), list(touches), at

    def _touch(self, frame: CompositedFrame, place: int, watch: Watch) -> Touch:
        """What is said of one face of a frame."""
        square = ffhq_square(frame.boxes[place])
        hidden = correction = None
        if self.occluder is not None:
            with watch("occlude"):
                hidden = shrunken(self.occluder.hidden(cut(frame.picture, square, self.occluder.side)), MASKED)
        if self.restorer is not None:
            with watch("restore"):
                face = cut(result(frame), square, FFHQ_SIDE)
                change = self.restorer.change(face)[ROWS, COLUMNS]
                correction = Residual.of(change, face[ROWS, COLUMNS])
        return Touch(frame.scenes[place], hidden, correction)

    def _retouched(self, frame: CompositedFrame, touches: Sequence[list[Touch]], at: int, place: int) -> Layer:
        """One layer of a frame, by what was said of the same face around it."""
        layer, box, scene = frame.layers[place], frame.boxes[place], frame.scenes[place]
        if not layer.opacity.size:
            return layer
        own = [next((touch for touch in some if touch.scene == scene), None) for some in touches]
        change = steady_correction([None if touch is None else touch.correction for touch in own], at)
        if change is not None:
            layer = _corrected(layer, box, self.strength * change)
        hidden = steady_mask([None if touch is None else touch.hidden for touch in own], at)
        return layer if hidden is None else _behind(layer, box, hidden)


def _corrected(layer: Layer, box: Box, change: Floats) -> Layer:
    """The layer with a correction f32 of the part ROWS, COLUMNS of the square around its face."""
    change = change * _inside()[..., None]
    added = warped(change, ffhq_square(box), (ROWS.start, COLUMNS.start), layer.rows, layer.columns)
    colours = np.rint(np.clip(layer.colours + added, 0, 255)).astype(np.uint8)
    return replace(layer, colours=colours)


def _behind(layer: Layer, box: Box, hidden: Floats) -> Layer:
    """The layer with nothing where something is before it: hidden f32 [256, 256] of the square, 1 where all is."""
    large = cv2.resize(hidden, (FFHQ_SIDE, FFHQ_SIDE), interpolation=cv2.INTER_LINEAR)
    visible = 1 - warped(np.asarray(large, np.float32), ffhq_square(box), (0, 0), layer.rows, layer.columns)
    visible[visible < ROUNDING] = 0
    return replace(layer, opacity=layer.opacity * visible[..., None])


ROUNDING = 1e-3  # of a resampled mask that is 1


def _inside() -> Floats:
    """f32 [304, 448]: 1, but towards the upper end and the sides of the part, where it falls to 0."""
    height, width = ROWS.stop - ROWS.start, COLUMNS.stop - COLUMNS.start
    rows = np.minimum((np.arange(height) + 0.5) / EDGE, 1)
    columns = np.minimum(np.minimum(np.arange(width) + 0.5, width - np.arange(width) - 0.5) / EDGE, 1)
    return np.asarray(np.minimum.outer(rows, columns), np.float32)
