"""From a video file to sightings, through the cache."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from face_detection.cache import SightingCache
from face_detection.detector import Detector
from face_detection.searching import BATCH, BLOCK, LONGEST, search
from face_detection.shots import FLASH
from face_detection.sightings import Sightings
from video import VideoInfo, read_frames


class FaceFinder:
    """Looks for faces in one video, a block of frames at a time, and in no block that was searched before."""

    def __init__(self, info: VideoInfo, detector: Detector, cache: Path | None, *, batch: int = BATCH) -> None:
        """cache: the folder in which sightings are kept, None for nowhere."""
        self.info = info
        self.detector = detector
        self.batch = batch
        self._cache = None if cache is None else SightingCache(cache, info.path, detector.name)
        self._known: dict[tuple[int, int], Sightings] = {}

    def blocks(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The blocks that hold frames start..stop-1, as half-open ranges; the last one ends with the video."""
        if not 0 <= start < stop <= self.info.frames:
            raise ValueError(f"frames {start}..{stop} are not in a video of {self.info.frames}")
        firsts = range(start - start % BLOCK, stop, BLOCK)
        return [(first, min(first + BLOCK, self.info.frames)) for first in firsts]

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The blocks of frames start..stop-1 that nobody has searched yet."""
        return [block for block in self.blocks(start, stop) if self._recall(block) is None]

    def find(self, start: int, stop: int, tick: Callable[[int], object] = lambda frames: None) -> Sightings:
        """The sightings of all blocks that hold frames start..stop-1.  tick is told of every few frames searched."""
        blocks = self.blocks(start, stop)
        missing = set(self.missing(start, stop))
        for wanted, run in groupby(blocks, key=lambda block: block in missing):
            if wanted:
                together = list(run)
                self._search(together[0][0], together[-1][1], tick)
        return Sightings.joined([self._known[block] for block in blocks])

    def _recall(self, block: tuple[int, int]) -> Sightings | None:
        if block not in self._known and self._cache is not None and (stored := self._cache.load(*block)):
            self._known[block] = stored
        return self._known.get(block)

    def _search(self, start: int, stop: int, tick: Callable[[int], object]) -> None:
        lead = min(start, FLASH + 1)
        frames = read_frames(self.info.path, start=start - lead, stop=stop, longest=LONGEST)
        before, size = [next(frames) for _ in range(lead)], (self.info.height, self.info.width)
        for block in search(frames, self.detector, start=start, before=before, batch=self.batch, size=size):
            self._known[block.start, block.stop] = block
            if self._cache is not None:
                self._cache.store(block)
            tick(block.stop - block.start)
