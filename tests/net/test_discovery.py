"""Two machines on a cable that have never met: found by multicast DNS, paired by the code, played by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sender.announce import AVAHI_FILE
from tests.desk import eventually
from tests.net.netns import Cable, Host, cable
from tests.processes import PLAY, THINAIR, Running, environment, running

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]
DOOR = "5010"


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


def test_a_new_user_finds_pairs_and_plays_a_sender_by_its_name(two: Cable, tmp_path: Path) -> None:
    camera, desk = tmp_path / "camera", tmp_path / "desk"
    with ExitStack() as stack:
        words = ["send", "--name", "A-CAM", "--mode", "640x360@30", "--bitrate", "1M"]
        line = [*two.sender.inside, *THINAIR, *words]
        sender = stack.enter_context(running(line, env=environment(THINAIR_STATE=str(camera))))
        sender.wait_for("receivers come in")
        code = call(two.sender, camera, "pairings", "code").stdout

        def listed(word: str) -> str:
            found = call(two.receiver, desk, "ls").stdout
            return found if word in found else ""

        row = rf"A-CAM +{two.sender.address}:{DOOR} +no +waiting +640x360@30"
        assert re.search(row, eventually(lambda: listed("A-CAM"), 20))
        done = call(two.receiver, desk, "pair", said=code)
        assert done.returncode == 0, done.stderr
        assert f"A-CAM at {two.sender.address}:{DOOR}" in done.stderr
        line = [*two.receiver.inside, *PLAY, "--headless", "A-CAM"]
        player = stack.enter_context(running(line, env=environment(THINAIR_STATE=str(desk))))
        player.wait_for("A-CAM lets us in")
        eventually(lambda: shown(player) > 30)
        assert re.search(r"A-CAM +\S+ +yes +sending", eventually(lambda: listed("sending"), 20))
        assert call(two.receiver, desk, "pair").returncode == 2, "nobody is left to pair with"


def test_nobody_is_found_where_nobody_is(two: Cable, tmp_path: Path) -> None:
    done = call(two.receiver, tmp_path, "ls", "--seconds", "0.5")
    assert done.returncode == 1
    assert done.stdout == "no sender is found on this network\n"


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
        sender.wait_for("receivers come in")
        row = rf"A & B +{two.sender.address}:{DOOR} +no +waiting +640x360@30"
        eventually(lambda: re.search(row, call(two.receiver, tmp_path / "b", "ls").stdout), 30)
        assert "<name>A &amp; B</name>" in (services / AVAHI_FILE.name).read_text()
