"""Two machines on a cable that have never met: found by multicast DNS, paired by the code, played by name."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.netns import Cable, Host, cable
from tests.support.player_with_dashboard import eventually
from tests.support.processes import PLAY, THINAIR, Running, environment, running
from thinair.link.security.pairing_store import Pairings, introduce
from thinair.receiver.connection.mdns_browser import watching
from thinair.sender.connection.mdns_publisher import AVAHI_FILE

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]
SESSION_PORT = "5010"


@pytest.fixture
def two() -> Iterator[Cable]:
    with cable() as made:
        yield made


def call(host: Host, home: Path, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    env = environment(THINAIR_STATE=str(home))
    line = [*host.inside, *THINAIR, *words]
    return subprocess.run(line, env=env, input=said, capture_output=True, text=True, check=False, timeout=60)


def shown(player: Running) -> int:
    found = re.findall(r"presented (\d+)", player.text())
    return int(found[-1]) if found else 0


@pytest.mark.parametrize("turns", range(6))
def test_a_search_that_is_called_off_while_it_starts_leaves_no_socket_open(turns: int) -> None:
    def sockets() -> list[str]:
        found = []
        for one in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # the listing's own
                found.append(str(one.readlink()))
        return sorted(one for one in found if one.startswith("socket:"))

    async def search() -> None:
        async with watching(lambda _: None):
            await asyncio.Event().wait()

    async def call_off() -> tuple[list[str], list[str]]:
        await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        before, task = sockets(), asyncio.create_task(search())
        for _ in range(turns):  # of the loop: each finds it one step further
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return before, sockets()

    before, after = asyncio.run(call_off())
    assert before == after


def test_a_new_user_finds_pairs_and_plays_a_sender_by_its_name(two: Cable, tmp_path: Path) -> None:
    camera, desk = tmp_path / "camera", tmp_path / "desk"
    with ExitStack() as stack:
        words = ["send", "--name", "A-CAM", "--mode", "640x360@30", "--bitrate", "1M"]
        line = [*two.sender.inside, *THINAIR, *words]
        sender = stack.enter_context(running(line, env=environment(THINAIR_STATE=str(camera))))
        sender.wait_for("session server at")
        code = call(two.sender, camera, "pairings", "code").stdout

        def listed(word: str) -> str:
            found = call(two.receiver, desk, "ls").stdout
            return found if word in found else ""

        row = rf"A-CAM +{two.sender.address}:{SESSION_PORT} +no +waiting +640x360@30"
        assert re.search(row, eventually(lambda: listed("A-CAM"), 20))
        done = call(two.receiver, desk, "pair", said=code)
        assert done.returncode == 0, done.stderr
        assert f"A-CAM at {two.sender.address}:{SESSION_PORT}" in done.stderr
        line = [*two.receiver.inside, *PLAY, "--headless", "A-CAM"]
        player = stack.enter_context(running(line, env=environment(THINAIR_STATE=str(desk))))
        player.wait_for("connected to A-CAM")
        eventually(lambda: shown(player) > 30)
        assert re.search(r"A-CAM +\S+ +yes +sending", eventually(lambda: listed("sending"), 20))
        assert call(two.receiver, desk, "pair").returncode == 2, "nobody is left to pair with"


def test_a_receiver_whose_address_changes_is_followed_in_the_same_session(two: Cable, tmp_path: Path) -> None:
    """As when it roams to another access point."""
    env = environment(THINAIR_STATE=introduce(tmp_path))
    with ExitStack() as stack:
        send = [*two.sender.inside, *THINAIR, "send", "--mode", "640x360@30", "--bitrate", "1M"]
        sender = stack.enter_context(running(send, env=env))
        sender.wait_for("session server at")
        player = stack.enter_context(running([*two.receiver.inside, *PLAY, "--headless"], env=env))
        eventually(lambda: shown(player) > 30)
        elsewhere, device = "10.97.0.77", ("dev", two.receiver.device)
        for words in (("del", f"{two.receiver.address}/24"), ("add", f"{elsewhere}/24")):
            subprocess.run(["ip", "-n", two.receiver.name, "address", *words, *device], check=True)
        sender.wait_for(f"receiver moved to {elsewhere}:")
        before = shown(player)
        eventually(lambda: shown(player) > before + 60)
        assert sender.text().count("connected from") == 1, "no new session was needed"


def test_a_sender_that_a_stranger_makes_up_is_listed_as_not_paired_and_never_called_twice(
    two: Cable, tmp_path: Path
) -> None:
    """Forged multicast DNS: another name with the fingerprint of the paired sender, and a flood of names."""
    state = introduce(tmp_path)
    mine = Pairings(tmp_path / "receiver").all()[0].fingerprint
    liar = [*two.sender.inside, sys.executable, "-c", _LIAR, two.sender.address, mine]
    env = environment(THINAIR_STATE=state)
    with ExitStack() as stack:
        one = stack.enter_context(running(liar, env=env))
        one.wait_for("announced")
        found = call(two.receiver, tmp_path, "ls", "--seconds", "4").stdout
        assert re.search(r"FALSE +\S+ +yes", found), "its fingerprint is the right one; what it says is a hint"
        assert re.search(r"STRANGER-\d+ +\S+ +no", found)
        assert "\x1b" not in found
        report = tmp_path / "player.json"
        line = [*two.receiver.inside, *PLAY, "--headless", "--seconds", "4", "--report", str(report)]
        player = stack.enter_context(running(line, env=env))
        assert player.end() == 6, "nobody with the key of the paired one was there"
        control = json.loads(report.read_text())["control"]
        assert control["unpaired"] >= 20
        assert control["unreachable"] + control.get("tls", 0) >= 1
        assert "connected to" not in player.text()


_LIAR = """
import asyncio, socket, sys
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from thinair.link.mdns import SERVICE
host, print_ = sys.argv[1:]
async def main():
    here = AsyncZeroconf(interfaces=[host])
    for at in range(21):
        fp = print_ if at == 0 else f"{at:064x}"
        name = "FALSE" if at == 0 else f"STRANGER-{at}"
        txt = {"v": "1", "fp": fp, "door": "5010", "model": "\\x1b[31mred" * 9, "state": "sending", "mode": "x" * 200}
        info = AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", port=1, properties=txt, parsed_addresses=[host])
        await here.async_register_service(info, cooperating_responders=True)
    print("announced", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_nobody_is_found_where_nobody_is(two: Cable, tmp_path: Path) -> None:
    done = call(two.receiver, tmp_path, "ls", "--seconds", "0.5")
    assert done.returncode == 1
    assert done.stdout == "no sender found on this network\n"


CONF = "[server]\nenable-dbus=no\nuse-ipv6=no\nallow-interfaces={device}\n[publish]\npublish-workstation=no\n"


@pytest.mark.skipif(shutil.which("avahi-daemon") is None, reason="needs avahi-daemon")
def test_a_sender_on_a_board_with_avahi_is_found_by_the_file_that_it_may_write(two: Cable, tmp_path: Path) -> None:
    """As on Raspberry Pi OS: the sender has no zeroconf of its own."""
    services, conf = tmp_path / "services", tmp_path / "avahi.conf"
    services.mkdir()
    (services / AVAHI_FILE.name).touch()
    conf.write_text(CONF.format(device=two.sender.device))
    mounts = f"mount -t tmpfs none /run && mkdir /run/avahi-daemon && mount --bind {services} /etc/avahi/services"

    def beside_avahi(*words: str) -> list[str]:
        return [*two.sender.inside, "unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", *words]

    avahi = ["avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", str(conf)]
    send = [*THINAIR, "send", "--name", "A & B", "--mode", "640x360@30", "--bitrate", "1M"]
    with ExitStack() as stack:
        daemon = stack.enter_context(running(beside_avahi(*avahi)))
        daemon.wait_for("Server startup complete")
        sender = stack.enter_context(running(beside_avahi(*send), env=environment(THINAIR_STATE=str(tmp_path / "a"))))
        sender.wait_for("session server at")
        row = rf"A & B +{two.sender.address}:{SESSION_PORT} +no +waiting +640x360@30"
        eventually(lambda: re.search(row, call(two.receiver, tmp_path / "b", "ls").stdout), 30)
        assert "<name>A &amp; B</name>" in (services / AVAHI_FILE.name).read_text()
