"""The page, driven in headless Chromium as a person would: a video made and played, a job cancelled, a broken file.

Debian's Chromium (`apt-get install chromium`) or the one that CHROMIUM names; without one this is skipped, and fails
where BROWSER_REQUIRED is set.  PAGE_SCREENSHOTS=FOLDER keeps what was seen.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.helpers.talking_head import picture
from tests.helpers.toy_onnx import NEEDED, brighter, filtered, xseg
from tests.helpers.web_server import Server, serving

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytest_plugins = ("tests.helpers.web_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    if CHROMIUM is None:
        end = pytest.fail if os.environ.get("BROWSER_REQUIRED") else pytest.skip
        end("there is no Chromium; apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Visit:
    """A page in a browser of its own, and what it asked for."""

    def __init__(self, browser: sync_api.Browser, server: Server, size: dict[str, int]) -> None:
        colours = "dark" if size == NARROW else "light"
        self.context = browser.new_context(viewport=size, color_scheme=colours, permissions=["microphone"])  # type: ignore[arg-type]
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.elsewhere: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda problem: self.wrong.append(str(problem)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if "Content Security" in said.text else None)
        self.page.goto(server.url)

    def _note(self, request: sync_api.Request) -> None:
        where = urlsplit(request.url)
        if where.scheme not in ("data", "blob") and where.hostname not in ("127.0.0.1", "localhost"):
            self.elsewhere.append(request.url)

    def give(self, video: Path, audio: Path) -> None:
        """Both files, and waits until they were taken."""
        self.page.set_input_files("#video", video)
        self.page.set_input_files("#audio", audio)
        sync_api.expect(self.page.locator("#make")).to_be_enabled(timeout=60_000)

    def keep(self, name: str) -> None:
        """A picture of the whole page, if somebody wants to look at it."""
        if folder := os.environ.get("PAGE_SCREENSHOTS"):
            self.page.wait_for_timeout(400)
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


BOTH = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
ANY = BOTH if os.environ.get("PAGE_SCREENSHOTS") else pytest.mark.parametrize("size", [NARROW], ids=["narrow"])
"""For what is the same at any size; all of it is looked at in both, where pictures are kept."""


@pytest.fixture
def visit(browser: sync_api.Browser, server: Server, size: dict[str, int]) -> Iterator[Visit]:
    found = Visit(browser, server, size)
    yield found
    assert (found.elsewhere, found.wrong) == ([], [])  # nothing but this server was asked, nothing broke
    found.context.close()


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """A server with toy networks for all that it may have."""
    folder = tmp_path_factory.mktemp("furnished")
    networks = {
        "restorer": brighter(folder / "restorer.onnx"), "occluder": xseg(folder / "occluder.onnx"),
        "separator": filtered(folder / "separator.onnx", np.ones(1), sample_rate="16000"),
    }  # fmt: skip
    flags = ("--face_restorer", networks["restorer"], "--face_occluder", networks["occluder"],
             "--voice_separator", networks["separator"])  # fmt: skip
    with serving(folder / "data", model, *map(str, flags)) as found:
        yield found


@BOTH
def test_a_person_makes_a_video_and_plays_it(visit: Visit, inputs: Path, size: dict[str, int]) -> None:
    page, narrow = visit.page, size == NARROW
    name = "narrow" if narrow else "wide"
    visit.keep(f"{name}-empty")
    sync_api.expect(page.locator("[data-extra]:visible")).to_have_count(0)
    sync_api.expect(page.locator("#typing")).to_be_hidden()  # no --voice
    visit.give(inputs / "person.mp4", inputs / "words.wav")
    sync_api.expect(page.locator("#faces img")).to_have_count(1, timeout=60_000)
    page.select_option("select[name=silence]", "close")
    page.click("#preview")
    page.wait_for_selector("#still:not([hidden]) img")
    assert page.evaluate("document.querySelector('#still img').naturalWidth") in (0, 512)
    page.click("#make")
    card = page.locator(".job").first
    sync_api.expect(card.locator("h3")).to_have_text("person.mp4 says words.wav")
    page.wait_for_selector(".job .pair:not([hidden]) .result video")
    seconds = page.evaluate(
        """async () => {
            const video = document.querySelector('.job .result video');
            video.muted = true;
            await new Promise((done, failed) => { video.onended = done; video.onerror = failed; video.play(); });
            return [video.duration, video.videoWidth, video.getVideoPlaybackQuality().totalVideoFrames];
        }"""
    )
    assert seconds[0] == pytest.approx(0.6, abs=0.1) and seconds[1] == 256 and seconds[2] > 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    with page.expect_download() as download:
        card.locator(".download").click()
    assert download.value.suggested_filename == "person_words.mp4"
    card.locator(".motion summary").click()
    visit.keep(f"{name}-done")
    page.reload()  # what was made is still there, in this browser alone
    sync_api.expect(page.locator(".job .pair:not([hidden]) .result video")).to_have_count(1)
    card.locator(".delete").click()
    sync_api.expect(page.locator(".job")).to_have_count(0)


@ANY
@NEEDED
def test_networks_of_the_server_are_offered_where_it_has_them(
    browser: sync_api.Browser, furnished: Server, inputs: Path, size: dict[str, int]
) -> None:
    visit = Visit(browser, furnished, size)
    page = visit.page
    sync_api.expect(page.locator("[data-extra]:visible")).to_have_count(3)
    visit.give(inputs / "person.mp4", inputs / "words.wav")
    page.select_option("select[name=restorer_strength]", "0.5")
    page.uncheck("[name=face_occluder]")
    page.check("[name=mark]")
    page.click("#make")
    words = page.locator(".job .words").first
    sync_api.expect(words).to_have_text(
        "it is made with care; the mouth is sharpened half as far; what is before the mouth may be painted over;"
        " marked as synthetic", timeout=60_000,
    )  # fmt: skip
    page.wait_for_selector(".job .pair:not([hidden]) .result video")
    job = page.evaluate("fetch('/jobs').then((answer) => answer.json()).then((jobs) => jobs.at(-1))")
    assert job["report"]["extras"] == {
        "face_restorer": "restorer.onnx, strength 0.5", "voice_separator": "separator.onnx", "mark": "synthetic",
    }  # fmt: skip
    for other in (WIDE, NARROW, size):
        page.set_viewport_size(other)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    visit.keep(f"extras-{size['width']}")
    assert (visit.elsewhere, visit.wrong) == ([], [])
    visit.context.close()


@ANY
def test_a_job_is_cancelled(visit: Visit, inputs: Path) -> None:
    page = visit.page
    visit.give(inputs / "person.mp4", inputs / "long.wav")
    page.select_option("select[name=quality]", "best")
    page.click("#make")
    card = page.locator(".job").first
    sync_api.expect(card.locator(".stage")).to_have_text(re.compile(r"Making frames: \d+ of 350"), timeout=60_000)
    visit.keep(f"running-{page.viewport_size['width'] if page.viewport_size else 0}")
    card.locator(".cancel").click()
    sync_api.expect(card.locator(".expires")).to_have_text("Cancelled.")
    sync_api.expect(card.locator(".cancel")).to_be_hidden()


@ANY
def test_a_broken_file_is_answered_by_a_sentence(visit: Visit, inputs: Path) -> None:
    page = visit.page
    page.set_input_files("#video", inputs / "broken.mp4")
    sync_api.expect(page.locator("#video-problem")).to_contain_text("broken.mp4: not a readable video", timeout=60_000)
    sync_api.expect(page.locator("#make")).to_be_disabled()
    visit.keep(f"broken-{page.viewport_size['width'] if page.viewport_size else 0}")


@ANY
def test_of_two_files_the_one_chosen_last_counts(visit: Visit, inputs: Path, tmp_path: Path) -> None:
    from video import write_picture

    page, held = visit.page, list[sync_api.Route]()
    write_picture(tmp_path / "later.png", picture())
    page.route("**/uploads", lambda route: held.append(route))
    for number, path in enumerate((inputs / "person.mp4", tmp_path / "later.png"), 1):
        page.set_input_files("#video", path)
        while len(held) < number:
            page.wait_for_timeout(20)
    held[1].continue_()
    sync_api.expect(page.locator("#faces img")).to_have_count(1, timeout=60_000)
    with page.expect_response("**/uploads"):
        held[0].continue_()  # the larger one comes late
    page.wait_for_timeout(300)
    assert page.evaluate("import('/page/page.js').then((page) => page.sent.video.name)") == "later.png"
    sync_api.expect(page.locator("#video-drop .shown")).to_have_text("later.png")
    sync_api.expect(page.locator("#faces img")).to_have_count(1)


@ANY
def test_a_voice_is_recorded(visit: Visit) -> None:
    page = visit.page
    page.click("#record")
    sync_api.expect(page.locator("#record")).to_have_text(re.compile(r"Stop \([1-9] s\)"), timeout=30_000)
    page.click("#record")
    sync_api.expect(page.locator("#audio-drop .shown")).to_have_text("voice.webm")
    sync_api.expect(page.locator("#audio-drop progress")).to_be_hidden(timeout=60_000)
    sync_api.expect(page.locator("#audio-problem")).to_be_empty()


@ANY
def test_typed_text_is_said_by_the_voice_of_the_server(
    browser: sync_api.Browser, tmp_path: Path, model: Path, inputs: Path, size: dict[str, int]
) -> None:
    pytest.importorskip("espeakng_loader", reason="espeakng-loader (GPL) is not installed")
    with serving(tmp_path / "data", model, "--voice", "espeak", "--max_seconds", "20") as server:
        visit = Visit(browser, server, size)
        page, make, say = visit.page, visit.page.locator("#make"), visit.page.locator("#say")
        page.set_input_files("#video", inputs / "person.mp4")
        sync_api.expect(page.locator("#faces img")).to_have_count(1, timeout=60_000)
        sync_api.expect(say).to_be_disabled()
        page.fill("#text", "9" * 2000)  # more than the box takes
        sync_api.expect(page.locator("#count")).to_have_text("1000 of 1000")
        say.click()
        sync_api.expect(page.locator("#audio-problem")).to_contain_text("longer than 20 s to say")
        visit.keep(f"typed-refused-{size['width']}")
        page.fill("#text", "Hello.\nI am a robot.")
        sync_api.expect(make).to_be_disabled()
        say.click()
        sync_api.expect(page.locator("#audio-drop .shown")).to_have_text("Hello I am a robot.wav")
        sync_api.expect(page.locator("#audio-problem")).to_be_empty()
        seconds = page.evaluate(
            """async () => {
                const player = document.querySelector('#audio-player');
                await new Promise((done, failed) => { player.onended = done; player.onerror = failed; player.play(); });
                return player.currentTime;
            }"""
        )
        assert 1 < seconds < 4
        visit.keep(f"typed-{size['width']}")
        page.type("#text", " No.")  # what was said is not what is typed
        sync_api.expect(make).to_be_disabled()
        sync_api.expect(page.locator("#audio-player")).to_be_hidden()
        say.click()
        make.click(timeout=60_000)
        sync_api.expect(page.locator(".job h3")).to_have_text("person.mp4 says Hello I am a robot No.wav")
        page.wait_for_selector(".job .pair:not([hidden]) .result video")
        length = page.evaluate(
            """async () => {
                const video = document.querySelector('.job .result video');
                video.muted = true;
                await new Promise((done, failed) => { video.onended = done; video.onerror = failed; video.play(); });
                return video.duration;
            }"""
        )
        assert length > seconds
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        visit.keep(f"typed-made-{size['width']}")
        assert (visit.elsewhere, visit.wrong) == ([], [])
        visit.context.close()


@ANY
def test_a_face_speaks_while_somebody_speaks(visit: Visit, inputs: Path) -> None:
    page = visit.page
    sync_api.expect(page.locator("#speak")).to_be_disabled()
    page.set_input_files("#video", inputs / "person.mp4")
    sync_api.expect(page.locator("#faces img")).to_have_count(1, timeout=60_000)
    page.click("#speak")
    many = re.compile(r"^([2-9]\d|\d{3,})$")
    sync_api.expect(page.locator("#live-picture")).to_have_attribute("data-shown", many, timeout=60_000)
    seen = page.evaluate("({...document.querySelector('#live-picture').dataset})")
    print("live:", seen)
    assert float(seen["apart"]) < 0.1 and 0 < float(seen["behind"]) < 5  # by this browser's own drawing
    drawn = "document.querySelector('#live-picture').getContext('2d').getImageData(128, 96, 1, 1).data[3]"
    assert page.evaluate(drawn) == 255 and page.evaluate("document.querySelector('#live-picture').width") == 256
    said = re.compile(r"[\d.]+ pictures a second, [\d.]+ s after you")
    sync_api.expect(page.locator("#live-state")).to_have_text(said)
    visit.keep(f"live-{page.viewport_size['width'] if page.viewport_size else 0}")
    page.click("#speak")
    sync_api.expect(page.locator("#live-state")).to_have_text(re.compile(r"\d+ of \d+ pictures were made in time"))
    sync_api.expect(page.locator("#speak")).to_be_enabled()
    sync_api.expect(page.locator("#live-problem")).to_be_empty()


@ANY
def test_two_people_can_be_told_apart(visit: Visit, tmp_path: Path) -> None:
    from video import write_picture

    write_picture(tmp_path / "two.png", np.concatenate([picture(), picture()[:, ::-1]], axis=1))
    page = visit.page
    page.set_input_files("#video", tmp_path / "two.png")
    sync_api.expect(page.locator("#faces label")).to_have_count(2, timeout=60_000)
    page.locator("#faces input").nth(1).check()
    visit.keep(f"two-{page.viewport_size['width'] if page.viewport_size else 0}")
    assert page.evaluate("document.querySelector('#faces input:checked').value") == "index:1"


def test_visitors_do_not_see_each_other(browser: sync_api.Browser, server: Server, inputs: Path) -> None:
    one, other = Visit(browser, server, WIDE), Visit(browser, server, WIDE)
    one.give(inputs / "person.mp4", inputs / "words.wav")
    one.page.click("#make")
    one.page.wait_for_selector(".job")
    other.page.reload()
    other.page.wait_for_timeout(500)
    assert other.page.locator(".job").count() == 0
    cookie = one.context.cookies()[0]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    one.context.close()
    other.context.close()
