"""The control API and the operator's page of a running sender, over real sockets; the API held to its document."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.player_with_dashboard import eventually
from tests.support.processes import HANG_S, PLAY, THINAIR, Running, environment, running
from thinair.link.security import tls
from thinair.link.security.pairing_store import Pairings, introduce

HOST = "127.0.0.1"
MEDIA = 5004  # where a sender that starts first calls; the tests' network is their own
DOCUMENT = ROOT / "sender" / "control" / "static" / "openapi.json"
API = "/api/v1"


class Camera:
    """A sender with its control API, and a player that has its picture."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = Path(introduce(folder / "state"))
        self.stack = ExitStack()
        self.http = self.https = 0  # those of the first sender, which later ones take over

    def env(self, **more: str) -> dict[str, str]:
        return environment(THINAIR_STATE=str(self.state), **more)

    def start(self, *words: str, **env: str) -> Running:
        line = [*THINAIR, "send", "--to", f"{HOST}:{MEDIA}", "--session-port", "0", "--control", str(self.https),
                "--mode", "640x360@30", "--bitrate", "2M", "--name", "A-CAM", *words]  # fmt: skip
        sender = self.stack.enter_context(running(line, env=self.env(**env)))
        self.http, self.https = sender.port(r"page: http://[^/]+:"), sender.port("HTTPS port ")
        return sender

    def play(self, *words: str) -> Running:
        line = [*PLAY, "--headless", "--listen", str(MEDIA), *words]
        return self.stack.enter_context(running(line, env=self.env()))

    @property
    def token(self) -> str:
        return Pairings(self.state / "receiver").all()[0].token

    def here(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        return talk(http.client.HTTPConnection(HOST, self.http, timeout=HANG_S), method, path, body, headers)

    def there(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        way = http.client.HTTPSConnection(HOST, self.https, timeout=HANG_S, context=tls.receiver_context(None, None))
        told = headers if token is None else {**headers, "Authorization": f"Bearer {token}"}
        return talk(way, method, path, body, told)

    def remote(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*THINAIR, "remote", *words], env=self.env(), capture_output=True, text=True, check=False, timeout=60
        )


def talk(
    way: http.client.HTTPConnection, method: str, path: str, body: Any, headers: dict[str, str]
) -> tuple[int, Any, http.client.HTTPMessage]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named.setdefault("Content-Type", "application/json")
    way.request(method, path, data, named)
    answer = way.getresponse()
    content = answer.read()
    way.close()
    is_json = answer.headers.get_content_type() == "application/json"
    return answer.status, json.loads(content) if is_json else content, answer.headers


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    one = Camera(tmp_path)
    with one.stack:
        yield one


def test_the_sender_is_looked_at_and_turned_from_a_paired_machine(camera: Camera) -> None:
    sender, player = camera.start(), camera.play()
    eventually(lambda: "latency " in player.text())

    def status() -> dict[str, Any]:
        return dict(json.loads(camera.remote("status", "--json").stdout))

    eventually(lambda: status()["latency_ms"] is not None)
    now = status()
    assert (now["name"], now["mode"], now["receiver"]) == ("A-CAM", "640x360@30", "this machine's receiver")
    assert 0 < now["latency_ms"] < 500
    assert now["status_led"]["state"] == "streaming"
    assert now["encrypted"] is True
    assert "streaming" in camera.remote("status").stdout
    assert camera.remote("mode", "1280x720@25").returncode == 0
    player.wait_for("1280x720@25")
    assert camera.remote("bitrate", "1M").returncode == 0
    eventually(lambda: status()["bitrate_bps"] == 1_000_000)
    picture = camera.folder / "now.jpg"
    assert camera.remote("preview", str(picture)).returncode == 0
    assert picture.read_bytes()[:2] == b"\xff\xd8"
    assert camera.remote("key").returncode == 0
    assert "the control API requested 1280x720@25" in camera.remote("logs").stdout
    refused = camera.remote("restart")
    assert refused.returncode == 2
    assert "no service manager" in refused.stderr
    assert sender.process.poll() is None


def test_a_restart_ends_a_service_that_a_manager_starts_again(camera: Camera) -> None:
    sender = camera.start(INVOCATION_ID="of systemd")
    assert camera.here("POST", f"{API}/restart")[0] == 202
    assert sender.end() == 0


def test_over_the_network_nothing_is_told_without_a_token(camera: Camera) -> None:
    report = camera.folder / "sender.json"
    sender = camera.start("--report", str(report))
    document = json.loads(DOCUMENT.read_text())
    for path, methods in document["paths"].items():
        for method in methods:
            url = path.replace("{fingerprint}", "0" * 64)
            for token in (None, "", "wrong", "0" * 32):
                status, content, _ = camera.there(method.upper(), url, token=token)
                assert status == 401, (method, path, token)
                assert set(content) == {"problem"}
    status, page, _ = camera.there("GET", "/")
    assert status == 200, "the page itself holds nothing"
    assert b"A-CAM" not in page
    assert camera.there("GET", "/T/" + "0" * 26)[0] == 401
    refused = camera.here("GET", f"{API}/status")[1]["refused"]
    assert refused["http_token"] > 40
    assert sender.stop() == 0
    assert json.loads(report.read_text())["control"]["http_token"] == refused["http_token"], "nobody was ever linked"


def test_what_opens_the_sender_to_others_is_done_with_the_device_in_hand_only(camera: Camera) -> None:
    camera.start()
    for method, path in (("GET", "pairing"), ("POST", "pairing/renew"), ("DELETE", "pairings/" + "0" * 64)):
        assert camera.there(method, f"{API}/{path}", token=camera.token)[0] == 403, path
    before = camera.here("GET", f"{API}/pairing")[1]
    assert re.fullmatch(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){2}", before["code"])
    assert before["qr"].startswith("<svg")
    after = camera.here("POST", f"{API}/pairing/renew")[1]
    assert after["code"] != before["code"]
    with socket.create_connection((camera_address(), camera.https)):
        pass  # HTTPS is for the network
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((camera_address(), camera.http))


def camera_address() -> str:
    from thinair.link.host import own_address

    return own_address()


def test_a_receiver_forgotten_on_the_page_loses_its_picture_and_its_token(camera: Camera) -> None:
    camera.start()
    player = camera.play()
    eventually(lambda: "latency " in player.text())
    token = camera.token
    assert camera.there("GET", f"{API}/status", token=token)[0] == 200
    (one,) = camera.here("GET", f"{API}/pairing")[1]["paired"]
    status, content, _ = camera.here("DELETE", f"{API}/pairings/{one['fingerprint']}")
    assert (status, content) == (200, {"forgotten": ["this machine's receiver"]})
    assert camera.there("GET", f"{API}/status", token=token)[0] == 401
    player.wait_for("this sender has removed the pairing")


def test_the_link_for_a_phone_opens_the_page_and_stays_out_of_its_history(camera: Camera) -> None:
    camera.start()
    link = json.loads(json.dumps(camera.there("POST", f"{API}/page-links", token=camera.token)[1]))
    path = "/" + link["url"].partition("//")[2].partition("/")[2]
    status, _, headers = camera.there("GET", path)
    assert (status, headers["Location"]) == (302, "/")
    cookie = headers["Set-Cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Secure"))
    assert camera.there("GET", f"{API}/status", Cookie=cookie.partition(";")[0])[0] == 200
    assert camera.there("GET", f"{API}/status", Cookie="thinair=" + "0" * 26)[0] == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "["}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_every_route_refuses_a_wrong_host_and_another_site_s_page(
    camera: Camera, headers: dict[str, str], status: int
) -> None:
    camera.start()
    document = json.loads(DOCUMENT.read_text())
    for path, methods in document["paths"].items():
        for method in methods:
            url = path.replace("{fingerprint}", "0" * 64)
            assert camera.here(method.upper(), url, {}, **headers)[0] == status, (method, path)
            assert camera.there(method.upper(), url, {}, token=camera.token, **headers)[0] == status, (method, path)
    assert camera.here("GET", "/", **headers)[0] == status or "Sec_Fetch_Site" in headers


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "mode", {}),
        ("PUT", "mode", {"mode": 5}),
        ("PUT", "mode", {"mode": "1x1@1"}),
        ("PUT", "mode", {"mode": "640x360@30", "more": 1}),
        ("PUT", "mode", []),
        ("PUT", "mode", b"{"),
        ("PUT", "mode", b"[" * 900),
        ("PUT", "mode", b"9" * 900),
        ("PUT", "bitrate", {"max_bps": 1}),
        ("PUT", "bitrate", {"max_bps": "6M"}),
        ("PUT", "bitrate", {"max_bps": True}),
        ("PUT", "bitrate", {"min_bps": 6_000_000, "max_bps": 1_000_000}),
    ],
)
def test_a_mistake_is_said_in_words(camera: Camera, method: str, path: str, body: Any) -> None:
    camera.start()
    status, content, _ = camera.here(method, f"{API}/{path}", body)
    assert status == 400
    assert content["problem"]


def test_the_document_has_every_route_and_no_other() -> None:
    from thinair.link.web.request_guard import RequestGuard
    from thinair.sender.control.server import ControlServer

    control = ControlServer.__new__(ControlServer)
    documented = {
        (method.upper(), path)
        for path, methods in json.loads(DOCUMENT.read_text())["paths"].items()
        for method in methods
    }
    for local in (True, False):
        router = control._app(RequestGuard("127.0.0.1", None), local).router
        routes = {
            (route.method, route.resource.canonical)
            for route in router.routes()
            if route.resource is not None and route.resource.canonical.startswith(API) and route.method != "HEAD"
        }
        assert routes == documented


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("examples", "least"), [(60, 600), pytest.param(1000, 10_000, marks=pytest.mark.long)])
def test_requests_made_from_the_document_bring_no_fault(camera: Camera, examples: int, least: int) -> None:
    """schemathesis as users have it, at the local port, where no token is needed."""
    sender = camera.start()
    checks = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
    line = [str(Path(THINAIR[0]).with_name("schemathesis")), "run", str(DOCUMENT), "--no-color", "--workers", "2",
            "--url", f"http://{HOST}:{camera.http}", "--checks", ",".join(checks), "--max-examples", str(examples),
            "--phases", "examples,coverage,fuzzing", "--generation-database", "none"]  # fmt: skip
    quiet = environment(PYTHONWARNINGS="ignore")
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=580, env=quiet)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = re.search(r"([\d,]+) generated", done.stdout)
    assert found is not None
    assert int(found[1].replace(",", "")) >= least
    assert sender.process.poll() is None
