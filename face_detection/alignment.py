"""Faces in one pose: the similarity that brings what is rigid about a face to where a fixed template has it.

Eyes and nose say where a face is, how large, and how it is tilted; the mouth has no say: speaking moves nothing.  The
template is the mean of 89 people's faces framed like VoxCeleb2's, made symmetric (generalised Procrustes analysis,
Gower 1975; every person by the root of their frames), so that aligned crops and boxed ones show the same on average.
All our choice.
"""

import numpy as np
import numpy.typing as npt

from face_detection.box import Box
from face_detection.smoothing import local_line, running_median

Floats = npt.NDArray[np.float32]
Complexes = npt.NDArray[np.complex128]

# Numbers of MediaPipe's 478 points: where the template has them, x and y in widths of the crop.
TEMPLATE = {
    33: (0.2363, 0.5536), 133: (0.3982, 0.5633),  # the corners of the eye on the picture's left
    362: (0.6018, 0.5633), 263: (0.7637, 0.5536),  # and on its right
    168: (0.5, 0.5351), 4: (0.5, 0.7466), 2: (0.5, 0.8277),  # the nose: bridge, tip, base
    61: (0.3514, 0.9765), 291: (0.6486, 0.9765),  # the corners of the mouth, which do not align
}  # fmt: skip
POINTS = tuple(TEMPLATE)
RIGID = 7  # of them, the first
MIRRORED = (3, 2, 1, 0, 4, 5, 6, 8, 7)  # which point each one is in a mirror
TALL = 158 / 124  # height of a crop in widths: that of `voxceleb2_box`


def aligned_boxes(points: Floats) -> npt.NDArray[np.float64]:
    """Points f32 [n, 9, 2] of faces, pixels -> f64 [n, 4]: centre x and y, width, angle of each face's box.

    The least-squares similarity of the rigid points.  NaN where a point is.
    """
    centre, turned, _ = fitted(points)
    origin = centre + turned * (0.5 + 0.5j * TALL - _rigid_template().mean())
    return np.stack([origin.real, origin.imag, abs(turned), np.degrees(np.angle(turned))], axis=1)


def fitted(points: Floats) -> tuple[Complexes, Complexes, Complexes]:
    """The similarity from the template to the rigid points of each face, points f32 [n, 9, 2] in pixels, as complex
    numbers: their centre [n], what the template is turned and scaled by [n], and the points around the centre [n, 7].
    """
    target = _rigid_template() - _rigid_template().mean()
    complex_points = points[:, :RIGID].astype(np.float64) @ [1, 1j]
    centre = complex_points.mean(axis=1)
    around = complex_points - centre[:, None]
    return centre, (target.conj() * around).sum(axis=1) / (abs(target) ** 2).sum(), around


def _rigid_template() -> Complexes:
    return np.asarray(np.array(list(TEMPLATE.values()))[:RIGID] @ [1, 1j])


def aligned_box(row: npt.NDArray[np.floating]) -> Box:
    """A row of `aligned_boxes` as a box."""
    x, y, width, angle = (float(value) for value in row)
    return Box.centred(x, y, width, width * TALL, angle)


def steadied(rows: npt.NDArray[np.float64], pace: float = 1.0) -> npt.NDArray[np.float64]:
    """Rows of `aligned_boxes` of consecutive frames, without NaN, less trembling; what moves does not lag.

    A running median of 5, then a Gaussian-weighted line fit.  pace: frames a second / 25.
    """
    angles = np.degrees(np.unwrap(np.radians(rows[:, 3:]), axis=0))
    values = running_median(np.concatenate([rows[:, :2], np.log(rows[:, 2:3]), angles], axis=1))
    place, size = local_line(values[:, :2], PLACE * pace), local_line(values[:, 2:], SIZE * pace)
    return np.concatenate([place, np.exp(size[:, :1]), size[:, 1:]], axis=1)


PLACE, SIZE = 1.0, 3.0  # deviations of the Gaussians, frames of 25 a second: of the centre; of width and angle
