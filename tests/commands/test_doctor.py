"""thinair doctor on boards made of files: every fault is found, told with its line, and fixed where that is safe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from thinair.commands.doctor import run
from thinair.link.diagnostics import Diagnostic, Verdict
from thinair.sender.board.doctor import Board, examine, fix

pytestmark = pytest.mark.quick

ZERO = "Raspberry Pi Zero W Rev 1.1"
GOOD_CONFIG = """# a comment
dtparam=audio=off
[pi4]
gpu_mem=16
[all]
dtoverlay=tc358743   # the B101
dtoverlay=cma,cma-96
gpu_mem=96
h264_freq_min=300
"""


class Shown(Board):
    """A board below a directory, with tools that answer from a table."""

    def __init__(self, root: Path, answers: dict[str, str] | None = None) -> None:
        super().__init__(root, self._answer)
        self.answers = answers or {}
        self.asked: list[str] = []

    def _answer(self, command: Sequence[str]) -> str | None:
        self.asked.append(" ".join(command))
        return self.answers.get(" ".join(command))

    def put(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)


@pytest.fixture
def good(tmp_path: Path) -> Shown:
    """A Zero W on which nothing is wrong."""
    board = Shown(
        tmp_path,
        {
            "iw dev wlan0 get power_save": "Power save: off\n",
            "nmcli -t -f NAME,DEVICE connection show --active": "set 1:wlan0\nlo:lo\n",
            "nmcli -g 802-11-wireless.bssid connection show set 1": "AA:BB:CC:DD:EE:FF\n",
        },
    )
    board.put("proc/device-tree/model", ZERO + "\0")
    board.put("boot/firmware/config.txt", GOOD_CONFIG)
    board.put("sys/bus/i2c/devices/10-000f/name", "tc358743\n")
    board.put("proc/meminfo", "MemTotal: 440000 kB\nCmaTotal:        98304 kB\n")
    board.put("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")
    board.put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    board.put("sys/class/net/wlan0/wireless/status", "")
    board.put("sys/module/brcmfmac/parameters/roamoff", "1\n")
    return board


def found(board: Board) -> dict[str, Diagnostic]:
    return {diagnostic.name: diagnostic for diagnostic in examine(board)}


def test_a_good_zero_has_no_fault_and_is_never_said_to_have_enough_voltage(good: Shown) -> None:
    verdicts = {name: diagnostic.verdict for name, diagnostic in found(good).items()}
    assert verdicts.pop("low voltage") is Verdict.UNSUPPORTED
    assert set(verdicts.values()) == {Verdict.OK}
    assert set(verdicts) == {
        "overlay", "CMA", "gpu_mem", "h264 clock", "Bluetooth", "throttling", "governor", "WiFi power save",
        "WiFi scans", "roaming",
    }  # fmt: skip
    assert run(good, apply_fixes=False) == 0


@pytest.mark.parametrize(
    ("path", "text", "name", "wanted"),
    [
        ("boot/firmware/config.txt", "", "overlay", "dtoverlay=tc358743"),
        ("boot/firmware/config.txt", "[pi4]\ndtoverlay=tc358743", "overlay", "dtoverlay=tc358743"),
        ("sys/bus/i2c/devices/10-000f/name", "ov5647", "overlay", "reboot"),
        ("proc/meminfo", "CmaTotal: 65536 kB", "CMA", "dtoverlay=cma,cma-96"),
        ("boot/firmware/config.txt", "dtoverlay=tc358743\ngpu_mem=32", "gpu_mem", "gpu_mem=96"),
        ("boot/firmware/config.txt", "dtoverlay=tc358743\nh264_freq_min=250", "h264 clock", "h264_freq_min=300"),
        ("sys/class/bluetooth/hci0/address", "", "Bluetooth", "dtoverlay=disable-bt"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "4", "throttling", "cool"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "80000", "throttling", "cool"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand", "governor", "echo performance"),
        ("sys/module/brcmfmac/parameters/roamoff", "0", "roaming", "options brcmfmac roamoff=1"),
    ],
)
def test_each_fault_is_found_with_its_fix(  # noqa: PLR0917 -- a table
    good: Shown, path: str, text: str, name: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good.put(path, text)
    diagnostic = found(good)[name]
    assert diagnostic.verdict is Verdict.BAD
    assert wanted in diagnostic.fix
    assert run(good, apply_fixes=False) == 1
    assert diagnostic.fix in capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "answer", "name", "wanted"),
    [
        ("iw dev wlan0 get power_save", "Power save: on\n", "WiFi power save", "iw dev wlan0 set power_save off"),
        ("nmcli -g 802-11-wireless.bssid connection show set 1", "\n", "WiFi scans", "802-11-wireless.bssid BSSID"),
    ],
)
def test_faults_that_other_programs_report_are_found(
    good: Shown, question: str, answer: str, name: str, wanted: str
) -> None:
    good.answers[question] = answer
    diagnostic = found(good)[name]
    assert diagnostic.verdict is Verdict.BAD
    assert wanted in diagnostic.fix


def test_the_line_against_scans_names_the_access_point_that_is_used(good: Shown) -> None:
    good.answers["nmcli -g 802-11-wireless.bssid connection show set 1"] = "\n"
    good.answers["iw dev wlan0 link"] = "Connected to 02:11:22:33:44:55 (on wlan0)\n"
    assert found(good)["WiFi scans"].fix.endswith("'set 1' 802-11-wireless.bssid 02:11:22:33:44:55")


def test_safe_fixes_are_applied_and_the_others_left_to_the_user(good: Shown) -> None:
    good.put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
    good.put("sys/class/bluetooth/hci0/address", "")
    good.put("sys/class/rfkill/rfkill0/type", "bluetooth")
    good.put("sys/class/rfkill/rfkill0/soft", "0")
    good.put("sys/module/brcmfmac/parameters/roamoff", "0")
    good.put("boot/firmware/config.txt", "gpu_mem=32")
    good.answers["iw dev wlan0 get power_save"] = "Power save: on\n"
    good.answers["iw dev wlan0 set power_save off"] = ""
    fixed = {diagnostic.name: why for diagnostic, why in fix(good)}
    assert fixed == {"Bluetooth": "", "governor": "", "WiFi power save": "", "roaming": ""}
    assert good.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") == "performance"
    assert good.read("sys/class/rfkill/rfkill0/soft") == "1"
    assert good.read("etc/modprobe.d/thinair.conf") == "options brcmfmac roamoff=1"
    assert "iw dev wlan0 set power_save off" in good.asked
    assert good.read("boot/firmware/config.txt") == "gpu_mem=32"
    assert found(good)["Bluetooth"].verdict is Verdict.OK


def test_a_fix_that_is_refused_is_reported_and_the_others_are_applied(good: Shown) -> None:
    good.answers["iw dev wlan0 get power_save"] = "Power save: on\n"  # and `set` is refused
    good.put("sys/module/brcmfmac/parameters/roamoff", "0")
    fixed = {diagnostic.name: why for diagnostic, why in fix(good)}
    assert "sudo iw dev wlan0 set power_save off" in fixed["WiFi power save"]
    assert fixed["roaming"] == ""


def test_a_board_with_a_detector_tells_low_voltage(good: Shown) -> None:
    good.put("proc/device-tree/model", "Raspberry Pi 4 Model B")
    assert found(good)["low voltage"].verdict is Verdict.OK
    good.put("sys/devices/platform/soc/soc:firmware/get_throttled", "10000")
    assert found(good)["low voltage"].verdict is Verdict.BAD


def test_an_empty_machine_is_unknown_and_never_good(tmp_path: Path) -> None:
    assert {diagnostic.verdict for diagnostic in examine(Shown(tmp_path))} == {Verdict.UNKNOWN}
