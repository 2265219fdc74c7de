"""The server: what a program asks by HTTP, see docs/web.md; the page is in web/page."""

import asyncio
import hashlib
import io
import mimetypes
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from core.errors import BadInput, LipSyncError
from lipsync import __version__
from web.cleaning import Cleaning
from web.crew import Crew
from web.doors import Doors, headers_of
from web.espeak import BYTES, LONGEST, Voice, title
from web.files import Files
from web.metrics import metrics
from web.order import FILES, SERVED, Order, form
from web.problems import Refused, told
from web.store import StoredJob, Upload
from web.stream import serve

PAGE = Path(__file__).parent / "page"
VISITOR = "visitor"  # the cookie by which a visitor's files are known


@dataclass(frozen=True)
class Limits:
    """What visitors may send.

    upload      bytes of a request, with all its files
    seconds     of a video or sound
    queue       jobs that wait, of those that make videos and of previews each
    keep        seconds after which results and uploads are deleted
    stored      bytes of all uploads together
    """

    upload: int = 500 << 20
    seconds: float = 600.0
    queue: int = 20
    keep: float = 24 * 3600.0
    stored: int = 20 << 30


@dataclass
class Service:
    """What the routes use.  extras: which of `order.SERVED` the server was started with; voice: that of typed text."""

    files: Files
    crew: Crew
    limits: Limits = field(default_factory=Limits)
    extras: Collection[str] = ()
    voice: Voice | None = None
    begun: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.cleaning = Cleaning(self.files, self.limits.keep)

    def take(self, owner: str, what: str, upload: UploadFile) -> Upload:
        """Keeps a file, once it is known to be what it should.  Refused if it is not."""
        if self.files.store.stored > self.limits.stored:
            raise Refused(507, "the server has no more room for files; try again later", retry=600)
        name = Path((upload.filename or what).replace("\\", "/")).name[-100:] or what
        shows = what in ("video", "style_video")
        found, suffix, size = self.files.receive(owner, name, upload.file, self.limits.upload)
        path = self.files.unknown(owner, found, suffix)
        try:
            about = self.crew.look_at(path, shows=shows, seconds=self.limits.seconds)
        except Refused as refused:
            try:
                self.files.store.upload(owner, found)
            except Refused:
                path.unlink(missing_ok=True)
            raise Refused(refused.status, str(refused).replace(str(path), name)) from refused
        kept = Upload(owner, found, name, suffix, size, about)
        self.files.store.add_upload(kept)
        return kept

    def told(self, job: StoredJob) -> dict[str, Any]:
        """A job as its visitor sees it."""
        running, where = self.crew.running(job.id), f"/jobs/{job.id}"
        uploads = {what: self.files.store.upload(job.owner, name) for what, name in job.files.items()}
        seen: dict[str, Any] = {
            "id": job.id, "kind": job.kind, "status": job.status, "settings": dict(job.given),
            "files": {
                what: {"id": upload.id, "name": upload.name, "still": bool(upload.about.get("still"))}
                for what, upload in uploads.items()
            },
            "queued": job.queued, "started": job.started, "finished": job.finished, "position": None, "progress": None,
            "notes": job.notes, "problem": job.problem, "result": None, "motion": None, "faces": [], "report": None,
            "expires": None,
        }  # fmt: skip
        if job.status == "queued":
            seen["position"] = self.files.store.waiting(job.kind, job.queued)
        if running is not None and job.status == "running":
            seen["progress"] = running.progress
        if job.over and job.finished is not None:
            seen["expires"] = job.finished + self.limits.keep
        if job.status == "done" and job.report is not None:
            faces = job.report.get("faces", [])
            seen["faces"] = [dict(face, picture=f"{where}/faces/{number}") for number, face in enumerate(faces)]
            seen["motion"] = f"{where}/motion" if self.files.curves(job).exists() else None
            seen["report"] = job.report if job.kind == "video" else None
            seen["result"] = None if job.kind == "faces" else f"{where}/result"
        return seen


def make_app(service: Service, *, password: str | None = None, page: bool = False) -> Doors:
    """The application: the API, and the page if that is wanted.  It starts the workers, and ends them when it ends."""
    app = FastAPIOffline(
        redoc_url=None, title="lip-sync", version=__version__, lifespan=_lifespan(service),
        description="Makes a face speak new words. Every problem is one sentence with the exit code of the programs.",
    )  # fmt: skip
    app.state.service = service
    app.add_exception_handler(LipSyncError, _problem)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _problem)
    _add_jobs(app, service)
    _add_uploads(app, service)
    _add_state(app, service)
    _add_stream(app, service)
    if page:
        _add_page(app)
    return Doors(app, password, service.limits.upload)


def _owner(request: HTTPConnection) -> str:
    """Whose files are meant: the visitor of the cookie's, or those of all programs that have none."""
    cookie = request.cookies.get(VISITOR)
    return "api" if not cookie else hashlib.blake2b(cookie.encode(), digest_size=16).hexdigest()


Owner = Annotated[str, Depends(_owner)]
Typed = Annotated[str, Form(json_schema_extra={"maxLength": LONGEST})]


def _add_jobs(app: FastAPI, service: Service) -> None:
    store, crew, files = service.files.store, service.crew, service.files
    body = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form()}}}}

    @app.post("/jobs", status_code=202, openapi_extra=body, tags=["jobs"])
    async def submit(request: Request, owner: Owner) -> Response:
        """Ask for a video, a preview or pictures of all faces; the same content and settings are the same job."""
        async with request.form(max_files=len(FILES), max_fields=100) as sent:
            texts = {name: value.strip() for name, value in sent.items() if isinstance(value, str)}
            known = {name: texts.pop(name) for name in FILES if texts.get(name)}
            order = Order(texts.pop("kind", "video"), {name: "" for name in FILES if name in sent}, texts)
            order.check(service.extras)
            for name in order.files:
                value = sent[name]
                if isinstance(value, UploadFile):
                    known[name] = (await run_in_threadpool(service.take, owner, name, value)).id
                else:
                    known.setdefault(name, "")  # names no upload
        job, new = await run_in_threadpool(
            store.submit, owner, Order(order.kind, known, order.given), service.limits.queue
        )
        crew.wake()
        return JSONResponse(service.told(job), 202 if new else 200, headers={"Location": f"/jobs/{job.id}"})

    @app.get("/jobs", tags=["jobs"])
    def jobs(owner: Owner) -> list[dict[str, Any]]:
        """All of yours, the newest last."""
        return [service.told(job) for job in store.jobs(owner)]

    @app.get("/jobs/{job}", tags=["jobs"])
    def status(job: str, owner: Owner) -> dict[str, Any]:
        """queued (with the position), running (with progress), done (with the report), failed or cancelled."""
        return service.told(store.job(owner, job))

    @app.get("/jobs/{job}/result", response_class=FileResponse, tags=["jobs"])
    def result(job: str, owner: Owner, download: bool = False) -> FileResponse:
        """The video, or the picture of a preview; `download` asks the browser to save it."""
        found = _done(store.job(owner, job))
        if found.kind == "faces":
            raise Refused(404, "this job has one picture for each face; see faces in its status")
        return FileResponse(
            files.result(found), filename=_name(service, found),
            content_disposition_type="attachment" if download else "inline",
        )  # fmt: skip

    @app.get("/jobs/{job}/faces/{number}", response_class=FileResponse, tags=["jobs"])
    def face(job: str, number: int, owner: Owner) -> FileResponse:
        """Moments of one of the people in the video, as kind=faces found them; a PNG."""
        picture = files.folder(_done(store.job(owner, job))) / f"face{number}.png"
        if not picture.exists():
            raise Refused(404, f"there is no face {number}; see faces in the status of the job")
        return FileResponse(picture)

    @app.get("/jobs/{job}/motion", response_class=FileResponse, tags=["jobs"])
    def motion(job: str, owner: Owner, data: bool = False) -> FileResponse:
        """How far the mouth is open over time: curves as PNG, or with `data` what the lips do as .npz."""
        curves = files.curves(_done(store.job(owner, job)))
        if not curves.exists():
            raise Refused(404, "this job has no lip motion; a style model's videos have")
        return FileResponse(curves.with_suffix(".npz") if data else curves)

    @app.post("/jobs/{job}/cancel", tags=["jobs"])
    def cancel(job: str, owner: Owner) -> dict[str, Any]:
        """Ends it, whether it waits or is being made; of one that is over nothing changes."""
        crew.cancel(store.job(owner, job))
        return service.told(store.job(owner, job))

    @app.delete("/jobs/{job}", status_code=204, tags=["jobs"])
    def delete(job: str, owner: Owner) -> None:
        """Cancels it and deletes what was made now, rather than when its time is over."""
        found = store.job(owner, job)
        crew.cancel(found)
        store.remove_job(found.id)
        files.remove(found)


def _add_uploads(app: FastAPI, service: Service) -> None:
    @app.post("/uploads", status_code=201, tags=["uploads"], openapi_extra={"requestBody": {"content": {
        "multipart/form-data": {"schema": {"type": "object", "properties": {
            name: {"type": "string", "format": "binary"} for name in FILES}}}}}})  # fmt: skip
    async def upload(request: Request, owner: Owner) -> dict[str, Any]:
        """Send one file once, to name it by its id in several jobs."""
        async with request.form(max_files=1, max_fields=1) as sent:
            for name, value in sent.items():
                if name in FILES and isinstance(value, UploadFile):
                    return _kept(await run_in_threadpool(service.take, owner, name, value))
        raise Refused(400, f"there is no file; send one named {', '.join(FILES)}")

    @app.post("/speech", status_code=201, tags=["uploads"])
    def speech(owner: Owner, text: Typed = "") -> dict[str, Any]:
        """A text, said by a robot's voice, where the server has one (`voice` in the limits); an upload like any."""
        if service.voice is None:
            raise Refused(404, "this server has no voice; send a recording, or start it with --voice espeak")
        try:
            sound = service.voice.say(text, min(service.limits.seconds, service.limits.upload / BYTES))
        except BadInput as problem:
            raise Refused(422, str(problem)) from problem
        return _kept(service.take(owner, "audio", UploadFile(io.BytesIO(sound), filename=f"{title(text)}.wav")))

    @app.get("/uploads/{upload}", response_class=FileResponse, tags=["uploads"])
    def sent(upload: str, owner: Owner) -> FileResponse:
        """The file itself."""
        path = service.files.upload(owner, upload)
        kind = mimetypes.guess_type(path)[0] or ""
        shown = kind.startswith(("video/", "audio/", "image/")) and "svg" not in kind
        return FileResponse(path, media_type=kind if shown else "application/octet-stream")


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/health", tags=["server"])
    def health() -> Response:
        """200 while jobs are taken and made, else 503; `cleaning`: why old files were not deleted, or null."""
        counts = service.files.store.counts()
        said = {
            "status": "ok" if service.crew.whole else "broken", "version": __version__,
            "queued": sum(count for (_, status), count in counts.items() if status == "queued"),
            "running": sum(count for (_, status), count in counts.items() if status == "running"),
            "cleaning": service.cleaning.problem,
        }  # fmt: skip
        return JSONResponse(said, 200 if service.crew.whole else 503)

    @app.get("/limits", tags=["server"])
    def limits() -> dict[str, Any]:
        """What may be sent: bytes of a request, seconds of a file, jobs that wait; seconds that files are kept; the
        networks that a job may be made without; and the voice of typed text, if there is one."""
        found, extras = service.limits, [name for name in SERVED if name in service.extras]
        return {
            "bytes": found.upload, "seconds": found.seconds, "queue": found.queue, "kept": found.keep, "extras": extras,
            "voice": service.voice and {"language": service.voice.language, "characters": LONGEST},
        }  # fmt: skip

    @app.get("/metrics", response_class=PlainTextResponse, tags=["server"])
    def figures() -> str:
        """For Prometheus."""
        return metrics(service.files.store, service.crew, service.begun)


def _add_stream(app: FastAPI, service: Service) -> None:
    @app.websocket("/stream")
    async def stream(socket: WebSocket, owner: Owner) -> None:
        await serve(socket, service.files, service.crew, owner, service.limits.seconds, service.extras)


def _add_page(app: FastAPI) -> None:
    app.mount("/page", StaticFiles(directory=PAGE))

    @app.get("/", include_in_schema=False)
    def index(request: Request) -> Response:
        response = FileResponse(PAGE / "index.html")
        if not request.cookies.get(VISITOR):
            response.set_cookie(
                VISITOR, token_urlsafe(24), max_age=30 * 24 * 3600, httponly=True, samesite="strict",
                secure=request.url.scheme == "https",
            )  # fmt: skip
        return response


def _lifespan(service: Service) -> Any:
    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        service.crew.start()
        cleaning = asyncio.create_task(service.cleaning.go_on())
        yield
        cleaning.cancel()
        await run_in_threadpool(service.crew.stop)

    return alive


async def _problem(request: Request, problem: Exception) -> Response:
    """Every problem is a sentence: of ours, of a route that is not there, of a request that does not fit its route."""
    if isinstance(problem, Refused):
        return JSONResponse(told(str(problem)), problem.status, headers=dict(headers_of(problem)))
    if isinstance(problem, HTTPException):
        return JSONResponse(told(f"{request.method} {request.url.path}: {problem.detail}; see /docs"),
                            problem.status_code)  # fmt: skip
    if isinstance(problem, RequestValidationError):
        first = problem.errors()[0]
        return JSONResponse(told(f"{'.'.join(map(str, first['loc']))}: {first['msg']}; see /docs"), 422)
    code = problem.exit_code if isinstance(problem, LipSyncError) else 1
    return JSONResponse(told(str(problem), code), 400)


def _kept(upload: Upload) -> dict[str, Any]:
    return {"id": upload.id, "name": upload.name, "bytes": upload.size, **upload.about}


def _done(job: StoredJob) -> StoredJob:
    if job.status != "done":
        raise Refused(409, f"the job is {job.status}; its result is there when its status is done")
    return job


def _name(service: Service, job: StoredJob) -> str:
    """What a result is called when it is saved: VIDEO_AUDIO.mp4."""
    names = [service.files.store.upload(job.owner, job.files[what]).name for what in ("video", "audio")]
    return "_".join(Path(name).stem for name in names) + job.order.suffix
