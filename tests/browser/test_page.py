"""The dashboard in Debian's Chromium: what a producer sees, does, and survives. Screenshots go to build/shots."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Playwright, Route

from tests.browser.conftest import SHOTS, code_of, is_live, launched
from tests.support.player_with_dashboard import HEIGHT, WIDTH, Rig, eventually, report
from thinair.sender.sources.visual_code import Code

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
LOOKS = {
    "desktop-dark": {"width": 1400, "height": 1000, "dark": True},
    "desktop-light": {"width": 1400, "height": 1000, "dark": False},
    "phone-dark": {"width": 390, "height": 844, "dark": True, "scale": 2},
    "phone-light": {"width": 390, "height": 844, "dark": False, "scale": 2},
}


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def age_us(code: Code) -> int:
    """Its time is 32 bits wide."""
    return (time.monotonic_ns() // 1000 - code.time_us) % (1 << 32)


def events(page: Page) -> str:
    return page.inner_text("#events")


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}]


def test_the_picture_is_live_and_the_figures_are_those_of_the_player(live: Rig, open_page: Open) -> None:
    page = open_page(live.url)
    is_live(page)
    eventually(lambda: page.locator(".tile").count() >= 10)
    assert page.inner_text("#camera") == "A-CAM"
    assert "640x360@30" in page.inner_text("#mode")
    assert "latency" in page.inner_text("#latency-now")
    assert {name for name in page.inner_text("#stages").split() if name.isalpha()} >= {"encode", "network", "decode"}
    assert "sender A-CAM: 640x360@30" in events(page)


def test_the_pixels_on_the_page_are_the_camera_s_and_move_on(live: Rig, open_page: Open) -> None:
    page = open_page(f"{live.url}?view=picture", width=WIDTH, height=HEIGHT)
    first = eventually(lambda: code_of(page))
    second = eventually(lambda: (code := code_of(page)) is not None and code.frame_id > first.frame_id and code)
    assert age_us(second) < 2_000_000  # the same machine: the same clock


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_on_the_page_keeps_anybody_out(live: Rig, open_page: Open, look: str) -> None:
    page = open_page(live.url, **LOOKS[look])
    is_live(page)
    eventually(lambda: page.locator(".tile").count() >= 10)
    assert serious(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    shoot(page, f"live-{look}")
    box = page.locator("#picture").bounding_box()
    assert box is not None
    assert box["height"] < box["width"]  # one picture, not a hidden one below it


def test_every_control_is_reached_by_the_keyboard_alone(live: Rig, open_page: Open) -> None:
    page = open_page(live.url)
    is_live(page)
    seen = []
    for _ in range(15):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("() => document.activeElement.id"))
    assert {
        "record",
        "key",
        "full",
        "theme",
        "camera-mode",
        "latency",
        "min",
        "max",
        "report",
        "history",
        "events",
    } <= set(seen)
    before = page.evaluate("() => getComputedStyle(document.documentElement).colorScheme")
    page.keyboard.press("t")
    assert page.evaluate("() => getComputedStyle(document.documentElement).colorScheme") != before


def test_a_page_that_is_reloaded_is_live_again(live: Rig, open_page: Open) -> None:
    page = open_page(live.url)
    is_live(page)
    for _ in range(3):
        page.reload()
        is_live(page)


def test_a_tab_that_sleeps_asks_for_no_pictures_and_wakes_with_a_live_one(live: Rig, open_page: Open) -> None:
    page = open_page(f"{live.url}?view=picture", width=WIDTH, height=HEIGHT)
    eventually(lambda: code_of(page))
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); " \
        "document.dispatchEvent(new Event('visibilitychange')); }"  # fmt: skip
    page.evaluate(hide, True)
    time.sleep(0.3)
    still = code_of(page)
    assert still is not None
    time.sleep(1.0)
    assert code_of(page) == still
    page.evaluate(hide, False)
    code = eventually(lambda: (one := code_of(page)) is not None and one.frame_id > still.frame_id + 30 and one)
    assert age_us(code) < 1_500_000


def test_record_by_button_and_by_key_and_the_file_is_told(rig: Rig, open_page: Open) -> None:
    rig.play()
    rig.send()
    page = open_page(rig.url)
    is_live(page)
    page.click("#record")
    page.locator("#recording").filter(has_text="recording 0:00:0").wait_for()
    assert page.get_attribute("#record", "aria-pressed") == "true"
    eventually(lambda: "recording to" in events(page))
    time.sleep(1.5)
    shoot(page, "recording-desktop-dark")
    assert serious(page) == []
    page.keyboard.press("r")
    page.locator("#recording").wait_for(state="hidden")
    eventually(lambda: "recorded" in events(page))
    assert len(list(rig.folder.glob("A-CAM_*.mp4"))) == 1


def test_limits_and_latency_mode_and_key_frame_reach_the_player(rig: Rig, open_page: Open) -> None:
    rig.play()
    rig.send()
    page, other = open_page(rig.url), open_page(rig.url)
    for one in (page, other):
        is_live(one)
    page.select_option("#max", label="2 Mbit/s")
    eventually(lambda: report(rig)["target"]["bitrate_bps"] == 2_000_000)
    eventually(lambda: other.input_value("#max") == "2000000")
    page.select_option("#latency", "smooth")
    eventually(lambda: other.input_value("#latency") == "smooth")
    page.select_option("#camera-mode", "1280x720@30")
    eventually(lambda: "1280x720@30" in other.inner_text("#mode"))
    is_live(page)
    page.click("#key")
    eventually(lambda: "key frame requested: requested on the page" in events(other))
    page.select_option("#max", "")
    eventually(lambda: report(rig)["target"]["bitrate_bps"] == 3_000_000)


def test_report_and_history_are_downloads(live: Rig, open_page: Open) -> None:
    page = open_page(live.url)
    is_live(page)
    for link, keys in (("#report", {"schema", "latency_ms"}), ("#history", {"seconds", "events"})):
        with page.expect_download() as download:
            page.click(link)
        content: dict[str, Any] = json.loads(download.value.path().read_text())
        assert keys <= set(content)


def test_a_sender_that_goes_and_comes_is_said_in_words_and_seen_again(rig: Rig, open_page: Open) -> None:
    rig.play()
    sender = rig.send()
    page = open_page(rig.url)
    is_live(page)
    sender.kill()
    page.locator("#trouble").filter(has_text="network silent for").wait_for()
    page.locator("#trouble").filter(has_text="last picture").wait_for()
    shoot(page, "silent-desktop-dark")
    assert serious(page) == []
    rig.send()
    page.locator("#trouble").wait_for(state="hidden")
    is_live(page)


def test_a_player_that_goes_and_comes_finds_its_page_again(rig: Rig, open_page: Open) -> None:
    rig.play()
    rig.send()
    page = open_page(rig.url)
    is_live(page)
    rig.end("play")
    page.locator("#trouble").filter(has_text="no data from the player for").wait_for()
    assert page.inner_text("#status") == "not connected"
    shoot(page, "disconnected-desktop-dark")
    rig.play()
    is_live(page)


def test_before_a_sender_comes_the_page_says_what_it_waits_for(rig: Rig, open_page: Open) -> None:
    rig.play()
    page = open_page(rig.url)
    page.locator("#trouble").filter(has_text=f"waiting for a sender on port {rig.media}").wait_for()
    shoot(page, "waiting-desktop-dark")
    rig.send()
    is_live(page)


def test_an_address_that_is_no_secure_context_gets_jpegs_and_is_told_why(
    tmp_path_factory: pytest.TempPathFactory, open_page: Open
) -> None:
    folder, name = tmp_path_factory.mktemp("lan"), socket.gethostname()
    rig = Rig(folder, "--dashboard-token", "open-sesame-1")
    rig.words = (*rig.words, "--dashboard", f"0.0.0.0:{rig.port}")
    try:
        rig.play()
        rig.send()
        page = open_page(f"http://{name}:{rig.port}/?token=open-sesame-1")
        is_live(page)
        assert "token" not in page.url
        assert not page.evaluate("() => isSecureContext")
        assert "not a secure context" in page.inner_text("#advice")
        page.locator("#canvas").wait_for()
        shoot(page, "insecure-desktop-dark")
        assert serious(page) == []
        foreign = open_page(f"http://{name}:{rig.port}/")
        assert "Access token missing" in foreign.inner_text("body")
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("VideoDecoder.isConfigSupported = async () => ({ supported: false });", "cannot decode this stream's H.264"),
        ("delete self.VideoDecoder;", "no WebCodecs"),
    ],
)
def test_a_browser_that_lacks_something_gets_jpegs_and_is_told_why(
    live: Rig, playwright: Playwright, lacking: str, said: str
) -> None:
    """Chromium has it all, so its worker's script takes it away first. A script that the test serves has no address of
    its own, hence the flag."""
    with launched(
        playwright, "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets"
    ) as plain:
        page = plain.new_page()

        def without(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, body=f"{lacking}\n{answer.text()}")

        page.route("**/decoder.js", without)
        page.goto(live.url)
        is_live(page)
        page.locator("#advice").filter(has_text=said).wait_for()
        page.locator("#canvas").wait_for()


def test_a_page_of_another_site_can_neither_read_nor_steer(live: Rig, open_page: Open) -> None:
    page = open_page("about:blank")
    page.route("http://evil.test/**", lambda route: route.fulfill(body="<p>evil", content_type="text/html"))
    page.goto("http://evil.test/")
    closed = page.evaluate(
        "(url) => new Promise((done) => { const ws = new WebSocket(url); "
        "ws.onopen = () => done('open'); ws.onerror = () => done('refused'); })",
        live.url.replace("http", "ws") + "ws",
    )
    assert closed == "refused"
    read = page.evaluate("(url) => fetch(url).then((r) => r.text()).catch(() => 'refused')", live.url + "report.json")
    assert read == "refused"
