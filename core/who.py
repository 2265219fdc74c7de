"""How a user says which face of a video is meant."""

import re
from typing import Literal

from core.errors import BadValue

FORMS = "largest, center, index:N or point:x,y[@seconds]"
NUMBER = r"-?\d+(?:\.\d*)?"
FARTHEST = 1e7  # pixels, seconds
POINT = re.compile(rf"point:({NUMBER}),({NUMBER})(?:@({NUMBER}))?")
Said = tuple[Literal["largest", "center", "index", "point"], int, tuple[float, float], float | None]
"""How, the number of index, the point of point, and its seconds."""


def check_face(text: str) -> Said:
    """What the words say.  BadValue if they are none of the four forms."""
    if text in ("largest", "center"):
        return ("largest" if text == "largest" else "center"), 0, (0.0, 0.0), None
    if match := re.fullmatch(r"index:(\d{1,9})", text):
        return "index", int(match[1]), (0.0, 0.0), None
    if match := POINT.fullmatch(text):
        x, y, seconds = (float(value or 0) for value in match.groups()[:3])
        if max(abs(x), abs(y), seconds) < FARTHEST:
            return "point", 0, (x, y), seconds if match[3] else None
    raise BadValue(f"--face {text[:60]}: choose {FORMS}; the video itself is passed with --video")
