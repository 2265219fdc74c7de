"""Figures of a running server, in Prometheus' text format (version 0.0.4)."""

import time
from collections.abc import Iterable, Mapping

from web.crew import Crew
from web.store import Store

Sample = tuple[Mapping[str, str], float]


def metrics(store: Store, crew: Crew, begun: float) -> str:
    """All of them.  begun: when the server was started, in seconds since 1970."""
    counts = store.counts()
    found = [
        _metric("lipsync_jobs", "gauge", "Jobs that are kept, by kind and status.",
                (({"kind": kind, "status": status}, count) for (kind, status), count in counts.items())),
        _metric("lipsync_jobs_ended_total", "counter", "Jobs that ended since the server was started.",
                (({"kind": kind, "outcome": outcome}, count) for (kind, outcome), count in crew.finished.items())),
        _metric("lipsync_job_seconds_total", "counter", "Seconds that workers spent on jobs that ended.",
                (({"kind": kind, "outcome": outcome}, spent) for (kind, outcome), spent in crew.seconds.items())),
        _metric("lipsync_worker_up", "gauge", "Whether a worker process is there; one that is idle may not be.",
                (({"worker": name}, process.alive) for name, process in crew.processes.items())),
        _metric("lipsync_streams", "gauge", "Streams that are open.", [({}, crew.streams)]),
        _metric("lipsync_workers_lost_total", "counter", "Workers that ended without being told to.",
                [({}, crew.restarts)]),
        _metric("lipsync_uploads_bytes", "gauge", "Bytes of uploads that are kept.", [({}, store.stored)]),
        _metric("lipsync_uptime_seconds", "gauge", "Since the server was started.", [({}, time.time() - begun)]),
    ]  # fmt: skip
    return "".join(found)


def _metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in list(samples):
        inside = ",".join(f'{label}="{said}"' for label, said in labels.items())
        lines.append(f"{name}{{{inside}}} {float(value):g}" if inside else f"{name} {float(value):g}")
    return "\n".join(lines) + "\n"
