"""Does it: scans, starts hostapd or NetworkManager, joins, looks."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from thinair.link.errors import ConfigError, DeviceError
from thinair.wifi import profiles, survey
from thinair.wifi.profiles import Network

_SCAN_TIMEOUT_S = 20.0
_LOOK_S = 1.0  # between two looks at the channel's load
_RESTART_S = 2.0
_JOIN_TIMEOUT_S = 60.0
# wpa_supplicant's words; with SAE the access point says status 1.
_WRONG_KEY = ("WRONG_KEY", "pre-shared key may be incorrect", "status_code=1\n")
KEY_FILE = Path("/var/lib/thinair/wifi.key")
NM_DIRECTORY = Path("/etc/NetworkManager/system-connections")


def run(*argv: str, check: bool = True) -> str:
    """Output of a program. Raises DeviceError with its last words."""
    if shutil.which(argv[0]) is None:
        raise DeviceError(f"{argv[0]} is missing: sudo apt install iw hostapd dnsmasq-base wpasupplicant")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_JOIN_TIMEOUT_S)
    if check and done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise DeviceError(f"{' '.join(argv[:4])}: {words[-1] if words else f'ended with {done.returncode}'}")
    return done.stdout


def interfaces() -> list[str]:
    return sorted(path.parent.name for path in Path("/sys/class/net").glob("*/wireless")) or sorted(
        path.parent.name for path in Path("/sys/class/net").glob("*/phy80211")
    )


def pick(name: str | None) -> str:
    """Raises DeviceError where there is no such radio."""
    found = interfaces()
    if name is not None and name not in found:
        raise DeviceError(f"{name} is no WiFi interface: use {', '.join(found) or 'a machine that has one'}")
    if not found:
        raise DeviceError("no WiFi interface: plug in an adapter, or unblock it with sudo rfkill unblock wifi")
    return name or found[0]


def phy_of(interface: str) -> survey.Phy:
    name = (Path("/sys/class/net") / interface / "phy80211" / "name").read_text().strip()
    return survey.parse_phy(run("iw", "phy", name, "info"))


def plan_ap(interface: str, ssid: str, key: str, country: str | None, wpa3: str) -> tuple[Network, list[str]]:
    """The access point's configuration, and lines for the log. Scans first. Raises DeviceError, ConfigError."""
    if country is not None and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise ConfigError(f"country {country!r}: give two letters, such as DE")
    if country is not None:
        run("iw", "reg", "set", country.upper())
        time.sleep(0.2)
    known = country.upper() if country is not None else survey.parse_country(run("iw", "reg", "get"))
    if known == "00":
        raise ConfigError("country not set, so the allowed channels are unknown: add --country XX")
    phy, lines = phy_of(interface), []
    if not phy.ap:
        raise DeviceError(f"{interface} does not support access point mode: use another adapter")
    if wpa3 == "auto":
        wpa3 = "both" if phy.sae_ap else "no"
        if wpa3 == "no":
            lines.append(
                "this radio does not support WPA3 as access point: WPA2 is used, with protected frames on request"
            )
    elif wpa3 != "no" and not phy.sae_ap:
        raise ConfigError(f"{interface} does not support WPA3 as access point: use --wpa3 no")
    run("ip", "link", "set", interface, "up")
    heard = survey.parse_scan(_scan(interface))
    try:
        channel = survey.choose_channel(phy.channels, heard)
    except ValueError as error:
        raise DeviceError(f"{error}: {known} forbids them all on {interface}") from error
    near = sum(abs(other.mhz - channel.mhz) < survey.OVERLAP_MHZ for other in heard)
    lines.append(f"channel {channel.number} ({channel.mhz} MHz): {near} of {len(heard)} networks in range overlap it")
    return Network(ssid, key, known, channel.number, channel.mhz, wpa3), lines


def _scan(interface: str) -> str:
    """A radio that is busy refuses for a moment."""
    until = time.monotonic() + _SCAN_TIMEOUT_S
    while True:
        try:
            return run("iw", "dev", interface, "scan")
        except DeviceError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def has_network_manager() -> bool:
    return shutil.which("nmcli") is not None and run("nmcli", "-t", "-f", "RUNNING", "general", check=False).startswith(
        "run"
    )


def power_save_off(interface: str) -> None:
    run("iw", "dev", interface, "set", "power_save", "off", check=False)


def by_network_manager(interface: str, network: Network, *, access_point: bool) -> None:
    """Writes the profile and brings it up; NetworkManager keeps it from then on."""
    file = NM_DIRECTORY / f"thinair-{network.ssid}.nmconnection".replace("/", "_")
    profiles.write_private(file, profiles.network_manager(interface, network, access_point=access_point))
    run("nmcli", "connection", "load", str(file))
    run("nmcli", "connection", "up", "filename", str(file))
    power_save_off(interface)


class _Asked:
    """Whether a signal has asked for the end. An Event would not do: its lock may be the interrupted thread's own."""

    _STEP_S = 0.1

    def __init__(self) -> None:
        self._is = False

    def ask(self, *_: object) -> None:
        self._is = True

    def is_set(self) -> bool:
        return self._is

    def wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self._is and (left := until - time.monotonic()) > 0:
            time.sleep(min(self._STEP_S, left))
        return self._is


class Foreground:
    """Runs the programs that make the network until a signal comes. `log` gets a line for each change."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self.stop = _Asked()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop.ask)

    def access_point(self, interface: str, network: Network) -> None:
        """hostapd and dnsmasq; whichever ends, for whatever reason, is started again."""
        with tempfile.TemporaryDirectory(prefix="thinair-wifi-") as directory:
            home = Path(directory)
            ap, dhcp = home / "hostapd.conf", home / "dnsmasq.conf"
            profiles.write_private(ap, profiles.hostapd(interface, network, home / "hostapd"))
            dhcp.write_text(profiles.dnsmasq(interface))

            def begin() -> list[Sequence[str]]:
                run("ip", "link", "set", interface, "up")
                run("ip", "addr", "replace", f"{profiles.AP_ADDRESS}/24", "dev", interface)
                return [["hostapd", str(ap)], ["dnsmasq", "--keep-in-foreground", f"--conf-file={dhcp}"]]

            self._keep(begin, "access point", lambda: power_save_off(interface))
            run("ip", "addr", "flush", "dev", interface, check=False)

    def station(self, interface: str, network: Network, address: str | None) -> None:
        """wpa_supplicant, which comes back by itself, and an address by DHCP or as given."""
        with tempfile.TemporaryDirectory(prefix="thinair-wifi-") as directory:
            home = Path(directory)
            conf = home / "wpa_supplicant.conf"
            profiles.write_private(conf, profiles.wpa_supplicant(network, home / "control"))

            def begin() -> list[Sequence[str]]:
                run("ip", "link", "set", interface, "up")
                if address is not None:
                    run("ip", "addr", "replace", f"{address}/24", "dev", interface)
                client = [] if address is not None else [dhcp_client(interface)]
                return [["wpa_supplicant", "-i", interface, "-c", str(conf)], *client]

            self._keep(
                begin, "station", lambda: power_save_off(interface), watch=lambda: joined(interface, network.ssid)
            )
            run("ip", "addr", "flush", "dev", interface, check=False)

    def _keep(
        self,
        begin: Callable[[], list[Sequence[str]]],
        what: str,
        up: Callable[[], None],
        watch: Callable[[], str] = lambda: "up",
    ) -> None:
        while not self.stop.is_set():
            try:
                children = [_Child(argv) for argv in begin()]
            except DeviceError as error:
                self._log(f"{what}: {error}; tried again")
                self.stop.wait(_RESTART_S)
                continue
            state = ""
            while not self.stop.wait(0.3) and all(child.alive for child in children):
                now = watch() or refusal(children)
                if now != state:
                    state = now
                    self._log(f"{what} {interface_words(now)}")
                    if now == "up":
                        up()
            for child in reversed(children):
                child.end()
            if not self.stop.is_set():
                ended = next((child for child in children if child.failed), children[0])
                self._log(f"{what}: {ended.name} ended ({ended.last}); started again")
                self.stop.wait(_RESTART_S)


class _Child:
    """A program whose output is read, so that it never stands still and its words are at hand."""

    def __init__(self, argv: Sequence[str]) -> None:
        if shutil.which(argv[0]) is None:
            raise DeviceError(f"{argv[0]} is missing: sudo apt install hostapd dnsmasq-base wpasupplicant")
        self.name, self.last, self.wrong_key = argv[0], "without a message", False
        self._popen = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def failed(self) -> bool:
        return self._popen.poll() not in {None, 0}

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self.last = line.strip() or self.last
            self.wrong_key |= any(sign in line for sign in _WRONG_KEY)

    def end(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def refusal(children: Sequence[_Child]) -> str:
    return "wrong key" if any(child.wrong_key for child in children) else "down"


def interface_words(state: str) -> str:
    return {
        "up": "is up",
        "down": "is not connected",
        "wrong key": "is refused: wrong key; thinair wifi ap --show-key prints it on the sender",
    }[state]


def dhcp_client(interface: str) -> Sequence[str]:
    """The first that is installed. Raises DeviceError."""
    for argv in (
        ["udhcpc", "-f", "-i", interface, "-t", "30"],
        ["busybox", "udhcpc", "-f", "-i", interface, "-t", "30", "-s", str(Path(__file__).with_name("udhcpc.sh"))],
        ["dhclient", "-d", interface],
        ["dhcpcd", "-B", interface],
    ):
        if shutil.which(argv[0]) is not None:
            return argv
    raise DeviceError(f"no DHCP client on this machine: add --address {profiles.NETWORK}.200")


def joined(interface: str, ssid: str) -> str:
    """ "up" while the interface is a station of the network, else ""."""
    text = run("iw", "dev", interface, "link", check=False)
    return "up" if f"SSID: {ssid}" in text else ""


def look(name: str) -> survey.Report:
    """All that is known of one interface now; waits a second for the channel's load."""
    interface = survey.parse_interface(name, run("iw", "dev", name, "info"))
    before = survey.parse_survey(run("iw", "dev", name, "survey", "dump", check=False))
    time.sleep(_LOOK_S)
    after = survey.parse_survey(run("iw", "dev", name, "survey", "dump", check=False))
    load = None
    if before is not None and after is not None and after.active_ms > before.active_ms:
        load = (after.busy_ms - before.busy_ms) / (after.active_ms - before.active_ms)
    saving = run("iw", "dev", name, "get", "power_save", check=False)
    report = survey.Report(
        interface,
        tuple(survey.parse_stations(run("iw", "dev", name, "station", "dump", check=False))),
        power_save="on" in saving.lower().split() if saving else None,
        load=load,
        neighbours=tuple(survey.parse_scan(run("iw", "dev", name, "scan", "dump", check=False))),
        bluetooth=any(Path("/sys/class/bluetooth").glob("hci*")),
    )
    return replace(report, problems=survey.find_problems(report))


def log(text: str) -> None:
    print(f"thinair wifi: {text}", file=sys.stderr, flush=True)
