"""Paired and sealed, as processes: coming to know each other, and what strangers, restarts and new addresses change."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import HANG_S, LISTENING, PLAY, SESSION_PORT, THINAIR, Running, environment, running
from thinair.link.endpoint import Endpoint
from thinair.link.errors import AuthenticationError
from thinair.link.protocol.session_messages import decode_grant
from thinair.link.security import identity, tls
from thinair.link.security.pairing_store import Pairings, introduce
from thinair.receiver.commands.pair import pair

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import SessionGrant

HOST = "127.0.0.1"
MODE = ("--mode", "640x360@30", "--bitrate", "1M", "--name", "A-CAM")


class Set:
    """A sender with its session server, and receivers with homes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.session_port = 0  # the first sender's, which later ones take over
        self.stack = ExitStack()

    def env(self, name: str = "desk") -> dict[str, str]:
        return environment(THINAIR_STATE=str(self.folder / name))

    def thinair(self, *words: str, name: str = "desk", said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*THINAIR, *words], env=self.env(name), input=said, capture_output=True, text=True, check=False, timeout=60
        )

    def send(self, *words: str) -> Running:
        line = [*THINAIR, "send", "--session-port", str(self.session_port), *MODE, *words]
        one = self.stack.enter_context(running(line, env=self.env("camera")))
        self.session_port = one.port(SESSION_PORT)
        return one

    def play(self, *words: str, name: str = "desk", port: int = 0) -> Running:
        line = [*PLAY, "--headless", "--listen", str(port), *words]
        return self.stack.enter_context(running(line, env=self.env(name)))

    def code(self) -> str:
        return self.thinair("pairings", "code", name="camera").stdout.strip()

    def pair(self, name: str = "desk") -> None:
        done = self.thinair("pair", f"{HOST}:{self.session_port}", name=name, said=self.code() + "\n")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Set]:
    one = Set(tmp_path)
    with one.stack:
        yield one


def test_a_new_user_pairs_by_the_code_and_sees_the_picture(place: Set) -> None:
    sender = place.send()
    code = place.code()
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}", code)
    assert code not in sender.text(), "a log is no place for it"
    player = place.play()
    player.wait_for("no sender is paired yet: run thinair pair")
    done = place.thinair("pair", f"{HOST}:{place.session_port}", said=code.lower().replace("-", " ") + "\n")
    assert done.returncode == 0, done.stderr
    assert "paired with A-CAM" in done.stdout
    player.wait_for("connected to A-CAM")
    player.wait_for_pictures(30)
    listed = place.thinair("pairings", "list").stdout
    assert re.search(rf"sender +[0-9a-f]{{12}} +A-CAM +{HOST}:{place.session_port}", listed)
    for path in (place.folder / "desk" / "receiver").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_after_ten_wrong_codes_pairing_is_closed_until_somebody_at_the_sender_opens_it(
    place: Set,
) -> None:
    place.send()
    right = place.code()

    async def try_all() -> list[str]:
        own, pairings = identity.load(place.folder), Pairings(place.folder)
        said = []
        for number in range(12):
            with pytest.raises(AuthenticationError) as caught:
                await pair(Endpoint(HOST, place.session_port), f"0000-0000-00{number:02}", own, pairings)
            said.append(str(caught.value))
        return said

    said = asyncio.run(try_all())
    assert said[0] == "wrong code; 9 tries left"
    assert said[9] == "wrong code; 0 tries left"
    assert all("too many wrong codes" in one for one in said[10:])
    done = place.thinair("pair", f"{HOST}:{place.session_port}", said=right + "\n")
    assert done.returncode == 2
    assert "thinair pairings renew" in done.stderr
    assert place.thinair("pairings", "code", name="camera").returncode == 2
    assert place.thinair("pairings", "renew", name="camera").stdout.strip() != right
    place.pair()


@pytest.mark.parametrize("open_end", ["sender", "player"])
def test_an_encrypted_end_and_an_unencrypted_one_say_so(place: Set, open_end: str) -> None:
    player = place.play(*(["--no-encryption"] if open_end == "player" else []))
    port = player.port(LISTENING)
    words = ["--to", f"{HOST}:{port}", *(["--no-encryption"] if open_end == "sender" else [])]
    line = [*THINAIR, "send", "--session-port", str(place.session_port), *MODE, *words]
    place.stack.enter_context(running(line, env=place.env("camera")))
    player.wait_for("uses an unencrypted link, this" if open_end == "sender" else "uses an encrypted link, this")


def test_a_restarted_player_and_a_restarted_sender_are_back_at_once(place: Set) -> None:
    sender = place.send()
    place.pair()
    player = place.play()
    port = player.port(LISTENING)
    player.wait_for_pictures(10)
    player.kill()
    player = place.play(port=port)
    player.wait_for("sender A-CAM")
    assert "connected to A-CAM" in player.lines[1][1], "by its first call, right after it listens"
    sender.kill()
    began_s = time.monotonic()
    place.send()
    player.wait_for("connected to A-CAM", after_s=began_s)
    player.wait_for_pictures(30)


def test_a_second_receiver_is_refused_by_name_or_takes_over_and_both_are_told(place: Set) -> None:
    place.send()
    place.pair("one")
    place.pair("two")
    first = place.play(name="one")
    first.wait_for_pictures(10)
    second = place.play(name="two")
    second.wait_for("has the session: --take-over takes it over")
    assert second.presented() == 0
    second.stop()
    taker = place.play("--take-over", name="two")
    taker.wait_for_pictures(10)
    first.wait_for("has taken over")


def test_a_receiver_that_is_forgotten_loses_the_picture_and_is_told_to_pair_again(place: Set) -> None:
    place.send()
    place.pair()
    player = place.play()
    player.wait_for_pictures(10)
    name = socket.gethostname()
    assert place.thinair("pairings", "forget", name, name="camera").returncode == 0
    player.wait_for("this sender has removed the pairing")
    player.wait_for("pair again")
    assert place.thinair("pairings", "forget", name, name="camera").returncode == 2


def test_a_sender_that_calls_a_receiver_it_is_not_paired_with_is_named_once(place: Set) -> None:
    player = place.play()
    place.send("--to", f"{HOST}:{player.port(LISTENING)}")
    player.wait_for(f":{place.session_port} is not paired: run thinair pair ")
    time.sleep(1.0)
    assert player.text().count(f":{place.session_port} is not paired") == 1
    place.pair()
    player.wait_for_pictures(10)


def test_nothing_of_the_picture_and_no_key_stands_in_the_clear(tmp_path: Path) -> None:
    """The datagrams that a receiver is sent, caught at its port by one that is let in as it is."""
    state = Path(introduce(tmp_path / "state"))
    env = environment(THINAIR_STATE=str(state))
    caught: list[bytes] = []
    with ExitStack() as stack:
        tap = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tap.bind((HOST, 0))
        tap.settimeout(HANG_S)
        line = [*THINAIR, "send", "--session-port", "0", *MODE]
        session_port = stack.enter_context(running(line, env=env)).port(SESSION_PORT)
        answer = asyncio.run(let_in(state, session_port, tap.getsockname()[1]))
        for _ in range(10):  # HELLO, sealed; without the echo of its cookie nothing else comes
            caught.append(tap.recv(65536))
    assert answer["ssrc"]
    assert {data[1] for data in caught} == {204}
    assert all(len(data) <= 84 + 20 for data in caught)
    for data in caught:
        assert b"A-CAM" not in data
        assert b"TAIR" not in data[8:]


async def let_in(state: Path, session_port: int, port: int) -> SessionGrant:
    home = state / "receiver"
    (pairing,) = Pairings(home).all()
    context = tls.receiver_context(identity.load(home), pairing.certificate)
    reader, writer = await asyncio.open_connection(HOST, session_port, ssl=context)
    secret = "ab" * 32
    tls.send(
        writer,
        {"do": "session", "version": 1, "can": ["h264"], "port": port, "secret": secret, "take_over": False},
    )
    line = await tls.receive_line(reader, HANG_S)
    assert line is not None
    answer = decode_grant(line)
    assert answer is not None
    assert "refusal" not in answer
    await tls.abort(writer)
    return answer


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\n", b"{}\n", b"[]\n", b"nonsense\n", b"{" * 5000 + b"\n", b"x" * 100_000, b'{"do":"pair"}\n',
        b'{"do":"pair","version":2}\n', b'{"do":"session","version":1,"port":5,"secret":"00"}\n',
        b'{"do":"pair","version":1,"name":"x","certificate":"y","nonce":"z"}\n',
        b'{"do":"pair","version":1,"name":1,"certificate":[],"nonce":{}}\n', bytes(range(256)),
    ],
)  # fmt: skip
def test_a_session_server_survives_whatever_is_said_there(place: Set, said: bytes) -> None:
    sender = place.send()
    context = tls.receiver_context(None, None)
    for plain in (True, False):
        for _ in range(3):
            with (
                contextlib.suppress(OSError),
                socket.create_connection((HOST, place.session_port), timeout=HANG_S) as raw,
                contextlib.closing(raw if plain else context.wrap_socket(raw)) as line,
            ):
                line.sendall(said)
                line.settimeout(5 if said.endswith(b"\n") and not plain else 0.3)
                line.recv(4096)
    place.pair()
    assert sender.process.poll() is None


def test_a_stranger_with_a_certificate_of_his_own_gets_no_session(place: Set, tmp_path: Path) -> None:
    place.send()
    place.pair()
    (tmp_path / "stranger").mkdir()
    stranger = identity.load(tmp_path / "stranger")

    def ask(own: identity.Identity | None) -> bytes:
        """What is answered; nothing where the server ends it by an alert or at once."""
        context = tls.receiver_context(own, None)
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, place.session_port), timeout=HANG_S) as raw,
            contextlib.closing(context.wrap_socket(raw)) as line,
        ):
            line.sendall(b'{"do":"session","version":1,"port":9,"secret":"' + b"ab" * 32 + b'"}\n')
            return line.recv(4096)
        return b""

    assert ask(stranger) == b""
    assert ask(None) == b"", "without a certificate there is only pairing"
