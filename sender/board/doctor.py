"""`thinair doctor`: what on this Raspberry Pi keeps the video from being smooth, and the command that fixes it.

The checks read files below a root and the output of system tools, so that tests can show them any board.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from thinair.link.diagnostics import Diagnostic, Verdict

CMA_MB, GPU_MEM_MB, H264_MHZ = 96, 96, 300  # docs/hardware.md says where these come from
_TOOL_TIMEOUT_S = 5.0
_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
# Bits of get_throttled (raspberrypi/documentation, vcgencmd): now, and since the start 16 bits higher.
_THROTTLE_BITS = {1: "the clock is capped", 2: "throttled", 3: "soft temperature limit"}
_LOW_VOLTAGE_BIT = 0


class Board:
    """Where the checks look. `tool` runs a program and gives its output, None where it is missing or fails."""

    def __init__(self, root: Path = Path("/"), tool: Callable[[Sequence[str]], str | None] | None = None) -> None:
        self.root = root
        self.tool = tool or run_tool

    def read(self, path: str) -> str | None:
        try:
            return (self.root / path).read_text(errors="replace").strip("\0\n ")
        except OSError:
            return None

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    @property
    def model(self) -> str:
        return self.read("proc/device-tree/model") or ""

    @property
    def is_pi(self) -> bool:
        return self.model.startswith("Raspberry Pi")

    @property
    def config_path(self) -> str:
        """Of the firmware: Bookworm's place, or the one before."""
        return "boot/firmware/config.txt" if (self.root / "boot/firmware/config.txt").exists() else "boot/config.txt"

    def config(self) -> dict[str, list[str]]:
        """config.txt: key → values in order. Sections for other boards are left out."""
        values: dict[str, list[str]] = {}
        applies = True
        for line in (self.read(self.config_path) or "").splitlines():
            text = line.split("#")[0].strip()
            if section := re.fullmatch(r"\[(.+)\]", text):
                applies = section[1] in {"all", "pi0", "pi0w"} or not section[1].startswith("pi")
            elif applies and "=" in text:
                key, _, value = text.partition("=")
                values.setdefault(key.strip(), []).append(value.strip())
        return values

    def wireless(self) -> str | None:
        """The first WiFi interface."""
        found = sorted(path.parent.name for path in (self.root / "sys/class/net").glob("*/wireless"))
        return found[0] if found else None


def run_tool(command: Sequence[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def examine(board: Board) -> Iterator[Diagnostic]:
    """Every check that makes sense on this machine."""
    if board.is_pi:
        for check in (_overlay, _cma, _gpu_mem, _h264_clock, _bluetooth, _throttled, _low_voltage):
            yield check(board)
    yield _governor(board)
    interface = board.wireless()
    if interface is None:
        yield Diagnostic("WiFi", Verdict.UNKNOWN, "no WiFi interface")
        return
    yield _power_save(board, interface)
    yield _scans(board, interface)
    yield _roaming(board)


def fix(board: Board) -> Iterator[tuple[Diagnostic, str]]:
    """Applies what is safe; (finding, "" or why it could not be done)."""
    for finding in examine(board):
        if finding.verdict is Verdict.BAD and finding.apply is not None:
            try:
                finding.apply()
                yield finding, ""
            except OSError as error:
                yield finding, error.strerror or str(error)


def _in_config(board: Board, line: str) -> str:
    return f"echo '{line}' | sudo tee -a /{board.config_path}   # then restart"


def _overlay(board: Board) -> Diagnostic:
    line = "dtoverlay=tc358743"
    if not any(value.split(",")[0] == "tc358743" for value in board.config().get("dtoverlay", [])):
        return Diagnostic("overlay", Verdict.BAD, "the HDMI board's overlay is missing", _in_config(board, line))
    names = {board.read(str(path.relative_to(board.root))) for path in board.root.glob("sys/bus/i2c/devices/*/name")}
    if "tc358743" not in names:
        text = "the HDMI board does not answer: check its ribbon cable, and reboot if the overlay is new"
        return Diagnostic("overlay", Verdict.BAD, text, "sudo reboot")
    return Diagnostic("overlay", Verdict.OK, "tc358743 found")


def _cma(board: Board) -> Diagnostic:
    found = re.search(r"CmaTotal:\s+(\d+) kB", board.read("proc/meminfo") or "")
    if found is None:
        return Diagnostic("CMA", Verdict.UNKNOWN, "the kernel does not report its contiguous memory")
    megabytes = int(found[1]) // 1024
    if megabytes < CMA_MB:
        text = f"{megabytes} MB of contiguous memory; pictures need {CMA_MB} MB"
        return Diagnostic("CMA", Verdict.BAD, text, _in_config(board, f"dtoverlay=cma,cma-{CMA_MB}"))
    return Diagnostic("CMA", Verdict.OK, f"{megabytes} MB")


def _gpu_mem(board: Board) -> Diagnostic:
    given = board.config().get("gpu_mem", ["64"])[-1]  # 64: the firmware's default below 1 GB
    if not given.isdigit() or int(given) < GPU_MEM_MB:
        text = f"{given} MB for the video core; the encoder needs {GPU_MEM_MB} MB"
        return Diagnostic("gpu_mem", Verdict.BAD, text, _in_config(board, f"gpu_mem={GPU_MEM_MB}"))
    return Diagnostic("gpu_mem", Verdict.OK, f"{given} MB")


def _h264_clock(board: Board) -> Diagnostic:
    config = board.config()
    values = [value for key in ("h264_freq_min", "gpu_freq_min") for value in config.get(key, [])]
    least = max((int(value) for value in values if value.isdigit()), default=0)
    if least < H264_MHZ:
        text = "the encoder's clock is not fixed and may stay low"
        return Diagnostic("h264 clock", Verdict.BAD, text, _in_config(board, f"h264_freq_min={H264_MHZ}"))
    return Diagnostic("h264 clock", Verdict.OK, f"at least {least} MHz")


def _bluetooth(board: Board) -> Diagnostic:
    if not list((board.root / "sys/class/bluetooth").glob("hci*")):
        return Diagnostic("Bluetooth", Verdict.OK, "off")
    switches = [
        path.parent
        for path in (board.root / "sys/class/rfkill").glob("*/type")
        if board.read(str(path.relative_to(board.root))) == "bluetooth"
    ]
    if switches and all((switch / "soft").read_text().strip() == "1" for switch in switches):
        return Diagnostic("Bluetooth", Verdict.OK, "blocked")

    def block() -> None:
        for switch in switches:
            (switch / "soft").write_text("1")

    text = "on: it shares the radio and delays packets by up to 0.5 s"
    advice = _in_config(board, "dtoverlay=disable-bt")
    return Diagnostic("Bluetooth", Verdict.BAD, text, advice, block if switches else None)


def _throttled(board: Board) -> Diagnostic:
    bits = _throttle_bits(board)
    if bits is None:
        return Diagnostic("throttling", Verdict.UNKNOWN, "the firmware does not report it")
    told = [text for bit, text in _THROTTLE_BITS.items() if bits >> bit & 1]
    told += [f"{text} since the start" for bit, text in _THROTTLE_BITS.items() if bits >> bit & 0x10001 == 0x10000]
    if told:
        return Diagnostic("throttling", Verdict.BAD, "; ".join(told), "cool the board or use a stronger power supply")
    return Diagnostic("throttling", Verdict.OK, "none")


def _low_voltage(board: Board) -> Diagnostic:
    if "Zero" in board.model:
        return Diagnostic(
            "low voltage", Verdict.UNSUPPORTED, "a Zero has no detector: use a good power supply and a short cable"
        )
    bits = _throttle_bits(board)
    if bits is None:
        return Diagnostic("low voltage", Verdict.UNKNOWN, "the firmware does not report it")
    if bits >> _LOW_VOLTAGE_BIT & 0x10001:
        return Diagnostic(
            "low voltage", Verdict.BAD, "the supply sags, now or since the start", "use a stronger supply"
        )
    return Diagnostic("low voltage", Verdict.OK, "none")


def _throttle_bits(board: Board) -> int | None:
    text = board.read(_THROTTLED)
    try:
        return None if text is None else int(text, 16)
    except ValueError:
        return None


def _governor(board: Board) -> Diagnostic:
    paths = sorted((board.root / "sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor"))
    slow = [path for path in paths if path.read_text().strip() != "performance"]
    if not paths:
        return Diagnostic("governor", Verdict.UNKNOWN, "the kernel does not control the processor's clock here")
    if not slow:
        return Diagnostic("governor", Verdict.OK, "performance")

    def perform() -> None:
        for path in slow:
            path.write_text("performance")

    names = " ".join(f"/{path.relative_to(board.root)}" for path in slow)
    text = f"{slow[0].read_text().strip()}: the clock rises only after a picture is late"
    return Diagnostic("governor", Verdict.BAD, text, f"echo performance | sudo tee {names}", perform)


def _power_save(board: Board, interface: str) -> Diagnostic:
    said = board.tool(["iw", "dev", interface, "get", "power_save"])
    advice = f"sudo iw dev {interface} set power_save off"
    if said is None:
        text = f"{interface} does not report it: is iw installed?"
        return Diagnostic("WiFi power save", Verdict.UNKNOWN, text, "sudo apt install iw")
    if "off" in said:
        return Diagnostic("WiFi power save", Verdict.OK, "off")

    def switch_off() -> None:
        if board.tool(["iw", "dev", interface, "set", "power_save", "off"]) is None:
            raise OSError(1, f"iw may not switch it off: {advice}")

    text = "on: packets wait up to 1 s"
    return Diagnostic("WiFi power save", Verdict.BAD, text, advice, switch_off)


def _scans(board: Board, interface: str) -> Diagnostic:
    """NetworkManager scans now and then unless its connection names the access point."""
    active = board.tool(["nmcli", "-t", "-f", "NAME,DEVICE", "connection", "show", "--active"])
    if active is None:
        return Diagnostic("WiFi scans", Verdict.UNKNOWN, "NetworkManager does not run")
    name = next((line.rpartition(":")[0] for line in active.splitlines() if line.endswith(f":{interface}")), None)
    if name is None:
        return Diagnostic("WiFi scans", Verdict.UNKNOWN, f"{interface} is not connected")
    pinned = board.tool(["nmcli", "-g", "802-11-wireless.bssid", "connection", "show", name])
    if pinned and pinned.strip():
        return Diagnostic("WiFi scans", Verdict.OK, f"none: {name} is bound to its access point")
    link = re.search(r"Connected to ([0-9a-f:]{17})", board.tool(["iw", "dev", interface, "link"]) or "")
    bssid = link[1] if link else "BSSID"
    text = f"{name} scans for other access points now and then: 50 to 400 ms without packets"
    return Diagnostic(
        "WiFi scans", Verdict.BAD, text, f"sudo nmcli connection modify '{name}' 802-11-wireless.bssid {bssid}"
    )


def _roaming(board: Board) -> Diagnostic:
    off = board.read("sys/module/brcmfmac/parameters/roamoff")
    if off is None:
        return Diagnostic("roaming", Verdict.UNKNOWN, "the driver is not brcmfmac")
    if off == "1":
        return Diagnostic("roaming", Verdict.OK, "off")
    line, path = "options brcmfmac roamoff=1", "etc/modprobe.d/thinair.conf"

    def note_down() -> None:
        (board.root / path).parent.mkdir(parents=True, exist_ok=True)
        board.write(path, line + "\n")

    text = "the WiFi chip looks for better access points by itself; the fix works after a reboot"
    return Diagnostic("roaming", Verdict.BAD, text, f"echo '{line}' | sudo tee /{path}", note_down)
