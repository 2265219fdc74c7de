"""The folder of a server:  queue.sqlite, lock, uploads/VISITOR/CONTENT.mp4, jobs/JOB/result.mp4, cache/ (detections).

Nobody but the user who runs the server may look into it.
"""

import hashlib
import json
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from core.errors import BadInput
from web.order import Order
from web.problems import Refused
from web.store import Store, StoredJob

REPORT = "report.json"  # written by a worker beside a video, after it
MOTION = "motion.npz"  # what the lips do, and a picture of it beside, if the model is told
BLOCK = 1 << 20  # bytes
ENDING = re.compile(r"\.[a-z0-9]{1,5}")


class Files:
    """What lies in `root`, which is made if it is not there.  BadInput if it cannot be.  made_by: as of `Store`."""

    def __init__(self, root: Path, made_by: str = "") -> None:
        self.root = root.absolute()
        try:
            for folder in (self.root, self.root / "uploads", self.root / "jobs", self.root / "cache"):
                folder.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as problem:
            raise BadInput(f"--data {root}: cannot be made ({problem.strerror}); choose another folder") from problem
        self.store = Store(self.root / "queue.sqlite", made_by)

    def close(self) -> None:
        """Ends the connection to the database."""
        self.store.close()

    def receive(self, owner: str, name: str, source: BinaryIO, limit: int) -> tuple[str, str, int]:
        """Keeps a file that a visitor sent: the id and ending that it got, and its size.

        The same content with the same ending is the same upload.  Refused (413) if it has more than `limit` bytes.
        """
        suffix = Path(name).suffix.lower()
        suffix = suffix if ENDING.fullmatch(suffix) else ""
        folder = self.root / "uploads" / owner
        folder.mkdir(exist_ok=True)
        temporary, digest, size = folder / f".{token_hex(8)}", hashlib.blake2b(suffix.encode(), digest_size=16), 0
        try:
            with temporary.open("wb") as file:
                while block := source.read(BLOCK):
                    size += len(block)
                    if size > limit:
                        raise Refused(413, f"{name}: has more than {limit / 2**20:g} MiB; send a smaller file")
                    digest.update(block)
                    file.write(block)
            kept = self._upload(owner, digest.hexdigest(), suffix)
            if not kept.exists():  # else its time of change stays, by which half-made results know it
                temporary.replace(kept)
        except OSError as problem:
            raise Refused(507, f"{name}: cannot be kept ({problem.strerror}); try again later") from problem
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest(), suffix, size

    def upload(self, owner: str, name: str) -> Path:
        """The file of an upload.  Refused (404) if there is none."""
        return self._upload(owner, name, self.store.upload(owner, name).suffix)

    def unknown(self, owner: str, name: str, suffix: str) -> Path:
        """The file of an upload that is not in the store yet."""
        return self._upload(owner, name, suffix)

    def folder(self, job: StoredJob) -> Path:
        """Where a job's results lie."""
        return self.root / "jobs" / job.id

    def result(self, job: StoredJob) -> Path:
        """The video, or the picture of a preview."""
        return self.folder(job) / f"result{job.order.suffix}"

    def curves(self, job: StoredJob) -> Path:
        """The picture of what the lips do; of a model that is not told there is none."""
        return (self.folder(job) / MOTION).with_suffix(".png")

    def order(self, job: StoredJob) -> dict[str, Any]:
        """What a worker is told to do."""
        self.folder(job).mkdir(exist_ok=True)
        (self.folder(job) / REPORT).unlink(missing_ok=True)
        return {
            "kind": job.kind, "given": dict(job.given), "folder": str(self.folder(job)),
            "files": {what: str(self.upload(job.owner, name)) for what, name in job.files.items()},
            "suffix": job.order.suffix, "moment": job.order.moment, "cache": str(self.root / "cache"),
        }  # fmt: skip

    def stream_order(self, owner: str, order: Order) -> dict[str, Any]:
        """What a worker is told of a stream, which leaves no files.  Refused (404) for an upload that is not there."""
        return {
            "kind": order.kind, "given": dict(order.given), "cache": str(self.root / "cache"),
            "files": {what: str(self.upload(owner, name)) for what, name in order.files.items()},
        }  # fmt: skip

    def finished(self, job: StoredJob) -> dict[str, Any] | None:
        """The report of a video that is whole; None if it is not, or only perhaps."""
        try:
            report = json.loads((self.folder(job) / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return dict(report) if job.kind == "video" and self.result(job).exists() else None

    def named(self, job: StoredJob, sentence: str) -> str:
        """A sentence of a worker in which the visitor's files are called as the visitor called them."""
        return self.without_paths(job.owner, job.order, sentence.replace(f"{self.folder(job)}/", ""))

    def without_paths(self, owner: str, order: Order, sentence: str) -> str:
        """The same of an order that is no job."""
        for name in order.files.values():
            with suppress(Refused):
                path, upload = self.upload(owner, name), self.store.upload(owner, name)
                sentence = sentence.replace(str(path), upload.name)
        return sentence.replace(f"{self.root}/", "")

    def remove(self, job: StoredJob) -> None:
        """Everything that was made for a job."""
        shutil.rmtree(self.folder(job), ignore_errors=True)

    def clean(self, seconds: float) -> None:
        """Deletes jobs that were over so long ago, the uploads and detections that nobody needs, and leftovers."""
        before = time.time() - seconds
        for job in self.store.old_jobs(before):
            self.store.remove_job(job.id)
            self.remove(job)
        for upload in self.store.drop_uploads(before):
            self._upload(upload.owner, upload.id, upload.suffix).unlink(missing_ok=True)
        for path in (*(self.root / "cache").glob("**/*"), *(self.root / "uploads").glob("*/.*")):
            with suppress(OSError):
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()
        folders = list((self.root / "jobs").iterdir())  # first: what is submitted from here on has no folder among them
        known = {job.id for job in self.store.jobs()}
        for folder in folders:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _upload(self, owner: str, name: str, suffix: str) -> Path:
        return self.root / "uploads" / owner / f"{name}{suffix}"
