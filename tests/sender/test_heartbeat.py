"""The status LED, systemd's watchdog, and the installed service."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import socket
import subprocess
from pathlib import Path

import pytest

from thinair.link.protocol.source_state import SourceCode
from thinair.sender.board.doctor import Board
from thinair.sender.board.status_led import PATTERNS, LedInputs, LedState, StatusLed, choose_state, find_led, steps
from thinair.sender.heartbeat import Heartbeat, network_up
from thinair.sender.systemd.install import UNITS, install, prepare, release
from thinair.sender.systemd.sd_notify import SdNotify

pytestmark = pytest.mark.quick
LIVE = LedInputs(network=True, source=SourceCode.LIVE, linked=True, streaming=True)


@pytest.mark.parametrize(
    ("inputs", "state"),
    [
        (LedInputs(fault=True), LedState.FAULT),
        (LedInputs(), LedState.NO_NETWORK),
        (LedInputs(source=SourceCode.LIVE, linked=True, streaming=True), LedState.NO_NETWORK),
        (LedInputs(network=True), LedState.NO_PICTURE),
        (LedInputs(network=True, source=SourceCode.NO_CABLE, linked=True), LedState.NO_PICTURE),
        (LedInputs(network=True, source=SourceCode.LIVE), LedState.WAITING),
        (LedInputs(network=True, source=SourceCode.LIVE, linked=True), LedState.LINKED),
        (LIVE, LedState.STREAMING),
    ],
)
def test_the_led_shows_the_first_part_of_the_path_that_is_missing(inputs: LedInputs, state: LedState) -> None:
    assert choose_state(inputs) is state


def test_every_led_state_has_a_pattern_of_its_own() -> None:
    assert set(PATTERNS) == set(LedState)
    assert len(set(PATTERNS.values())) == len(LedState)
    for state in LedState:
        assert [on for on, _ in steps(state)] == [True, False, True, False, True, False][: len(PATTERNS[state])]


@pytest.fixture
def led(tmp_path: Path) -> Path:
    """/sys/class/leds as a Zero W has it."""
    led = tmp_path / "leds" / "ACT"
    led.mkdir(parents=True)
    (led / "brightness").write_text("0")
    (led / "max_brightness").write_text("255\n")
    (led / "trigger").write_text("none timer [mmc0] heartbeat")
    return led


def test_the_service_takes_the_led_from_the_kernel_and_switches_it(led: Path) -> None:
    assert find_led(led.parent) == led
    status_led = StatusLed(led)
    assert (led / "trigger").read_text() == "none"
    status_led.set(True)
    assert (led / "brightness").read_text() == "255"
    status_led.set(False)
    assert (led / "brightness").read_text() == "0"
    assert status_led.works


def test_a_board_without_an_led_or_with_one_that_cannot_be_written_does_no_harm(tmp_path: Path, led: Path) -> None:
    assert find_led(tmp_path) is None
    assert not StatusLed(None).works
    (led / "brightness").unlink()
    (led / "brightness").mkdir()
    status_led = StatusLed(led)
    status_led.set(True)
    assert not status_led.works


class Hours(asyncio.SelectorEventLoop):
    """A loop whose sleeps take no time: the clock jumps to what is due next."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # no public name
        if not self._ready and scheduled:  # type: ignore[attr-defined]  # no public name
            self.now = max(self.now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]  # no public name


def received(notified: socket.socket) -> list[str]:
    lines = []
    try:
        while True:
            lines += notified.recv(4096).decode().split("\n")
    except BlockingIOError:
        return lines


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    """systemd's end of the socket."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(str(tmp_path / "notify"))
    end.setblocking(False)
    return end


def test_the_watchdog_is_fed_by_pictures_or_state_reports_and_not_by_a_loop_that_merely_runs(
    tmp_path: Path, manager: socket.socket, led: Path
) -> None:
    count, inputs = 0, LIVE
    systemd = SdNotify({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    heartbeat = Heartbeat(StatusLed(led), systemd, lambda: inputs, lambda: count)

    async def scenario() -> None:
        nonlocal count, inputs
        task = asyncio.create_task(heartbeat.run())
        for _ in range(20):
            count += 1
            await asyncio.sleep(0.5)
            assert received(manager) == ["WATCHDOG=1"]
        await asyncio.sleep(60)  # nothing moves any more
        assert received(manager) == []
        assert (led / "brightness").read_text() == "255"  # streaming: steady
        inputs = LedInputs(network=True, source=SourceCode.NO_CABLE)
        seen = []
        for _ in range(200):
            await asyncio.sleep(0.05)
            seen.append((led / "brightness").read_text())
        assert [value for value, _ in itertools.groupby(seen)].count("255") >= 8
        assert received(manager) == ["STATUS=no HDMI picture"]
        task.cancel()

    loop = Hours()
    loop.run_until_complete(scenario())
    loop.close()
    systemd.close()
    manager.close()


def test_without_systemd_nothing_is_sent() -> None:
    systemd = SdNotify({})
    systemd.ready("here")
    systemd.alive()
    systemd.close()


def test_wifi_decides_whether_the_network_is_up_where_there_is_wifi(tmp_path: Path) -> None:
    for name, state in (("lo", "unknown"), ("eth0", "up")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "operstate").write_text(f"{state}\n")
    assert network_up(tmp_path)
    (tmp_path / "wlan0" / "wireless").mkdir(parents=True)
    (tmp_path / "wlan0" / "operstate").write_text("down\n")
    assert not network_up(tmp_path)
    (tmp_path / "wlan0" / "operstate").write_text("up\n")
    assert network_up(tmp_path)


def test_before_the_service_the_led_changes_owner_and_after_it_the_kernel_blinks(tmp_path: Path, led: Path) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    assert prepare(user, Board(tmp_path, lambda _: None), led.parent) == [f"status LED ACT: owned by {user} now"]
    assert (led / "trigger").read_text() == "timer"  # starting
    assert ((led / "delay_on").read_text(), (led / "delay_off").read_text()) == ("900", "100")
    assert "nobody-here" in prepare("nobody-here", Board(tmp_path, lambda _: None), led.parent)[0]
    release(led.parent, {"SERVICE_RESULT": "success"}, tmp_path)
    assert (led / "trigger").read_text() == "heartbeat"
    release(led.parent, {"SERVICE_RESULT": "watchdog"}, tmp_path)
    assert (led / "trigger").read_text() == "timer"
    assert (led / "delay_on").read_text() == "100"


def test_an_installation_keeps_the_configuration_and_names_the_program_in_the_units(tmp_path: Path) -> None:
    written = install(tmp_path, "/opt/thinair/bin/thinair", run=False)
    assert {path.name for path in written} == {*UNITS, "thinair.conf", "sender.toml"}
    config = tmp_path / "etc/thinair/sender.toml"
    config.write_text("mine")
    assert {path.name for path in install(tmp_path, "/usr/bin/thinair", run=False)} == {*UNITS, "thinair.conf"}
    assert config.read_text() == "mine"
    unit = (tmp_path / "etc/systemd/system/thinair.service").read_text()
    assert "ExecStart=/usr/bin/thinair send" in unit
    assert "@THINAIR@" not in unit


def test_the_first_configuration_is_valid_for_the_sender(tmp_path: Path) -> None:
    from thinair.link.options import read_file
    from thinair.sender.config import SenderConfig

    install(tmp_path, "/usr/bin/thinair", run=False)
    values = read_file(SenderConfig, tmp_path / "etc/thinair/sender.toml")
    assert values["source"] == "hdmi"
    assert values["edid"] == "low-latency"


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "threshold"), [("thinair.service", 20), ("thinair-edid.service", 10)])
def test_systemd_accepts_the_units_and_rates_them_as_confined(tmp_path: Path, unit: str, threshold: int) -> None:
    """`systemd-analyze security` in tenths: 19 and 9 as of systemd 252."""
    install(tmp_path, "/usr/bin/true", run=False)
    paths = [str(tmp_path / "etc/systemd/system" / name) for name in UNITS]
    subprocess.run(["systemd-analyze", "verify", *paths], check=True, capture_output=True)
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={threshold}",
         str(tmp_path / "etc/systemd/system" / unit)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    print(shown.stdout.splitlines()[-1])
    assert shown.returncode == 0, shown.stdout
