"""The operator page in a real browser, and that pages of other sites can do nothing to it or to the player's page."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, Playwright

from tests.browser.conftest import SHOTS, launched
from tests.support.player_with_dashboard import Rig, eventually
from tests.system.test_control import API, HOST, Camera

pytestmark = pytest.mark.browser
EVIL = "evil.example"


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    one = Camera(tmp_path_factory.mktemp("camera"))
    with one.stack:
        one.start()
        yield one


@pytest.fixture(scope="module")
def rebound(playwright: Playwright) -> Iterator[Browser]:
    """A browser in which another site's name resolves to this machine."""
    with launched(playwright, f"--host-resolver-rules=MAP *.{EVIL} 127.0.0.1,MAP {EVIL} 127.0.0.1") as one:
        yield one


@contextmanager
def site(page: str) -> Iterator[int]:
    """Another web site with one page; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


_TRIES = """<!doctype html><title>another site's page</title><body>
<img id="img" src="{target}{picture}"><script src="{target}/app.js"></script>
<iframe id="frame" src="{target}/"></iframe>
<iframe name="hidden"></iframe>
<form id="form" method="post" target="hidden" action="{target}{post}"></form>
<script>
window.said = [];
const tries = [["GET", {get!r}], ["POST", {post!r}], ["PUT", {put!r}], ["DELETE", {put!r}]];
(async () => {{
  document.getElementById("form").submit();
  for (const mode of ["cors", "no-cors"]) for (const credentials of ["include", "omit"])
    for (const [method, path] of tries) {{
      const body = method === "PUT" || method === "POST" ? JSON.stringify({{ max_bps: 100000 }}) : undefined;
      const headers = method === "PUT" && mode === "cors" ? {{ "Content-Type": "application/json" }} : undefined;
      try {{
        const answer = await fetch({target!r} + path, {{ method, mode, credentials, body, headers }});
        window.said.push(answer.type === "opaque" ? "opaque" : await answer.text());
      }} catch (error) {{ window.said.push("refused"); }}
    }}
  try {{ const ws = new WebSocket({target!r}.replace("http", "ws") + "/ws");
    await new Promise((done) => {{ ws.onopen = () => {{ window.said.push("open"); done(); }}; ws.onerror = done; }});
  }} catch (error) {{ window.said.push("refused"); }}
  window.done = true;
}})();
</script>"""


def tried(browser: Browser, host: str, target: str, **paths: str) -> Page:
    page_of = browser.new_context().new_page()
    with site(_TRIES.format(target=target, **paths)) as port:
        page_of.goto(f"http://{host}:{port}/")
        page_of.wait_for_function("window.done")
        page_of.wait_for_timeout(500)
    said = page_of.evaluate("window.said")
    assert set(said) <= {"refused", "opaque"}, said
    assert page_of.evaluate("document.getElementById('img').naturalWidth") == 0
    return page_of


def test_another_site_s_page_can_do_nothing_at_the_sender(rebound: Browser, camera: Camera) -> None:
    before = camera.here("GET", f"{API}/pairing")[1]["code"]
    paths = {
        "picture": f"{API}/preview.jpg",
        "get": f"{API}/status",
        "post": f"{API}/pairing/renew",
        "put": f"{API}/bitrate",
    }
    refused = camera.here("GET", f"{API}/status")[1]["refused"]
    for target in (f"http://{HOST}:{camera.http}", f"http://localhost:{camera.http}"):
        tried(rebound, EVIL, target, **paths).context.close()
    assert camera.here("GET", f"{API}/pairing")[1]["code"] == before
    now = camera.here("GET", f"{API}/status")[1]
    assert now["limits"]["max_bps"] == 2_000_000
    assert now["refused"]["http_origin"] >= refused.get("http_origin", 0) + 10


def test_a_name_that_was_rebound_to_the_sender_opens_nothing(rebound: Browser, camera: Camera) -> None:
    """Where a rebinding ends: the other site's own name, with the sender's port, is the page's own origin."""
    page = rebound.new_context().new_page()
    for path in ("/", f"{API}/status", f"{API}/pairing"):
        answer = page.goto(f"http://{EVIL}:{camera.http}{path}")
        assert answer is not None
        assert answer.status == 421
        assert "A-CAM" not in page.content()
    asked = page.evaluate(
        """async (path) => (await fetch(path, { method: "POST" })).status""", f"{API}/pairing/renew"
    )  # from that very origin, as a script that stayed in the browser would
    assert asked == 421
    page.context.close()
    assert camera.here("GET", f"{API}/status")[1]["refused"]["http_host"] >= 4


def test_neither_can_do_anything_at_the_player_s_page(rebound: Browser, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "set")
    try:
        rig.play()
        rig.send()
        paths = {"picture": "/", "get": "/history.json", "post": "/report.json", "put": "/metrics"}
        tried(rebound, EVIL, f"http://{HOST}:{rig.port}", **paths).context.close()
        page = rebound.new_context().new_page()
        answer = page.goto(f"http://{EVIL}:{rig.port}/history.json")
        assert answer is not None
        assert answer.status == 421
        page.context.close()
        metrics = rig.get("metrics")
        assert 'thinair_requests_refused_total{reason="origin"}' in metrics
        assert 'thinair_requests_refused_total{reason="host"}' in metrics
    finally:
        rig.close()


def ready(page: Page) -> Page:
    page.locator("body[data-ready]").wait_for()
    return page


@pytest.mark.parametrize("look", ["dark", "light"])
def test_the_operator_sees_led_preview_and_code_on_a_phone(browser: Browser, camera: Camera, look: str) -> None:
    scheme: Any = look
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, device_scale_factor=2)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://{HOST}:{camera.http}/")
    ready(page)
    assert page.inner_text("#name") == "A-CAM"
    assert page.inner_text("#state") == "no receiver"
    page.locator("#preview").wait_for()
    assert page.evaluate("document.getElementById('preview').naturalWidth") == 320
    code = page.inner_text("#code")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#renew")
    eventually(lambda: page.inner_text("#code") != code)
    page.click("#link")
    page.locator("#link-qr svg").wait_for()
    page.click("#restart")
    page.locator("#message").filter(has_text="no service manager").wait_for()
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"sender-{look}.png", full_page=True)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert errors == []
    context.close()


def test_a_phone_opens_the_page_by_its_link_and_sees_no_code(browser: Browser, camera: Camera) -> None:
    link = camera.there("POST", f"{API}/page-links", token=camera.token)[1]["url"]
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    try:
        page.goto(f"https://{HOST}:{camera.https}/")
        page.locator("#state").filter(has_text="access token missing").wait_for()
        page.goto(f"https://{HOST}:{camera.https}/{link.partition('//')[2].partition('/')[2]}")
        ready(page)
        assert page.url == f"https://{HOST}:{camera.https}/", "the token is out of the history"
        assert page.inner_text("#name") == "A-CAM"
        assert page.locator("#pairing").is_hidden()
    except Error:
        page.screenshot(path=SHOTS / "sender-phone-failed.png")
        raise
    context.close()


def test_the_page_says_when_the_sender_is_gone(browser: Browser, tmp_path: Path) -> None:
    camera = Camera(tmp_path)
    with camera.stack:
        sender = camera.start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://{HOST}:{camera.http}/")
        ready(page)
        sender.kill()
        page.locator("#state").filter(has_text="does not answer").wait_for()
        time.sleep(0.1)
        context.close()
