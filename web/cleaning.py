"""What nobody needs any more is deleted, again and again, as long as a server runs."""

import asyncio
import sqlite3
import sys

from starlette.concurrency import run_in_threadpool

from web.files import Files

PAUSE = 60.0  # seconds between two looks for what is to be deleted


class Cleaning:
    """Deletes what was over `seconds` ago.

    problem: the sentence that says why the last time went wrong, without the server's paths; None if it went well.
    """

    def __init__(self, files: Files, seconds: float) -> None:
        self._files, self._seconds = files, seconds
        self.problem: str | None = None

    async def go_on(self) -> None:
        """Until it is cancelled; a problem goes to the server's output, and is tried again."""
        pause = min(PAUSE, self._seconds)
        while True:
            try:
                await run_in_threadpool(self._files.clean, self._seconds)
                self.problem = None
            except (OSError, sqlite3.Error) as problem:
                why = getattr(problem, "strerror", None) or problem
                self.problem = f"old files were not deleted ({why}); this is tried again every {pause:g} s"
                print(f"old files were not deleted: {problem}", file=sys.stderr)
            await asyncio.sleep(pause)
