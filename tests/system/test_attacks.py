"""What somebody on the same network can do to a paired sender and player, over real sockets: listen, send again, forge,
flood, knock. The picture goes on, and each attempt is counted under its reason."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.player_with_dashboard import eventually
from tests.support.processes import HANG_S, LISTENING, PLAY, SESSION_PORT, THINAIR, Running, environment, running
from tests.support.seeds import seed
from thinair.link.endpoint import Endpoint
from thinair.link.errors import AuthenticationError
from thinair.link.native import Seal, now_us
from thinair.link.protocol.rtcp import Message, Pli, Probe, Repair, RepairRequest, Target, Welcome, build
from thinair.link.security import identity, tls
from thinair.link.security.pairing_store import Pairings, introduce
from thinair.receiver.commands.pair import pair
from thinair.sender.connection.pairing_code import PairingCode

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="listening on a network needs root"),
]
HOST = "127.0.0.1"
ETH_P_IP, SOL_PACKET, PACKET_VNET_HDR = 0x0800, 263, 15  # linux/if_ether.h, socket.h, if_packet.h
FLOOD_S = 5
PLAIN_BUFFER = 212_992  # net.core.rmem_max as the kernel has it


@dataclass(slots=True)
class Tap:
    """All datagrams on the loopback to one port, as somebody in the same room hears them."""

    port: int
    _raw: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self._raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)  # tells how a message is cut into datagrams
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._raw.bind(("lo", 0))
        self._raw.settimeout(0.2)

    def listen(self, seconds: float) -> list[bytes]:
        found, until_s = [], time.monotonic() + seconds
        while time.monotonic() < until_s:
            with contextlib.suppress(TimeoutError):
                packet, (_, _, kind, *_) = self._raw.recvfrom(65536)
                (segment,) = struct.unpack_from("=H", packet, 4)  # gso_size of linux/virtio_net.h
                ip = packet[10 + 14 :]
                head = 4 * (ip[0] & 15)
                if kind != 4 and ip[9] == socket.IPPROTO_UDP:  # 4: the copy of what goes out
                    to, size = struct.unpack_from("!HH", ip, head + 2)
                    data = ip[head + 8 : head + size]
                    step = segment or len(data)
                    if to == self.port:
                        found += [data[at : at + step] for at in range(0, len(data), step)]
        return found

    def close(self) -> None:
        self._raw.close()


class Stage:
    """A sender and a player that are paired, and who listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = introduce(folder / "state")
        self.media = 0  # the first player's, which later ones take over
        self.stack = ExitStack()
        self.sender = self._run("send", "--session-port", "0", "--name", "A-CAM", "--mode", "640x360@30",
                                "--bitrate", "4M", "--report", str(folder / "sender.json"))  # fmt: skip
        self.session_port = self.sender.port(SESSION_PORT)
        self.player = self.play()
        self.media = self.player.port(LISTENING)
        self.tap = self.stack.enter_context(contextlib.closing(Tap(self.media)))

    def _run(self, *words: str, before: tuple[str, ...] = ()) -> Running:
        line = [*before, *(PLAY if words[0] == "play" else (*THINAIR, "send")), *words[1:]]
        return self.stack.enter_context(running(line, env=environment(THINAIR_STATE=self.state)))

    def play(self, *before: str) -> Running:
        report = str(self.folder / "player.json")
        return self._run("play", "--headless", "--listen", str(self.media), "--report", report, before=before)

    def settle(self) -> None:
        eventually(lambda: shown(self.player) > 30)

    def end(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The reports of player and sender."""
        assert self.player.stop() == 0
        assert self.sender.stop() == 0
        player, sender = (json.loads((self.folder / name).read_text()) for name in ("player.json", "sender.json"))
        return player, sender

    def sender_port(self) -> int:
        """Of its media, as anybody sees it."""
        found = subprocess.run(["ss", "-Hulnp"], capture_output=True, text=True, check=True).stdout
        ports = set(re.findall(rf":(\d+) .*pid={self.sender.process.pid},", found)) - {"5353"}  # multicast DNS
        (port,) = ports
        return int(port)


def shown(player: Running) -> int:
    found = re.findall(r"presented (\d+)", player.text())
    return int(found[-1]) if found else 0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    one = Stage(tmp_path)
    with one.stack:
        one.settle()
        yield one


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        one.settimeout(0.3)
        yield one


def whole(player: dict[str, Any]) -> None:
    """Nothing was lost, damaged or left out."""
    frames = player["frames"]
    assert (frames["lost"], frames["skipped"], player["decoder"]["error"], player["decoder"]["corrupt"]) == (0, 0, 0, 0)
    assert frames["presented"] + frames["superseded"] == frames["completed"] > 60


def test_a_whole_recorded_session_sent_again_is_counted_and_shows_nothing(
    stage: Stage, stranger: socket.socket
) -> None:
    recorded = stage.tap.listen(2.0)
    assert len(recorded) > 200
    for datagram in recorded:  # into the same session
        stranger.sendto(datagram, (HOST, stage.media))
    before = shown(stage.player)
    eventually(lambda: shown(stage.player) > before + 60)
    assert stage.player.stop() == 0
    first = json.loads((stage.folder / "player.json").read_text())
    assert first["drops"]["replay"] >= len(recorded) * 0.9
    whole(first)
    stage.player = stage.play()  # and into the next one
    stage.settle()
    for datagram in recorded:
        stranger.sendto(datagram, (HOST, stage.media))
    before = shown(stage.player)
    eventually(lambda: shown(stage.player) > before + 60)
    player, _ = stage.end()
    # The same SSRC goes on, so most are told from new ones by their numbers before a key is tried.
    assert player["drops"].get("auth", 0) + player["drops"]["replay"] >= len(recorded) * 0.9
    whole(player)


def test_changed_cut_and_spliced_packets_of_a_live_session_are_refused(stage: Stage, stranger: socket.socket) -> None:
    pick = random.Random(seed())
    live = stage.tap.listen(1.0)
    for datagram in live:
        changed = bytearray(datagram)
        changed[pick.randrange(len(changed))] ^= 1 << pick.randrange(8)
        other = pick.choice(live)
        cut = pick.randrange(12, len(datagram))
        ahead = (int.from_bytes(datagram[2:4]) + 20_000 & 0xFFFF).to_bytes(2)  # no replay, so its key is tried
        renumbered = datagram[:2] + ahead + datagram[4:]
        for forged in (bytes(changed), datagram[:cut], datagram[:cut] + other[cut:], datagram + b"\0", renumbered):
            if forged not in live:
                stranger.sendto(forged, (HOST, stage.media))
    before = shown(stage.player)
    eventually(lambda: shown(stage.player) > before + 60)
    player, _ = stage.end()
    refused = sum(
        player["drops"].get(reason, 0) for reason in ("auth", "replay", "ssrc", "version", "extension", "short")
    )
    assert refused >= 3 * len(live)
    assert player["drops"]["auth"] > 0.9 * len(live)
    whole(player)


def test_forged_control_and_repair_requests_get_no_byte_and_change_nothing(
    stage: Stage, stranger: socket.socket
) -> None:
    ssrc = struct.unpack_from("!I", next(one for one in stage.tap.listen(1.0) if one[1] & 0x7F == 96), 8)[0]
    port, forger = stage.sender_port(), Seal()
    forger.install(os.urandom(88), os.urandom(88), ssrc)
    wishes: list[Message] = [
        Welcome(1, 2, 3, 4), Pli(1, ssrc), Probe(1, 2, now_us(), 3), Repair(1, 2, (RepairRequest(1, 255, 255, 1),)),
        Target(1, 2, 0xFFFFFFF0, 500_000, 1, 0xFFFF, 0, 128, 3),
    ]  # fmt: skip
    sent = 0
    for _ in range(200):
        for wish in wishes:
            for datagram in (build(wish), forger.seal_rtcp(build(wish)), os.urandom(200)):
                sent += stranger.sendto(datagram, (HOST, port))
    with pytest.raises(TimeoutError):  # reflection: nothing out for all that went in
        stranger.recv(65536)
    before = shown(stage.player)
    eventually(lambda: shown(stage.player) > before + 60)
    player, sender = stage.end()
    assert sent > 100_000
    assert sender["send"]["control_drops"] > 2000
    assert sender["send"]["auth"] > 1000
    assert sender["send"]["requests"] < 50, "the player's own; of those forged there were 400"
    whole(player)


_FLOOD = """
import os, socket, sys, time
port, ssrc, pps, seconds = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
began, sent = time.monotonic(), 0
head = b"\\x90\\x60"
body = os.urandom(1200)
while (passed := time.monotonic() - began) < seconds:
    while sent < passed * pps:
        one.sendto(head + sent.to_bytes(2 + 4)[-2:] + bytes(4) + ssrc + b"\\xbe\\xde\\0\\0" + body, ("127.0.0.1", port))
        sent += 1
    time.sleep(0.0005)
print(sent)
"""


@pytest.fixture
def plain_buffer() -> Iterator[None]:
    """The receive buffer that a plain user gets: the kernel's own limit, and no right to go over it."""
    path = Path("/proc/sys/net/core/rmem_max")
    before = path.read_text()
    try:
        path.write_text(str(PLAIN_BUFFER))
    except OSError:
        pytest.skip("the kernel's limit of receive buffers is not ours to set here")
    yield
    path.write_text(before)


@pytest.mark.usefixtures("plain_buffer")
@pytest.mark.parametrize("pps", [20_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_a_flood_of_forged_packets_that_look_like_the_picture_costs_no_frame(stage: Stage, pps: int) -> None:
    stage.player.stop()
    stage.player = stage.play("setpriv", "--bounding-set=-net_admin")
    stage.settle()
    ssrc = next(one for one in stage.tap.listen(1.0) if one[1] & 0x7F == 96)[8:12]
    line = [sys.executable, "-c", _FLOOD, str(stage.media), ssrc.hex(), str(pps), str(FLOOD_S)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
    before = shown(stage.player)
    eventually(lambda: shown(stage.player) > before + 60)
    player, _ = stage.end()
    assert int(done.stdout) > 0.9 * pps * FLOOD_S
    refused = player["drops"]["auth"] + player["drops"].get("replay", 0) + player["receive"]["kernel_drops"]
    assert refused > 0.9 * int(done.stdout)
    assert player["receive"]["receive_buffer"] == PLAIN_BUFFER
    whole(player)


def test_a_thousand_wrong_codes_open_nothing_and_disturb_nobody(stage: Stage) -> None:
    async def try_all() -> list[str]:
        own, pairings, said = identity.load(stage.folder), Pairings(stage.folder), []
        for number in range(1000):
            with pytest.raises(AuthenticationError) as caught:
                await pair(Endpoint(HOST, stage.session_port), f"0000-0000-{number:04}", own, pairings)
            said.append(str(caught.value))
        return said

    said = asyncio.run(try_all())
    assert sum(one.startswith("wrong code;") for one in said) == 10
    assert sum(one.startswith("pairing is closed after too many wrong codes") for one in said) == 990
    player, sender = stage.end()
    assert (sender["control"]["wrong_code"], sender["control"]["closed"]) == (10, 990)
    whole(player)


def test_wrong_codes_tried_all_at_once_are_counted_one_by_one(stage: Stage) -> None:
    async def try_all() -> list[str]:
        own, pairings = identity.load(stage.folder), Pairings(stage.folder)
        tries = [pair(Endpoint(HOST, stage.session_port), f"0000-0000-{at:04}", own, pairings) for at in range(4)]
        return [str(one) for one in await asyncio.gather(*tries, return_exceptions=True)]

    said: list[str] = []
    while not any(one.startswith("pairing is closed after too many wrong codes") for one in said) and len(said) < 80:
        said += asyncio.run(try_all())  # of four from one address the server may have sent one away
    assert sum(one.startswith("wrong code;") for one in said) == 10, said
    eventually(lambda: shown(stage.player) > 120)
    player, sender = stage.end()
    assert sender["control"]["wrong_code"] == 10
    whole(player)


def test_a_stranger_who_begins_to_pair_and_falls_silent_keeps_nobody_from_it(stage: Stage, tmp_path: Path) -> None:
    home = tmp_path / "stranger"
    home.mkdir()
    pem, env = identity.load(home).pem, environment(THINAIR_STATE=str(tmp_path / "guest"))
    begin = {"do": "pair", "version": 1, "name": "x", "certificate": pem, "nonce": "00" * 32}
    with socket.create_connection((HOST, stage.session_port)) as plain:
        one = tls.receiver_context(None, None).wrap_socket(plain)
        one.sendall(json.dumps(begin).encode() + b"\n")
        assert b'"nonce"' in one.recv(4096)
        code = str(PairingCode(Path(stage.state) / "sender").current())
        line = [*THINAIR, "pair", f"{HOST}:{stage.session_port}", code]
        done = subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=9)
        assert done.returncode == 0, done.stderr
        one.close()


def test_slow_and_many_strangers_at_the_session_server_keep_no_receiver_out(stage: Stage) -> None:
    held = []
    for number in range(2, 40):  # each has an address of its own, as on a network
        one = socket.socket()
        one.bind((f"127.0.0.{number}", 0))
        one.settimeout(HANG_S)
        one.connect((HOST, stage.session_port))
        held.append(one)
    began_s = time.monotonic()
    stage.player.stop()
    stage.player = stage.play()
    stage.player.wait_for("connected to", after_s=began_s)
    for one in held:
        one.close()
    player, sender = stage.end()
    assert sender["control"]["too_many"] + sender["control"].get("slow", 0) + sender["control"].get("tls", 0) > 0
    assert player["frames"]["lost"] == 0


def test_a_sender_that_somebody_else_claims_to_be_is_not_believed(stage: Stage, tmp_path: Path) -> None:
    """His TLS server stands where a call in the clear says that the sender is."""
    (tmp_path / "false").mkdir()
    false = identity.load(tmp_path / "false")

    async def lure() -> int:
        met = 0

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal met
            met += 1
            writer.close()

        server = await asyncio.start_server(meet, HOST, 0, ssl=tls.sender_context(false, []))
        port = server.sockets[0].getsockname()[1]
        print_ = bytes.fromhex(Pairings(Path(stage.state) / "receiver").all()[0].fingerprint)
        call = struct.pack("!BBHI4sBBHQ32s16s", 0x8A, 204, 17, 1, b"TAIR", 1, 0, port, 77, print_, b"A-CAM")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
            for _ in range(50):
                liar.sendto(call, (HOST, stage.media))
                await asyncio.sleep(0.02)
        server.close()
        return met

    assert asyncio.run(lure()) == 0, "nobody gets as far as to speak"
    before = shown(stage.player)
    eventually(lambda: shown(stage.player) > before + 60)
    player, _ = stage.end()
    whole(player)
