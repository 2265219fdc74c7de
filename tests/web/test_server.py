"""What a program is promised by the server: jobs, sentences, limits, and that nothing of one visitor is another's."""

import base64
import http.client
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import av
import cv2
import pytest

from core.errors import BadInput
from tests.helpers.failing import fails
from tests.helpers.talking_head import tone
from tests.helpers.web_server import QUICK, ROOT, Server, ask, serving
from video import probe
from web.client import Client, Failed
from web.client import main as client_main
from web.order import NAMES, SERVED, Order, descriptions

CASCADES = pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="this OpenCV has no cascades")

pytest_plugins = ("tests.helpers.web_fixtures",)
FORM = b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server.url)


@pytest.fixture
def files(inputs: Path) -> dict[str, Path]:
    return {"video": inputs / "person.mp4", "audio": inputs / "words.wav"}


@pytest.mark.slow
def test_a_job_goes_from_files_to_a_file(model: Path, files: dict[str, Path], tmp_path: Path) -> None:
    """The server is as a stranger would start it; that of the other tests is forked, and so are its workers."""
    with serving(tmp_path / "data", model, kind=Server) as server:
        from_files_to_a_file(server, Client(server.url), files, tmp_path)
        assert server.end() == 130


def from_files_to_a_file(server: Server, client: Client, files: dict[str, Path], tmp_path: Path) -> None:
    job = client.submit(files, **QUICK, crf=20)
    assert job["status"] in ("queued", "running") and job["files"]["video"]["name"] == "person.mp4"
    told: list[str] = []
    done = client.wait(job["id"], lambda seen: told.append(seen["status"]), every=0.02)
    assert done["report"]["frames"] == 15 and done["result"] == f"/jobs/{job['id']}/result"
    assert done["expires"] == pytest.approx(time.time() + 24 * 3600, abs=100)
    client.download(job["id"], tmp_path / "result.mp4")
    assert probe(tmp_path / "result.mp4").frames == 15
    with av.open(str(tmp_path / "result.mp4")) as container:
        assert "Synthetic" in container.metadata["comment"]
    assert ask(server, done["motion"])[2][1:4] == b"PNG" and ask(server, done["motion"] + "?data=true")[2][:2] == b"PK"


@pytest.mark.slow
def test_the_same_content_and_settings_are_the_same_job(
    client: Client, files: dict[str, Path], tmp_path: Path
) -> None:
    one = client.submit(files, **QUICK)
    same = tmp_path / "another name.mp4"
    same.write_bytes(files["video"].read_bytes())
    again = client.submit({**files, "video": same}, **QUICK, quality="balanced")  # its default, said
    other = client.submit(files, **QUICK, seed=8)
    assert one["id"] == again["id"] != other["id"]
    for job in (one, other):
        client.wait(job["id"])


@pytest.mark.slow
def test_a_part_of_a_file_can_be_asked_for(server: Server, client: Client, files: dict[str, Path]) -> None:
    job = client.submit(files, **QUICK)["id"]
    client.wait(job)
    status, headers, body = ask(server, f"/jobs/{job}/result", range="bytes=4-7")
    assert (status, body) == (206, b"ftyp") and headers["content-type"] == "video/mp4"
    assert 'filename="person_words.mp4"' in ask(server, f"/jobs/{job}/result?download=true")[1]["content-disposition"]


@pytest.mark.slow
def test_a_preview_and_the_faces_are_pictures(
    server: Server, client: Client, files: dict[str, Path], tmp_path: Path
) -> None:
    preview = client.submit(files, **QUICK, kind="preview", preview=0.2)
    faces = client.submit({"video": files["video"]}, face_detector="haar", kind="faces")
    client.wait(preview["id"])
    client.download(preview["id"], tmp_path / "still.png")
    info = probe(tmp_path / "still.png")
    assert (info.height, info.width) == (192, 512)  # before and after
    found = client.wait(faces["id"])["faces"]
    assert [(face["face"], face["when"]) for face in found] == [("index:0", "0:00.0-0:00.8")]
    status, headers, body = ask(server, found[0]["picture"])
    assert (status, headers["content-type"], body[1:4]) == (200, "image/png", b"PNG")


@pytest.mark.parametrize(
    ("changed", "settings", "named"),
    [
        ({"video": "broken.mp4"}, {}, ("broken.mp4",)),
        ({"audio": "broken.mp4"}, {}, ("broken.mp4",)),
        ({}, {"qualty": "best"}, ("qualty", "quality?")),
        ({}, {"crf": "99"}, ("--crf 99",)),
        ({}, {"quality": "worst"}, ("--quality", "'worst'")),
        ({}, {"kind": "song"}, ("kind", "'song'", "video, preview, faces")),
        ({}, {"device": "cuda:7"}, ("device",)),
    ],
)
def test_what_cannot_be_is_a_sentence_at_once(
    client: Client,
    inputs: Path,
    files: dict[str, Path],
    changed: dict[str, str],
    settings: dict[str, str],
    named: tuple[str, ...],
) -> None:
    with fails(Failed, *named) as failed:
        client.submit({**files, **{what: inputs / name for what, name in changed.items()}}, **settings)
    assert failed.value.status == 400 and failed.value.exit_code == 2 and str(inputs) not in str(failed.value)


@CASCADES
@pytest.mark.slow
def test_a_problem_that_shows_later_has_its_exit_code(client: Client, files: dict[str, Path]) -> None:
    job = client.submit(files, face_detector="haar", face="index:4")
    with fails(Failed, "person.mp4") as failed:
        client.wait(job["id"])
    assert failed.value.exit_code == 3
    assert client.status(job["id"])["problem"]["meaning"] == "no face where one is needed"


def test_too_long_and_too_large_are_refused(
    server: Server, client: Client, files: dict[str, Path], tmp_path: Path
) -> None:
    with fails(Failed, "long.wav", "20 s") as failed:
        client.submit({**files, "audio": tone(tmp_path / "long.wav", 21)})
    assert failed.value.status == 400
    (tmp_path / "large.mp4").write_bytes(bytes(4 << 20))
    with fails(Failed, "2 MiB"):
        client.submit({**files, "video": tmp_path / "large.mp4"})
    status, _, body = ask(server, "/jobs", "POST", content_length=str(4 << 20))
    assert status == 413 and "more than 2 MiB" in json.loads(body)["error"]
    where = urlsplit(server.url)  # one that does not say how long it is
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    with suppress(BrokenPipeError, ConnectionResetError):
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        connection.request("POST", "/jobs", iter([FORM] + [bytes(1 << 16)] * 64), kind)
    answer = connection.getresponse()
    assert answer.status == 413 and "more than 2 MiB" in json.loads(answer.read())["error"]
    connection.close()


@pytest.mark.slow
def test_a_job_is_cancelled_while_it_is_made(client: Client, inputs: Path) -> None:
    job = client.submit({"video": inputs / "person.mp4", "audio": inputs / "long.wav"}, **QUICK, quality="best", seed=3)
    end = time.monotonic() + 60
    while client.status(job["id"])["progress"] is None and time.monotonic() < end:
        time.sleep(0.02)
    assert client.cancel(job["id"])["status"] == "cancelled"
    with fails(Failed, "cancelled") as failed:
        client.wait(job["id"])
    assert failed.value.exit_code == 130
    later = client.submit({"video": inputs / "person.mp4", "audio": inputs / "words.wav"}, **QUICK, seed=4)
    assert client.wait(later["id"])["status"] == "done"  # by a worker of its own


@CASCADES
def test_what_is_not_yours_is_not_there(server: Server, client: Client, files: dict[str, Path]) -> None:
    job = client.submit(files, **QUICK)
    client.wait(job["id"])
    for path in (f"/jobs/{job['id']}", f"/jobs/{job['id']}/result", f"/uploads/{job['files']['video']['id']}"):
        assert ask(server, path)[0] == 200
        status, _, body = ask(server, path, cookie="visitor=somebody-else")
        assert status == 404 and json.loads(body)["exit_code"] == 2
    assert json.loads(ask(server, "/jobs", cookie="visitor=somebody-else")[2]) == []


def test_a_page_of_another_site_can_do_nothing(server: Server) -> None:
    assert ask(server, "/jobs", "POST", origin="http://evil.example")[0] == 403
    assert ask(server, "/jobs", host="evil.example")[0] == 421
    assert ask(server, "/jobs", host=urlsplit(server.url).netloc, origin=server.url)[0] == 200


def test_the_server_says_how_it_is(server: Server) -> None:
    assert json.loads(ask(server, "/health")[2])["status"] == "ok"
    status, headers, body = ask(server, "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain")
    lines = body.decode().splitlines()
    assert all(line.startswith("#") or float(line.rpartition(" ")[2]) >= 0 for line in lines)
    assert any(line.startswith("lipsync_uploads_bytes ") for line in lines)
    routes = json.loads(ask(server, "/openapi.json")[2])["paths"]
    form = routes["/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(NAMES) < set(form) and form["quality"]["enum"] == ["fast", "balanced", "best"]
    page = ask(server, "/docs")[2].decode()
    assert "swagger" in page and "https://" not in page
    assert json.loads(ask(server, "/nothing")[2])["error"].startswith("GET /nothing: Not Found")


@pytest.mark.slow
def test_what_is_deleted_is_gone(server: Server, client: Client, files: dict[str, Path]) -> None:
    job = client.submit(files, **QUICK, seed=11)["id"]
    client.wait(job)
    assert ask(server, f"/jobs/{job}", "DELETE")[0] == 204
    assert ask(server, f"/jobs/{job}")[0] == 404


@pytest.mark.slow
def test_the_client_is_a_program(
    server: Server, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(files["video"]), str(files["audio"]), str(tmp_path / "r.mp4"), "--server", server.url]
    assert client_main([*given, *(f"--set={name}={value}" for name, value in QUICK.items())]) == 0
    assert probe(tmp_path / "r.mp4").frames == 15
    assert client_main([*given, "--set=qualty=best"]) == 2
    assert "did you mean quality" in capsys.readouterr().err


@pytest.mark.slow
def test_a_password_is_asked_for(tmp_path: Path, model: Path, files: dict[str, Path]) -> None:
    with serving(tmp_path / "data", model, "--api", LIPSYNC_PASSWORD="correct horse battery") as server:
        assert ask(server, "/health")[0] == 401
        assert ask(server, "/health", authorization="Bearer wrong")[0] == 401
        basic = base64.b64encode(b"anybody:correct horse battery").decode()
        assert ask(server, "/health", authorization=f"Basic {basic}", host="some.name")[0] == 200
        with fails(Failed, "password"):
            Client(server.url).status("x")
        with fails(Failed, "job x"):
            Client(server.url, "correct horse battery").status("x")
        assert ask(server, "/", authorization=f"Basic {basic}")[0] == 404  # --api: no page


def test_an_order_knows_the_flags() -> None:
    assert set(descriptions()) == set(NAMES) | set(SERVED)
    order = Order("video", {"video": "a", "audio": "b"}, {"pads": "0,10,0,0", "compare": "true", "codec": "ffv1"})
    assert order.settings.pads == (0, 10, 0, 0) and order.settings.compare and order.suffix == ".mkv"
    with fails(BadInput, "audio"):
        Order("video", {"video": "a"}, {})
    with fails(BadInput, "preview"):
        Order("preview", {"video": "a", "audio": "b"}, {})


def test_whether_a_network_is_used_is_the_visitors_which_it_is_is_not() -> None:
    files = {"video": "a", "audio": "b"}
    plain, without = Order("video", files, {}), Order("video", files, {"face_occluder": "false"})
    assert without.without == {"face_occluder"} and plain.identity("me") != without.identity("me")
    with fails(BadInput, "face_occluder", "true or false"):
        Order("video", files, {"face_occluder": "/etc/passwd"})
    asking = Order("video", files, {"face_restorer": "true"})
    asking.check(["face_restorer"])
    with fails(BadInput, "face_restorer", "leave that out"):
        asking.check(["face_occluder"])


@pytest.mark.slow
def test_a_job_that_asks_for_a_network_that_is_not_there_is_refused(
    server: Server, client: Client, files: dict[str, Path]
) -> None:
    assert json.loads(ask(server, "/limits")[2])["extras"] == []
    with fails(Failed, "face_occluder", "leave that out"):
        client.submit(files, **QUICK, face_occluder="true")


@pytest.mark.slow
def test_the_server_has_no_torch_of_its_own() -> None:
    code = "import sys, web.app, web.__main__; assert 'torch' not in sys.modules"
    assert os.spawnve(os.P_WAIT, os.sys.executable, [os.sys.executable, "-c", code],
                      {**os.environ, "PYTHONPATH": str(ROOT)}) == 0  # fmt: skip


@pytest.mark.parametrize("port", ["65536", "99999", "-1"])
def test_a_port_that_cannot_be_is_not_another_one(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    from web.__main__ import main

    assert main(["--port", port]) == 2
    assert f"--port {port}" in capsys.readouterr().err
