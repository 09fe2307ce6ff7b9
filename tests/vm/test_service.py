"""The sender as the operator has it: a real systemd starts the hardened units, the camera is vivid, pictures arrive."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT
from tests.support.processes import PLAY, Running, call, environment, running
from tests.vm.machine import HOST, Machine, Process
from thinair.bench.harness.free_ports import free_port

pytestmark = pytest.mark.long
# What udev and the sysinit target would do, and a place to read what the service says.
_ALONE = """[Unit]
DefaultDependencies=no
[Service]
StandardOutput=append:/share/thinair.log
StandardError=inherit
ProtectHome={home}
"""
_WRAPPER = """#!/bin/sh
export PYTHONPATH={root} PYTHONDONTWRITEBYTECODE=1
exec {python} -m thinair "$@"
"""
_CONFIG = """[send]
source = "hdmi"
to = "{host}:{port}"
encoder = "x264"
session_port = {session_port}
"""


class Manager:
    """systemd as the first process of a namespace of the guest."""

    def __init__(self, vm: Machine) -> None:
        self._vm = vm
        self._process: Process | None = None

    def start(self, unit: str) -> None:
        command = (
            f"exec unshare --pid --mount --fork --mount-proc env container=guest /lib/systemd/systemd --unit={unit}"
        )
        self._process = self._vm.start("sh", "-c", f"{command} --show-status=no </dev/null", timeout_s=600)

    def run(self, *words: str, check: bool = True) -> str:
        command = f"nsenter --target $(pgrep -xn systemd) -p -m systemctl {' '.join(words)}"
        return self._vm.run("sh", "-c", command, timeout_s=60, check=check).output

    def show(self, unit: str) -> dict[str, str]:
        lines = self.run("show", unit, check=False).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def wait(self, unit: str, **wanted: str) -> dict[str, str]:
        for _ in range(100):  # a look takes about a second
            shown = self.show(unit)
            if all(re.fullmatch(value, shown.get(key, "")) for key, value in wanted.items()):
                return shown
        log = self._vm.share / "thinair.log"
        raise AssertionError(f"{unit} never had {wanted}: {shown}\n{log.read_text() if log.exists() else ''}")

    def stop(self) -> None:
        if self._process is not None:
            self._vm.run("sh", "-c", "kill -KILL $(pgrep -xn systemd)", check=False)
            self._process.stop()


@pytest.fixture
def installed(vm: Machine, vivid: str) -> Iterator[tuple[Manager, Running]]:
    port = free_port()
    player = [*PLAY, "--listen", str(port), "--headless", "--seconds", "550"]
    install(vm, vivid, port)
    manager = Manager(vm)
    shutil.rmtree(vm.share / "desk", ignore_errors=True)
    with running(player, env=environment(THINAIR_STATE=str(vm.share / "desk"))) as playing:
        yield manager, playing
    manager.stop()
    (vm.share / "thinair.log").unlink(missing_ok=True)


def install(vm: Machine, vivid: str, port: int) -> None:
    """As on a Pi, but for the place of the program, and units that want nothing of this machine's own start."""
    hidden = ROOT.is_relative_to("/home") or ROOT.is_relative_to("/root")
    texts = {
        "thinair": _WRAPPER.format(root=ROOT, python=sys.executable),
        "alone.conf": _ALONE.format(home="read-only" if hidden else "yes"),
        "sender.toml": _CONFIG.format(host=HOST, port=port, session_port=vm.session_port),
    }
    for name, text in texts.items():
        (vm.share / name).write_text(text)
    vm.run("sh", "-ec", f"""
        install -m 755 /share/thinair /usr/local/bin/thinair
        install -D -m 644 /share/sender.toml /etc/thinair/sender.toml
        /usr/local/bin/thinair service install --root /run/units --program /usr/local/bin/thinair
        cp /run/units/etc/systemd/system/*.service /etc/systemd/system/
        systemd-sysusers /run/units/etc/sysusers.d/thinair.conf
        for unit in thinair thinair-edid; do
            install -D -m 644 /share/alone.conf /etc/systemd/system/$unit.service.d/alone.conf
        done
        chgrp video {vivid} && chmod 660 {vivid}
        mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup""")  # fmt: skip


@pytest.mark.timeout(600)
def test_the_service_streams_and_one_that_has_stopped_looking_is_started_again(
    vm: Machine, installed: tuple[Manager, Running]
) -> None:
    manager, player = installed
    manager.start("thinair.service")
    manager.wait("thinair.service", ActiveState="active", StatusText="no receiver")
    assert player.text().count("presented") == 0, "nobody is paired yet"
    code = vm.run("/usr/local/bin/thinair", "pairings", "code").output.strip()
    assert re.fullmatch(r"[0-9A-Z-]{14}", code), code
    paired = call("pair", f"127.0.0.1:{vm.session_port}", code, env=environment(THINAIR_STATE=str(vm.share / "desk")))
    assert paired.returncode == 0, paired.stderr
    owners = vm.run("sh", "-c", "find /var/lib/thinair -printf '%U %m %y %P\\n'").output.split("\n")
    (uid,) = {line.split()[0] for line in owners if line}
    assert uid != "0", owners
    assert all(line.split()[1] in {"700", "600", "644"} for line in owners if line), owners
    manager.wait("thinair.service", ActiveState="active", StatusText="streaming")
    assert manager.show("thinair-edid.service")["Result"] == "success"
    assert "EDID" in (vm.share / "thinair.log").read_text()
    manager.run("kill", "-s", "STOP", "thinair.service")
    assert int(manager.wait("thinair.service", NRestarts="[1-9].*")["NRestarts"]) == 1
    manager.wait("thinair.service", ActiveState="active", StatusText="streaming")
    manager.run("stop", "thinair.service")
    assert manager.show("thinair.service")["Result"] == "success"
    assert player.process.poll() is None
    assert "presented" in player.text()
