"""The faces of one video, searched by several processes: each block by one, found by the others in the cache."""

import logging
import time
from collections.abc import Sequence

from core.arrays import Span
from face_detection import FaceFinder

from .chunks import neighbours

PATIENCE = 60.0  # seconds in which no other process finishes a block; then this one no longer counts on them
SLOWER = 3.0  # how much longer than this process's whole share another one's next block may take
PAUSE = 0.2  # seconds between two looks

_log = logging.getLogger(__name__)


def search_together(
    finder: FaceFinder, blocks: Sequence[Span], mine: Sequence[Span], *, patience: float = PATIENCE
) -> None:
    """Searches `mine` of the blocks, then waits until the others are in the cache.

    Nobody is waited for in vain: after a while without news it returns, and what is missing is searched by whoever asks
    for it.
    """
    since = time.monotonic()
    for run in neighbours(mine):
        finder.find(run[0][0], run[-1][1])
    now = time.monotonic()
    patience, since, left = max(patience, SLOWER * (now - since)), now, len(blocks)
    while missing := [block for block in blocks if finder.missing(*block)]:
        now = time.monotonic()
        if len(missing) < left:
            since, left = now, len(missing)
        elif now - since > patience:
            _log.warning("%s: the others' detections do not come; searching on alone", finder.info.path)
            return
        time.sleep(PAUSE)

