"""What a frame of the result shows: itself, the frame before beside it, where it was changed, or the change alone."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from core.arrays import Picture
from face_detection import Box, Layer
from lipsync.settings import Settings

from .mark import Mark

TINT = np.array([255, 0, 200], np.float32)  # RGB of what was pasted, where the mask is shown


@dataclass(frozen=True)
class CompositedFrame:
    """One frame and what is laid over it: a layer for every face that speaks, and the boxes that these were cut by.

    scenes: of which face and shot each is; frames with the same one may steady each other.
    """

    picture: Picture
    layers: tuple[Layer, ...] = ()
    boxes: tuple[Box, ...] = ()
    scenes: tuple[tuple[int, ...], ...] = ()


View = Callable[[CompositedFrame], Picture]


def result(edit: CompositedFrame) -> Picture:
    """The finished frame, u8 [h, w, 3]; untouched where nobody speaks."""
    picture = edit.picture
    for layer in edit.layers:
        picture = layer.over(picture)
    return picture


def compare(edit: CompositedFrame) -> Picture:
    """Before, after: u8 [h, 2w, 3]."""
    return np.concatenate([edit.picture, result(edit)], axis=1)


def mask(edit: CompositedFrame) -> Picture:
    """The finished frame with what was pasted tinted, and a line around each face: u8 [h, w, 3]."""
    shown = result(edit).copy()
    for layer in edit.layers:
        patch = shown[layer.rows, layer.columns].astype(np.float32)
        shown[layer.rows, layer.columns] = np.rint(patch + (TINT - patch) * layer.opacity * 0.5).astype(np.uint8)
    width = max(1, round(max(shown.shape) / 400))
    for box in edit.boxes:
        middles = box.outline - (box.outline - box.centre) / [box.width, box.height] - 0.5  # of the outermost pixels
        corners = np.rint(middles).astype(np.int32)
        cv2.polylines(shown, [corners[:, None]], isClosed=True, color=(255, 255, 255), thickness=width)
    return shown


def patch(edit: CompositedFrame) -> Picture:
    """What is laid over the frame, alone: u8 [h, w, 4], straight alpha.  Of faces that overlap the last is on top."""
    height, width = edit.picture.shape[:2]
    alone = np.zeros((height, width, 4), np.uint8)
    for layer in edit.layers:
        drawn = layer.alone(height, width)
        alone = np.where(drawn[..., 3:] >= alone[..., 3:], drawn, alone)
    return alone


def view(settings: Settings) -> View:
    """The view that the settings ask for.  BadInput for a mark that cannot be drawn."""
    if settings.compare:
        return marked(compare, settings)
    if settings.debug_mask:
        return marked(mask, settings)
    return marked(patch if settings.patch else result, settings)


def marked(show: View, settings: Settings) -> View:
    """A view with the mark, if the settings ask for it.  BadInput for one that cannot be drawn."""
    if not settings.mark:
        return show
    mark = Mark(settings.mark_text)
    return lambda edit: mark.over(show(edit))
