"""High dynamic range and wide gamut -> what the networks and every player of the result expect: BT.709, SDR.

HLG and PQ as ITU-R BT.2100, with diffuse white where BT.2408 has it: 203 cd/m2, 75 % of HLG.  What is brighter is
rolled off above 90 % of white; BT.2020 becomes BT.709 by the matrix of BT.2087, and what lies outside is clipped.
"""

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18  # of FFmpeg's AVColorTransferCharacteristic
BT2020 = 9        # of its AVColorPrimaries
WHITE, PEAK = 203.0, 1000.0  # cd/m2
SYSTEM_GAMMA = 1.2  # of HLG on a display of 1000 cd/m2
KNEE = 0.9
LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # BT.2087

Floats = NDArray[np.float32]


def is_hdr(transfer: int, primaries: int) -> bool:
    """Whether pictures with these tags must be mapped to be seen as BT.709."""
    return transfer in (PQ, HLG) or primaries == BT2020


def to_sdr(picture: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """R'G'B' u16 [h, w, 3] of full range, as stored -> u8 [h, w, 3], BT.709."""
    values: Floats = np.divide(picture, 65535, dtype=np.float32)
    if transfer == PQ:
        linear = _pq(values) / WHITE
    elif transfer == HLG:
        scene = _hlg(values)
        luma = np.maximum(scene @ LUMA_2020, 1e-6)[..., None]
        linear = PEAK / WHITE * luma ** (SYSTEM_GAMMA - 1) * scene
    else:
        linear = values**2.4
    if primaries == BT2020:
        linear = linear @ TO_709.T
    linear = _rolled_off(np.maximum(linear, 0)) if transfer in (PQ, HLG) else linear
    return np.asarray(np.rint(255 * np.clip(linear, 0, 1) ** (1 / 2.4)), np.uint8)  # BT.1886


def _pq(values: Floats) -> Floats:
    """cd/m2 (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = values ** (1 / m2)
    return np.asarray(1e4 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1), np.float32)


def _hlg(values: Floats) -> Floats:
    """Light of the scene, 0 to 1 (ARIB STD-B67)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)


def _rolled_off(linear: Floats) -> Floats:
    """Up to the knee as it is; above it the brightest channel nears white, and the others with it."""
    top = linear.max(axis=-1, keepdims=True)
    over = np.maximum(top - KNEE, 0) / (1 - KNEE)
    wanted = KNEE + (1 - KNEE) * over / (1 + over)
    return np.where(top > KNEE, linear * wanted / np.maximum(top, 1e-6), linear)
