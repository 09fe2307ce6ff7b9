"""Slow, oversized, malformed and many requests at the sender's API and at the player's page, over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.player_with_dashboard import Rig, eventually
from tests.support.processes import HANG_S
from tests.system.test_control import API, HOST, Camera
from thinair.link.errors import Exit
from thinair.link.security import tls

OVERSIZED = {
    "path": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "headers": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: a\r\n" * 40_000 + b"\r\n",
    "no request": bytes(range(256)) * 8,
    "length": b"PUT " + API.encode() + b"/mode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "smuggled": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
    "chunk": b"PUT " + API.encode() + b"/mode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
}  # fmt: skip


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    one = Camera(tmp_path)
    with one.stack:
        one.start()
        yield one


def knock(camera: Camera, encrypted: bool) -> socket.socket:
    plain = socket.create_connection((HOST, camera.https if encrypted else camera.http), timeout=HANG_S)
    return tls.receiver_context(None, None).wrap_socket(plain) if encrypted else plain


def last_words(one: socket.socket) -> bytes:
    """Until it is closed by the other end."""
    found = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := one.recv(65536):
            found += data
    return found


def alive(camera: Camera) -> dict[str, int]:
    status, content, _ = camera.here("GET", f"{API}/status")
    assert status == 200
    return dict(content["refused"])


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("what", OVERSIZED)
def test_what_is_too_large_or_no_request_is_refused_and_costs_nothing(
    camera: Camera, what: str, encrypted: bool
) -> None:
    with knock(camera, encrypted) as one:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            one.sendall(OVERSIZED[what])
        one.settimeout(HANG_S)
        answer = last_words(one)
    assert answer == b"" or answer.split()[1][:1] == b"4", answer[:200]
    alive(camera)


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_body_over_the_limit_is_refused(camera: Camera, encrypted: bool) -> None:
    ask = camera.there if encrypted else camera.here
    more = {"token": camera.token} if encrypted else {}
    status, content, _ = ask("PUT", f"{API}/mode", b'{"mode": "' + b"x" * 100_000 + b'"}', **more)
    assert status == 413
    assert content["problem"]
    assert alive(camera)["http_413"] == 1


@pytest.mark.parametrize("encrypted", [True, False])
def test_who_sends_a_byte_a_second_is_hung_up_and_keeps_nobody_out(camera: Camera, encrypted: bool) -> None:
    slow = [knock(camera, encrypted) for _ in range(40)]
    for one in slow:
        one.settimeout(HANG_S)
        one.sendall(b"GET / HTTP/1.1\r\nX: ")

    def all_are_hung_up() -> bool:
        """Each has sent one more byte; the operator is answered as before."""
        for one in slow:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                one.sendall(b"T")
        return alive(camera).get("http_slow", 0) >= len(slow)

    eventually(all_are_hung_up, every_s=1.0)
    for one in slow:
        last_words(one)  # until it is closed by the other end
        one.close()


def test_a_body_that_does_not_come_is_not_waited_for(camera: Camera) -> None:
    with knock(camera, encrypted=False) as one:
        one.sendall(f"PUT {API}/mode HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
                    "Content-Length: 500\r\n\r\n{".encode())  # fmt: skip
        one.settimeout(HANG_S)
        assert one.recv(65536).split()[1] == b"400"
    alive(camera)


def test_a_crowd_of_connections_keeps_the_operator_out_of_nothing(camera: Camera) -> None:
    crowd = [knock(camera, encrypted=False) for _ in range(120)]
    refused = alive(camera)
    assert refused["http_too_many"] >= 60
    for one in crowd:
        one.close()


def test_the_player_s_page_hangs_up_on_the_slow_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        rig.play()
        crowd = [socket.create_connection((HOST, rig.port), timeout=HANG_S) for _ in range(60)]
        for one in crowd:
            with contextlib.suppress(ConnectionError):
                one.sendall(b"GET / HTTP/1.1\r\nX: ")
        with urllib.request.urlopen(rig.url, timeout=HANG_S) as answer:  # noqa: S310 -- our own
            assert answer.status == 200
        assert all(last_words(one)[:12] in {b"", b"HTTP/1.0 400", b"HTTP/1.1 400"} for one in crowd)
        for one in crowd:
            one.close()
        metrics = rig.get("metrics")
        assert 'thinair_requests_refused_total{reason="slow"}' in metrics
    finally:
        rig.end("play")


def test_the_picture_goes_on_meanwhile(camera: Camera) -> None:
    report = camera.folder / "play.json"
    player = camera.play("--report", str(report))
    player.wait_for_pictures(1)
    crowd = [knock(camera, encrypted=at % 2 == 0) for at in range(60)]
    for _ in range(3):
        for one in crowd:
            with contextlib.suppress(ConnectionError, ssl.SSLError, OSError):
                one.sendall(b"GET /" + b"a" * 2000)
        player.wait_for_pictures(1)
    for one in crowd:
        one.close()
    assert player.stop() == 0
    assert json.loads(report.read_text())["frames"]["lost"] == 0


def test_two_senders_on_one_machine_have_an_api_each(tmp_path: Path) -> None:
    from tests.support.processes import THINAIR, environment, running

    env = environment(THINAIR_STATE=str(tmp_path))
    line = [*THINAIR, "send", "--mode", "640x360@30"]
    with running(line, env=env) as one, running(line, env=env) as two:
        for each in (one, two):
            each.wait_for("page: http")
        pages = [each.text().partition("page: ")[2].split()[0] for each in (one, two)]
        assert pages[0] != pages[1]
        for page in pages:
            with urllib.request.urlopen(page, timeout=HANG_S) as answer:  # noqa: S310 -- our own
                assert answer.status == 200
    with socket.create_server(("", 0)) as server:
        taken = server.getsockname()[1]
        done = run_send("--control", str(taken), "--session-port", "0")
    assert done[0] == Exit.NETWORK
    assert f"cannot listen on TCP port {taken}" in done[1]


def run_send(*words: str) -> tuple[int, str]:
    from tests.support.processes import call

    done = call("send", "--mode", "640x360@30", *words)
    return done.returncode, done.stderr
