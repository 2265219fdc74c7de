"""Uploads and jobs, in SQLite: what is written here survives a restart, a crash and kill -9.

    queued -> running -> done | failed | cancelled

A job that was running when the server ended is queued again at the next start; one that this version would not take any
more has failed then.  One connection, used under a lock: a transaction takes well under a millisecond, and the server
has few threads.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.errors import BadInput
from web.order import Order
from web.problems import Refused, told

SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    owner TEXT, id TEXT, name TEXT, suffix TEXT, size INTEGER, about TEXT, sent REAL, PRIMARY KEY (owner, id));
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT, kind TEXT, files TEXT, given TEXT, status TEXT, queued REAL, started REAL,
    finished REAL, starts INTEGER DEFAULT 0, report TEXT, problem TEXT, notes TEXT DEFAULT '[]', made_by TEXT);
CREATE INDEX IF NOT EXISTS waiting ON jobs (status, queued);
"""
STARTS = 3  # of a job whose worker ended without a word each time


@dataclass(frozen=True)
class Upload:
    """A file that a visitor sent.  about: what `web.worker` saw in it (picture, seconds, height, width)."""

    owner: str
    id: str
    name: str
    suffix: str
    size: int
    about: Mapping[str, Any]


@dataclass(frozen=True)
class StoredJob:
    """A row of the queue, as it was ordered; times in seconds since 1970."""

    id: str
    owner: str
    kind: str
    files: Mapping[str, str]
    given: Mapping[str, str]
    status: str
    queued: float
    started: float | None
    finished: float | None
    starts: int
    report: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    notes: Sequence[str]

    @cached_property
    def order(self) -> Order:
        """What was ordered.  BadInput where an older version took it and this one does not: such a job has failed."""
        return Order(self.kind, self.files, self.given)

    @property
    def over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in ("done", "failed", "cancelled")


class Store:
    """The database in `path`, which is made if it is not there.

    made_by: the model and networks of now (`web.networks.stamp`); what others made is no result of theirs.
    """

    def __init__(self, path: Path, made_by: str = "") -> None:
        self._lock, self._made_by = threading.RLock(), made_by
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._base.row_factory = sqlite3.Row
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")  # an answered request survives a power failure as well
        self._base.executescript(SCHEMA)
        columns = {row["name"] for row in self._base.execute("PRAGMA table_info(jobs)")}
        if "made_by" not in columns:  # of an older version
            self._base.execute("ALTER TABLE jobs ADD COLUMN made_by TEXT")

    def close(self) -> None:
        """Ends the connection."""
        with self._lock:
            self._base.close()

    def add_upload(self, upload: Upload) -> None:
        """Once for each content and owner."""
        with self._transaction() as base:
            base.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)",
                (upload.owner, upload.id, upload.name, upload.suffix, upload.size, json.dumps(dict(upload.about)),
                 time.time()),
            )  # fmt: skip

    def upload(self, owner: str, name: str) -> Upload:
        """Refused (404) if this visitor has sent no such file, or it was deleted."""
        with self._transaction() as base:
            row = base.execute("SELECT * FROM uploads WHERE owner = ? AND id = ?", (owner, name)).fetchone()
        if row is None:
            raise Refused(404, f"there is no upload {name[:40]} of yours; send the file again")
        return _upload(row)

    @property
    def stored(self) -> int:
        """Bytes of all uploads."""
        with self._transaction() as base:
            return int(base.execute("SELECT COALESCE(SUM(size), 0) FROM uploads").fetchone()[0])

    def submit(self, owner: str, order: Order, longest_queue: int) -> tuple[StoredJob, bool]:
        """The job of this order, and whether it is new; one that failed or was cancelled is queued again.

        Refused if an upload is not there (404), or the queue is full (429).
        """
        name = order.identity(owner, self._made_by)
        with self._transaction() as base:
            for upload in order.files.values():
                self.upload(owner, upload)
            row = base.execute("SELECT * FROM jobs WHERE id = ?", (name,)).fetchone()
            if row is not None and (
                row["status"] in ("queued", "running") or (row["status"], row["made_by"]) == ("done", self._made_by)
            ):
                return _job(row), False
            if self.waiting(order.kind) >= longest_queue:
                seconds = self.seconds_to_wait(order.kind)
                raise Refused(
                    429, f"the queue is full ({longest_queue} wait); try again in {seconds} s", retry=seconds
                )
            base.execute(
                "INSERT OR REPLACE INTO jobs (id, owner, kind, files, given, status, queued) VALUES"
                " (?, ?, ?, ?, ?, 'queued', ?)",
                (name, owner, order.kind, json.dumps(dict(order.files)), json.dumps(dict(order.given)), time.time()),
            )
            return self._get(name), True

    def job(self, owner: str, name: str) -> StoredJob:
        """Refused (404) if this visitor has no such job, or it was deleted."""
        with self._transaction() as base:
            row = base.execute("SELECT * FROM jobs WHERE id = ? AND owner = ?", (name, owner)).fetchone()
        if row is None:
            raise Refused(404, f"there is no job {name[:40]} of yours; it may have been deleted, submit it again")
        return _job(row)

    def jobs(self, owner: str | None = None, status: str | None = None) -> list[StoredJob]:
        """Of one visitor, of one status, or all; the newest last."""
        with self._transaction() as base:
            rows = base.execute(
                "SELECT * FROM jobs WHERE (:owner IS NULL OR owner = :owner) AND (:status IS NULL OR status = :status)"
                " ORDER BY queued",
                {"owner": owner, "status": status},
            ).fetchall()
        return [_job(row) for row in rows]

    def counts(self) -> dict[tuple[str, str], int]:
        """How many jobs of each kind there are in each status."""
        with self._transaction() as base:
            rows = base.execute("SELECT kind, status, COUNT(*) FROM jobs GROUP BY kind, status").fetchall()
        return {(kind, status): count for kind, status, count in rows}

    def waiting(self, kind: str, before: float | None = None) -> int:
        """How many jobs wait for the same workers, of all or of those queued before a time."""
        with self._transaction() as base:
            row = base.execute(
                "SELECT COUNT(*) FROM jobs WHERE status = 'queued' AND (kind = 'video') = :video"
                " AND (:before IS NULL OR queued < :before)",
                {"video": kind == "video", "before": before},
            ).fetchone()
        return int(row[0])

    def seconds_to_wait(self, kind: str) -> int:
        """Until the next job of this kind will probably have ended, from what the last ten took; 1 to 600."""
        with self._transaction() as base:
            rows = base.execute(
                "SELECT finished - started FROM jobs WHERE status = 'done' AND kind = ? AND started NOT NULL"
                " ORDER BY finished DESC LIMIT 10",
                (kind,),
            ).fetchall()
        took = [float(row[0]) for row in rows]
        return int(min(600, max(1, sum(took) / len(took) if took else 10)))

    def claim(self, kinds: Sequence[str], busy: Collection[str] = ()) -> StoredJob | None:
        """The job of these kinds that has waited longest, which runs from now on; busy: none of these."""
        kind, other = (", ".join("?" * len(words)) for words in (kinds, busy))
        with self._transaction() as base:
            row = base.execute(
                "UPDATE jobs SET status = 'running', started = ?, made_by = ?, starts = starts + 1 WHERE id ="
                f" (SELECT id FROM jobs WHERE status = 'queued' AND kind IN ({kind}) AND id NOT IN ({other})"
                " ORDER BY queued LIMIT 1) RETURNING *",
                (time.time(), self._made_by, *kinds, *busy),
            ).fetchone()
        return None if row is None else _job(row)

    def finish(self, name: str, *, report: Mapping[str, Any] | None = None, problem: Mapping[str, Any] | None = None,
               notes: Sequence[str] = ()) -> None:  # fmt: skip
        """A running job is done, or has failed; of any other nothing changes."""
        with self._transaction() as base:
            base.execute(
                "UPDATE jobs SET status = ?, finished = ?, report = ?, problem = ?, notes = ? WHERE id = ?"
                " AND status = 'running'",
                ("failed" if problem else "done", time.time(), _json(report), _json(problem), json.dumps([*notes]),
                 name),
            )  # fmt: skip

    def fail_older(self) -> None:
        """Jobs that an older version took, and that this one would not take, have failed."""
        older = told("this was ordered with an older version of the server, which knew other settings; order it again")
        with self._transaction() as base:
            for job in self.jobs():
                if job.status not in ("failed", "cancelled") and not _known(job):
                    base.execute("UPDATE jobs SET status = 'failed', finished = ?, problem = ? WHERE id = ?",
                                 (time.time(), _json(older), job.id))  # fmt: skip

    def give_back(self, name: str) -> StoredJob:
        """A running job whose worker ended without a word waits again in its old place, or has failed for good."""
        with self._transaction() as base:
            if self._get(name).starts >= STARTS:
                self.finish(name, problem=told(
                    f"the worker ended {STARTS} times while it made this; the memory of the machine may not suffice:"
                    " send a smaller or shorter video", 4,
                ))  # fmt: skip
            else:
                base.execute("UPDATE jobs SET status = 'queued', started = NULL WHERE id = ? AND status = 'running'",
                             (name,))  # fmt: skip
            return self._get(name)

    def leave(self, name: str) -> None:
        """A running job that is left because the server ended: as if it had not been begun."""
        with self._transaction() as base:
            base.execute(
                "UPDATE jobs SET status = 'queued', started = NULL, starts = starts - 1 WHERE id = ? AND"
                " status = 'running'", (name,),
            )  # fmt: skip

    def cancel(self, name: str) -> bool:
        """Whether it was not over yet, and now is."""
        with self._transaction() as base:
            changed = base.execute(
                "UPDATE jobs SET status = 'cancelled', finished = ?, problem = ? WHERE id = ? AND status IN"
                " ('queued', 'running')", (time.time(), _json(told("it was cancelled", 130)), name),
            )  # fmt: skip
        return changed.rowcount > 0

    def remove_job(self, name: str) -> None:
        """Forgets it."""
        with self._transaction() as base:
            base.execute("DELETE FROM jobs WHERE id = ?", (name,))

    def old_jobs(self, before: float) -> list[StoredJob]:
        """Those that were over before a time."""
        with self._transaction() as base:
            rows = base.execute(
                "SELECT * FROM jobs WHERE status IN ('done', 'failed', 'cancelled') AND finished < ?", (before,)
            ).fetchall()
        return [_job(row) for row in rows]

    def drop_uploads(self, before: float) -> list[Upload]:
        """Forgets the uploads that no job which is kept was made of, and that were sent before a time."""
        with self._transaction() as base:
            kept = {(row["owner"], name) for row in base.execute("SELECT owner, files FROM jobs").fetchall()
                    for name in json.loads(row["files"]).values()}  # fmt: skip
            rows = base.execute("SELECT * FROM uploads WHERE sent < ?", (before,)).fetchall()
            gone = [row for row in rows if (row["owner"], row["id"]) not in kept]
            for row in gone:
                base.execute("DELETE FROM uploads WHERE owner = ? AND id = ?", (row["owner"], row["id"]))
        return [_upload(row) for row in gone]

    def _get(self, name: str) -> StoredJob:
        return _job(self._base.execute("SELECT * FROM jobs WHERE id = ?", (name,)).fetchone())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; one that is open already is gone on with."""
        with self._lock:
            if self._base.in_transaction:
                yield self._base
                return
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(dict(value))


def _upload(row: sqlite3.Row) -> Upload:
    return Upload(row["owner"], row["id"], row["name"], row["suffix"], row["size"], json.loads(row["about"]))


def _job(row: sqlite3.Row) -> StoredJob:
    report, problem = (json.loads(row[name]) if row[name] else None for name in ("report", "problem"))
    return StoredJob(
        row["id"], row["owner"], row["kind"], json.loads(row["files"]), json.loads(row["given"]), row["status"],
        row["queued"], row["started"], row["finished"], row["starts"], report, problem, json.loads(row["notes"]),
    )  # fmt: skip


def _known(job: StoredJob) -> bool:
    """Whether this version would take its order."""
    try:
        Order(job.kind, job.files, job.given)
    except BadInput:
        return False
    return True
