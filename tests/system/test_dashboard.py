"""The dashboard's server as a hostile or careless client meets it: the picture goes on, and it is counted."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.player_with_dashboard import Rig, eventually, report
from tests.support.processes import HANG_S, call

pytestmark = pytest.mark.net


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    one = Rig(tmp_path_factory.mktemp("rig") / "set")
    one.play()
    one.send()
    yield one
    frames = report(one)["frames"]
    assert frames["presented"] >= frames["completed"] - 20, "whatever the clients did, pictures were shown"
    one.close()


def refused(rig: Rig, reason: str) -> float:
    try:
        return rig.metric(f'thinair_requests_refused_total{{reason="{reason}"}}')
    except AssertionError:
        return 0.0


def run(work: Any) -> Any:
    return asyncio.run(work)


async def status(url: str, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as session, session.get(url, headers=named) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("path", "headers", "code", "reason"),
    [
        ("", {"Host": "evil.example"}, 421, "host"),
        ("ws", {"Origin": "http://evil.example"}, 403, "origin"),
        ("report.json", {"Sec_Fetch_Site": "cross-site"}, 403, "origin"),
    ],
)
def test_foreign_hosts_and_origins_are_refused_and_counted(
    rig: Rig, path: str, headers: dict[str, str], code: int, reason: str
) -> None:
    before = refused(rig, reason)
    assert run(status(rig.url + path, **headers)) == code
    assert refused(rig, reason) == before + 1


@pytest.mark.parametrize("path", ["nothing.js", "../player.py", "%2e%2e/server.py", "static/app.js", "ws"])
def test_other_paths_lead_nowhere(rig: Rig, path: str) -> None:
    assert run(status(rig.url + path)) in {404, 426}


async def talk(rig: Rig, *messages: str | bytes, wait_s: float = HANG_S) -> int | None:
    """Sends these and waits until the server closes or the time has passed; its close code."""
    async with aiohttp.ClientSession() as session, session.ws_connect(rig.url + "ws") as ws:
        for message in messages:
            await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
        try:
            async with asyncio.timeout(wait_s):
                async for _ in ws:
                    pass
        except TimeoutError:
            return None
        return ws.close_code


def test_malformed_messages_are_counted_and_the_tenth_ends_the_connection(rig: Rig) -> None:
    before = refused(rig, "malformed")
    assert run(talk(rig, "{", '{"do": "fly"}', b"\0\1\2", wait_s=2)) is None
    assert run(talk(rig, *["nonsense"] * 10)) == 1008
    assert refused(rig, "malformed") == before + 13


def test_a_huge_message_ends_its_connection_only(rig: Rig) -> None:
    before = refused(rig, "huge")
    assert run(talk(rig, '{"do": "ping", "t": 1' + "0" * 100_000 + "}")) == 1009
    assert refused(rig, "huge") == before + 1


def test_a_viewer_that_never_reads_is_dropped_and_counted(rig: Rig) -> None:
    before = rig.metric("thinair_viewers_dropped_total")
    with closing(socket.create_connection(("127.0.0.1", rig.port))) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        client.recv(1)
        wish = json.dumps({"do": "watch", "as": "h264"}).encode()
        client.sendall(bytes([0x81, 0x80 | len(wish), 0, 0, 0, 0]) + wish)  # RFC 6455, 5.2; a mask of zeros
        eventually(lambda: rig.metric("thinair_viewers_dropped_total") == before + 1)


def test_more_viewers_than_there_is_room_for_are_refused(rig: Rig) -> None:
    async def crowd() -> int:
        async with aiohttp.ClientSession() as session:
            held = [await session.ws_connect(rig.url + "ws") for _ in range(32)]
            async with session.get(rig.url + "ws", headers={"Upgrade": "websocket"}) as answer:
                code = answer.status
            for ws in held:
                await ws.close()
            return code

    assert run(crowd()) == 503
    eventually(lambda: rig.metric("thinair_viewers") == 0)


def test_every_whole_unit_reaches_a_viewer_from_a_key_frame_on(rig: Rig) -> None:
    async def watch() -> list[bytes]:
        async with aiohttp.ClientSession() as session, session.ws_connect(rig.url + "ws") as ws:
            await ws.send_str('{"do": "watch", "as": "h264"}')
            found: list[bytes] = []
            async for message in ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    found.append(message.data)
                if len(found) == 60:
                    break
            return found

    messages = run(watch())
    assert messages[0][1] & 1
    numbers = [int.from_bytes(message[4:8], "little") for message in messages]
    assert numbers == list(range(numbers[0], numbers[0] + 60))


def test_a_port_in_use_is_told_once_and_taken_when_it_is_free(tmp_path: Path) -> None:
    one = Rig(tmp_path)
    try:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            player = one.start("play", "--listen", "0", "--headless", "--dashboard", str(port))
            player.wait_for(f"no dashboard on 127.0.0.1:{port}: ")
            time.sleep(2)
            assert player.text().count("no dashboard") == 1
        player.wait_for("dashboard: http")
    finally:
        one.close()


def test_a_dashboard_that_dies_comes_back_at_its_address(tmp_path: Path) -> None:
    one = Rig(tmp_path)
    try:
        player = one.play()
        began_s = time.monotonic()
        subprocess.run(["pkill", "-9", "-f", "-P", str(player.process.pid), "thinair.receiver.dashboard"], check=True)
        player.wait_for("the dashboard exited unexpectedly")
        player.wait_for("dashboard: http", after_s=began_s)
        assert "thinair_viewers 0" in one.get("metrics")
    finally:
        one.close()


def test_a_made_up_token_guards_every_address_but_loopback(tmp_path: Path) -> None:
    one = Rig(tmp_path)
    one.words = ("--dashboard", f"0.0.0.0:{one.port}")
    with ExitStack() as stack:
        stack.callback(one.close)
        player = one.play()
        (url,) = {word for _, line in player.lines for word in line.split() if word.startswith("http://")}
        token = url.partition("?token=")[2]
        assert len(token) >= 16
        assert run(status(one.url)) == 401
        assert run(status(one.url + "metrics", Authorization=f"Bearer {token}")) == 200
        assert run(status(f"{one.url}?token={token[:-1]}")) == 401
        for strange in (b"Authorization: Bearer \xff\xfe", b"Cookie: thinair=\xff"):
            with socket.create_connection(("127.0.0.1", one.port), timeout=HANG_S) as raw:
                raw.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + strange + b"\r\n\r\n")
                assert raw.recv(64).split()[1] == b"401"


def test_a_token_that_cannot_stand_in_an_address_is_refused_at_the_start() -> None:
    done = call("play", "--headless", "--dashboard-token", "a b", "--listen", "0")
    assert done.returncode == 2
    assert "8 to 64 letters" in done.stderr
