"""Teeth and lips as sharp as the person's own, and of their colour: from other frames whose mouth looks alike (ours).

A network paints a mouth softly, and of 128 pixels a side; the video shows the same mouth sharper and larger.  Of a few
frames those are taken whose mouths look most like the new one while both are blurred; optical flow moves them onto it,
and wherever they agree, what the blur took from them replaces the detail of the new one, and what their colour is more
than its colour, in the light of its frame, is added.  Which frames are taken depends on the new mouth alone, never on
the one that it hides.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import Picture, Pictures, largest_channel, smoothstep
from face_detection.displacing import displaced

Floats = npt.NDArray[np.float32]

FACE = 128                 # pixels of a face that the lengths below are told in
FINE, BROAD = 1.6, 7.0     # deviations of two blurs: detail is finer than both, colour and light are broader
ALIKE, UNLIKE = 7.0, 18.0  # levels by which what lies between may differ: up to the one all detail is taken, from the
                           # other none
ROWS, COLUMNS = (0.60, 0.95), (0.22, 0.78)  # of a face framed like VoxCeleb2's: where its mouth is, whatever it says
MATCHES = 2                # mouths that are moved onto a new one; in each place that counts most which agrees best
STEADY = 1.5               # deviation of the blur of a flow, pixels of the network
CONTRAST = 1.5             # of what optical flow is shown
TONE = 3.0                 # deviation of the blur of what is added to a colour
OWN, FOREIGN = 10.0, 24.0  # levels of colour that may be missing: up to the one all is added, from the other none
WIDE = 3.0                 # pixels: a deviation from which on a blur is one at half the size
THIRDS = np.full(3, 1 / 3, np.float32)
LIGHT_ROWS = 0.2, 0.45     # of a face, which are the original's: their mean colour is the light of a frame


@dataclass(frozen=True)
class _Mouth:
    """band f32 [m, n, 3]: what is compared, at the network's size; grey u8 [m, n]: the same for optical flow;
    colour f32 [m, n, 3]: the mouth without detail, less the light's; detail f32 [f m, f n, 3]."""

    band: Floats
    grey: Picture
    colour: Floats
    detail: Floats


class MouthDetail:
    """Mouths of one person to take detail from.

    faces u8 [k, f s, f s, 3] RGB, k at least 1: cut as the network's faces are, which are s x s, f times as large.
    """

    def __init__(self, faces: Pictures, size: int) -> None:
        self.size, self.factor = size, faces.shape[1] // size
        self.rows, self.columns = (slice(round(a * size), round(b * size)) for a, b in (ROWS, COLUMNS))
        self._window = _window(self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)
        self._mouths = [self._seen(face) for face in faces]
        self._greys = np.stack([_halved(mouth.grey, self._window) for mouth in self._mouths])

    def over(self, face: Picture, strength: float = 1.0) -> Picture:
        """A new face u8 [s, s, 3] -> u8 [f s, f s, 3], with detail; strength: 0 to 1, of what there is to take."""
        f = self.factor
        large: Picture = np.array(cv2.resize(face, None, fx=f, fy=f, interpolation=cv2.INTER_CUBIC), np.uint8)
        rows, columns = (slice(f * side.start, f * side.stop) for side in (self.rows, self.columns))
        band, grey, colour = self._compared(face)
        share, detail, tone = self._matched(band, grey, colour)
        place = large[rows, columns].astype(np.float32)
        weight = (strength * share)[..., None]
        changed = place + weight * (detail - _fine(large, rows, columns, FINE * f * self.size / FACE))
        changed += strength * tone
        large[rows, columns] = np.rint(np.clip(changed, 0, 255)).astype(np.uint8)
        return large

    def _seen(self, face: Picture) -> _Mouth:
        f = self.factor
        rows, columns = (slice(f * side.start, f * side.stop) for side in (self.rows, self.columns))
        small = np.asarray(cv2.resize(face, (self.size, self.size), interpolation=cv2.INTER_AREA), np.uint8)
        return _Mouth(*self._compared(small), _fine(face, rows, columns, FINE * f * self.size / FACE))

    def _compared(self, face: Picture) -> tuple[Floats, Picture, Floats]:
        """A face u8 [s, s, 3] -> its mouth's band, grey and colour."""
        light = face[slice(*(round(side * self.size) for side in LIGHT_ROWS)), self.columns].mean(axis=(0, 1))
        top = max(self.rows.start - round(3 * BROAD * self.size / FACE), 0)  # what is higher up, the blurs do not reach
        part, mouth = face[top:].astype(np.float32), (slice(self.rows.start - top, self.rows.stop - top), self.columns)
        fine, broad = (cv2.GaussianBlur(part, (0, 0), d * self.size / FACE)[mouth] for d in (FINE, BROAD))
        band = fine - broad
        grey = np.clip(CONTRAST * (band @ THIRDS) + 128, 0, 255).astype(np.uint8)
        return band, grey, np.asarray(fine - light, np.float32)

    def _matched(self, band: Floats, grey: Picture, colour: Floats) -> tuple[Floats, Floats, Floats]:
        """How much of the detail of other mouths is right in each place, f32 [f m, f n], and that detail; what is
        missing of their colour.

        A mouth counts the less the nearer it is to not being among the best, so that nothing jumps when one takes
        another's place.
        """
        f, (h, w) = self.factor, grey.shape
        matcher = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # a call's own: it is for one thread
        matcher.setFinestScale(0)
        unlike = np.abs(self._greys - _halved(grey, self._window)).sum(axis=(1, 2))
        order = np.argsort(unlike, kind="stable")
        least, most = unlike[order[0]], unlike[order[MATCHES]] if len(order) > MATCHES else np.inf
        share, total = np.zeros((f * h, f * w), np.float32), np.full((f * h, f * w), 1e-6, np.float32)
        detail = np.zeros((f * h, f * w, 3), np.float32)
        missing, alike = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)
        for number in order[:MATCHES]:
            mouth, near = self._mouths[number], 1.0
            if np.isfinite(most):
                near = float((most - unlike[number]) / max(most - least, 1e-6))
            flow = np.asarray(matcher.calc(grey, mouth.grey, np.empty(0)), np.float32)
            flow = np.asarray(cv2.GaussianBlur(flow, (0, 0), STEADY), np.float32)
            apart = largest_channel(np.abs(displaced(mouth.band, flow) - band))
            apart = np.asarray(cv2.GaussianBlur(apart, (0, 0), FINE * self.size / FACE), np.float32)
            agrees = smoothstep((UNLIKE - apart) / (UNLIKE - ALIKE)) * self._window
            lacking = displaced(mouth.colour, flow) - colour
            alike_here = near * agrees * np.clip((FOREIGN - largest_channel(np.abs(lacking))) / (FOREIGN - OWN), 0, 1)
            missing += alike_here[..., None] * lacking
            alike += alike_here
            agrees = np.asarray(cv2.resize(agrees, (f * w, f * h)), np.float32)
            counts = near * np.square(np.square(agrees))  # numpy's power of 4 takes 30 times as long
            large = np.asarray(cv2.resize(f * flow, (f * w, f * h)), np.float32)
            detail += counts[..., None] * displaced(mouth.detail, large)
            total += counts
            share = np.maximum(share, near * agrees)
        deviation = TONE * self.size / FACE
        tone = np.asarray(cv2.GaussianBlur(missing, (0, 0), deviation), np.float32)
        counted = np.asarray(cv2.GaussianBlur(alike, (0, 0), deviation), np.float32)
        tone *= (self._window / np.maximum(counted, 1))[..., None]
        tone = np.asarray(cv2.resize(tone, (f * w, f * h)), np.float32)
        return share, np.asarray(detail / total[..., None], np.float32), tone


def _fine(face: Picture, rows: slice, columns: slice, deviation: float) -> Floats:
    """What a blur takes from a part of a face, f32 [m, n, 3] levels."""
    edge = int(4 * deviation) + 1
    above, beside = (slice(max(side.start - edge, 0), side.stop + edge) for side in (rows, columns))
    part = face[above, beside].astype(np.float32)
    fine = part - _blurred(part, deviation)
    top, left = rows.start - above.start, columns.start - beside.start
    return np.asarray(fine[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start])


def _blurred(values: Floats, deviation: float) -> Floats:
    """A wide blur at half the size: a third of the time, and hardly anything else."""
    h, w = values.shape[:2]
    if deviation < WIDE:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), deviation), np.float32)
    half = cv2.resize(values, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(half, (0, 0), deviation / 2), (w, h)), np.float32)


def _halved(grey: Picture, window: Floats) -> Floats:
    """A mouth u8 [m, n] at half the size, what lies at its edge counting less."""
    half = grey.shape[1] // 2, grey.shape[0] // 2
    return np.asarray(cv2.resize(grey * window, half, interpolation=cv2.INTER_AREA), np.float32)


def _window(height: int, width: int) -> Floats:
    """f32 [height, width]: 1 in an ellipse, falling to 0 at its edge."""
    y, x = (np.abs((np.arange(side) + 0.5) / side * 2 - 1) for side in (height, width))
    return np.clip((1 - np.hypot(y[:, None], x)) / 0.25, 0, 1).astype(np.float32)
