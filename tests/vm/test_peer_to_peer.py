"""Peer to peer over the kernel's simulated radios: the real commands, hostapd and wpa_supplicant in two namespaces."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator

import pytest

from tests.vm.machine import Machine, Process
from thinair.link.child_process import python_module

NAME = "thinair-lab"


class Air:
    """Two radios in two namespaces: the camera's and the desk's."""

    def __init__(self, vm: Machine) -> None:
        self.vm = vm

    def command(self, where: str, *words: str) -> list[str]:
        return ["ip", "netns", "exec", where, *python_module("thinair", *words)]

    def start(self, where: str, *words: str, home: str = "") -> Process:
        env = {"THINAIR_STATE": f"/run/state/{home}"} if home else {}
        return self.vm.start(*self.command(where, *words), timeout_s=400, env=env)

    def sh(self, script: str, *, check: bool = True) -> str:
        return self.vm.run("sh", "-c", script, timeout_s=60, check=check).output

    def status(self, where: str) -> dict[str, object]:
        return dict(json.loads(self.vm.run(*self.command(where, "wifi", "status", "--json"), timeout_s=60).output)[0])


@pytest.fixture
def air(vm: Machine) -> Iterator[Air]:
    vm.load("mac80211_hwsim", radios=2)
    radio = "iw phy $(cat /sys/class/net/{}/phy80211/name) set netns name {}"
    names = sorted(vm.run("sh", "-c", "ls -d /sys/class/net/*/phy80211 | cut -d/ -f5").output.split())
    moves = [radio.format(name, place) for name, place in zip(names, ("cam", "desk"), strict=True)]
    ready = "; ".join(["ip netns add cam", "ip netns add desk", *moves])
    vm.run("sh", "-c", f"{ready}; for n in cam desk; do ip -n $n link set lo up; done")
    yield Air(vm)
    if vm.alive:
        vm.settle()
        vm.run("sh", "-c", "ip netns del cam; ip netns del desk; sleep 0.5", check=False)
        vm.unload("mac80211_hwsim")


@pytest.fixture
def ap(air: Air) -> Process:
    words = ("--ssid", NAME, "--country", "US", "--backend", "hostapd", "--key-file", "/run/thinair.key")
    process = air.start("cam", "wifi", "ap", *words)
    process.until(r"access point is up", 90)
    return process


def join(air: Air, key: str) -> Process:
    air.sh(f"umask 077; printf %s '{key}' > /run/join.key")
    words = ("--ssid", NAME, "--key-file", "/run/join.key", "--backend", "wpa_supplicant")
    return air.start("desk", "wifi", "join", *words)


@pytest.mark.timeout(600)
def test_the_sender_is_an_access_point_and_the_picture_survives_its_loss(air: Air, ap: Process) -> None:
    key = air.sh("cat /run/thinair.key").strip()
    assert re.fullmatch(r"[a-z2-9]{20}", key)
    assert air.sh("stat -c %a /run/thinair.key").strip() == "600"
    assert key not in ap.output
    assert key not in air.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    station = join(air, key)
    station.until(r"station is up", 120)
    address = ""
    for _ in range(60):
        found = re.search(r"inet (10\.55\.0\.\d+)/24", air.sh("ip -n desk -4 addr; sleep 0.5"))
        if found is not None:
            address = found[1]
            break
    assert address, "no address by DHCP"
    assert "default" not in air.sh("ip -n desk route"), "nothing lies behind the sender"

    status = air.status("cam")
    assert status["interface"]["kind"] == "AP"  # type: ignore[index]  # parsed JSON
    assert status["interface"]["ssid"] == NAME  # type: ignore[index]
    assert len(status["peers"]) == 1  # type: ignore[arg-type]
    assert air.status("desk")["interface"]["kind"] == "managed"  # type: ignore[index]

    sender = air.start("cam", "send", "--to", f"{address}:5004", "--mode", "640x360@5", "--seconds", "300", home="cam")
    place = sender.until(r"session server at (\S+);", 60)[1]
    code = air.sh("THINAIR_STATE=/run/state/cam " + shlex.join(air.command("cam", "pairings", "code"))).strip()
    air.start("desk", "pair", place, code, home="desk").until(r"paired with thinair", 60)
    player = air.start("desk", "play", "--dashboard", "off", "--headless", "--seconds", "300", home="desk")
    pictures(player, sender, 10)
    air.sh("pkill -x hostapd")
    ap.until(r"hostapd ended", 30)
    ap.until(r"started again[\s\S]*access point is up", 60)
    station.until(r"is not connected[\s\S]*station is up", 120)
    pictures(player, sender, pictures(player, sender, 1) + 10)
    for process in (sender, player, station, ap):
        process.stop()


def pictures(player: Process, sender: Process, wanted: int) -> int:
    """How many pictures the player says it has shown, once there are so many."""

    def shown() -> int:
        return max((int(count) for count in re.findall(r"presented (\d+)", player.output)), default=0)

    player.machine.pump(lambda: shown() >= wanted, time.monotonic() + 120)
    assert shown() >= wanted, player.output + sender.output
    return shown()


@pytest.mark.timeout(300)
def test_a_wrong_key_is_said_in_one_line(air: Air, ap: Process) -> None:
    station = join(air, "certainly-not-this-one")
    line = station.until(r"thinair wifi: station is refused: wrong key.*", 90)
    assert "--show-key" in line[0]
    station.stop()
    ap.stop()


@pytest.mark.timeout(120)
def test_a_country_that_is_not_set_is_one_line(air: Air) -> None:
    air.sh("iw reg set 00; sleep 0.5")
    done = air.vm.run(*air.command("cam", "wifi", "ap", "--key-file", "/run/k"), timeout_s=60, check=False)
    assert done.exit == 2
    assert "add --country XX" in done.output
