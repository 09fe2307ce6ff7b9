"""Two machines on a cable that have never met: found by multicast DNS, paired by the code, played by name."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

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
