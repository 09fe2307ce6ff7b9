"""Reads the output of `iw` about the radio and the channels around it: text in, values out.

`iw` is asked instead of nl80211: it is on every Raspberry Pi OS, and its words have not changed in years; a generic
netlink reader of the same reach would be five times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

OVERLAP_MHZ = 20  # 2.4 GHz: neighbours nearer than this disturb each other


@dataclass(frozen=True, slots=True)
class Channel:
    number: int
    mhz: int
    disabled: bool = False
    no_ir: bool = False  # the regulatory domain lets nobody begin to transmit there
    radar: bool = False

    @property
    def for_ap(self) -> bool:
        return not (self.disabled or self.no_ir or self.radar)


@dataclass(frozen=True, slots=True)
class Phy:
    """Of one radio."""

    channels: tuple[Channel, ...]
    ap: bool  # can be an access point
    sae_ap: bool  # WPA3 as an access point
    sae_station: bool


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An access point that was heard."""

    bssid: str
    mhz: int
    signal_dbm: float
    ssid: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    kind: str  # "managed", "AP"
    ssid: str = ""
    channel: int = 0
    mhz: int = 0
    width_mhz: int = 0


@dataclass(frozen=True, slots=True)
class Station:
    """The access point of a station, or a station of an access point."""

    address: str
    signal_dbm: float | None = None
    tx_mbps: float | None = None
    rx_mbps: float | None = None
    tx_retries: int = 0
    tx_failed: int = 0
    tx_packets: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """Milliseconds since the radio came to the channel in use."""

    mhz: int
    active_ms: int
    busy_ms: int


def parse_phy(text: str) -> Phy:
    """`iw phy PHY info`."""
    channels = []
    for match in re.finditer(r"\* (\d+)(?:\.\d)? MHz \[(\d+)\](.*)", text):
        words = match[3]
        channels.append(
            Channel(
                int(match[2]),
                int(match[1]),
                disabled="disabled" in words,
                no_ir="no IR" in words or "no-IR" in words,
                radar="radar detection" in words,
            )
        )
    modes = re.search(r"Supported interface modes:\n((?:\s+\* .*\n)+)", text)
    ap = modes is not None and re.search(r"\* AP\b(?!/)", modes[1]) is not None
    sae_ap = "SAE_OFFLOAD_AP" in text or re.search(r"Device supports SAE", text) is not None
    sae = re.search(r"Device supports SAE|SAE_OFFLOAD", text) is not None
    return Phy(tuple(channels), ap, sae_ap, sae)


def parse_country(text: str) -> str:
    """`iw reg get`: two letters, "00" where none is set."""
    match = re.search(r"^country (\w\w):", text, re.MULTILINE)
    return match[1] if match else "00"


def parse_scan(text: str) -> list[Neighbour]:
    """`iw dev IF scan` or `scan dump`."""
    found = []
    for part in re.split(r"^BSS ", text, flags=re.MULTILINE)[1:]:
        mhz = re.search(r"^\s*freq: (\d+)", part, re.MULTILINE)
        signal = re.search(r"^\s*signal: (-?[\d.]+) dBm", part, re.MULTILINE)
        ssid = re.search(r"^\s*SSID: (.*)$", part, re.MULTILINE)
        if mhz is not None and signal is not None:
            found.append(Neighbour(part[:17].lower(), int(mhz[1]), float(signal[1]), ssid[1].strip() if ssid else ""))
    return found


def parse_interface(name: str, text: str) -> Interface:
    """`iw dev IF info`."""
    kind = re.search(r"^\s*type (\S+)", text, re.MULTILINE)
    ssid = re.search(r"^\s*ssid (.*)$", text, re.MULTILINE)
    channel = re.search(r"^\s*channel (\d+) \((\d+) MHz\)(?:, width: (\d+) MHz)?", text, re.MULTILINE)
    number, mhz, width = (int(value or 20) for value in channel.groups()) if channel else (0, 0, 0)
    return Interface(name, kind[1] if kind else "", ssid[1].strip() if ssid else "", number, mhz, width)


def parse_stations(text: str) -> list[Station]:
    """`iw dev IF station dump`: of an access point its stations, of a station its access point."""
    stations = []
    for part in re.split(r"^Station ", text, flags=re.MULTILINE)[1:]:

        def number(key: str, part: str = part) -> float | None:
            match = re.search(rf"^\s*{key}:\s*(-?[\d.]+)", part, re.MULTILINE)
            return float(match[1]) if match else None

        stations.append(
            Station(
                part[:17].lower(),
                number("signal"),
                number("tx bitrate"),
                number("rx bitrate"),
                int(number("tx retries") or 0),
                int(number("tx failed") or 0),
                int(number("tx packets") or 0),
            )
        )
    return stations


def parse_survey(text: str) -> Survey | None:
    """`iw dev IF survey dump`: of the channel in use."""
    for part in text.split("Survey data from")[1:]:
        mhz = re.search(r"frequency:\s*(\d+) MHz \[in use\]", part)
        active = re.search(r"channel active time:\s*(\d+)", part)
        busy = re.search(r"channel busy time:\s*(\d+)", part)
        if mhz and active and busy:
            return Survey(int(mhz[1]), int(active[1]), int(busy[1]))
    return None


def choose_channel(
    channels: Iterable[Channel], neighbours: Sequence[Neighbour], bands: Sequence[int] = (5, 2)
) -> Channel:
    """The allowed channel with the least of others' signals on it: each neighbour counts by its power, on 2.4 GHz also
    on channels that overlap its own, less the farther they are. The better band first (`bands`, in GHz), where it has
    a channel at all. Raises ValueError where no channel is allowed."""
    allowed = [channel for channel in channels if channel.for_ap]
    for band in bands:
        candidates = [channel for channel in allowed if _band(channel.mhz) == band]
        if band == 2:
            usual = [channel for channel in candidates if channel.number in {1, 6, 11}]
            candidates = usual or candidates
        if candidates:
            return min(candidates, key=lambda channel: (_load(channel, neighbours), channel.number))
    raise ValueError("no channel is allowed for an access point here")


def _band(mhz: int) -> int:
    return 2 if mhz < 3000 else 5 if mhz < 5925 else 6


def _load(channel: Channel, neighbours: Sequence[Neighbour]) -> float:
    """Milliwatts of others, weighed by overlap."""
    return sum(
        10 ** (other.signal_dbm / 10) * max(0.0, 1 - abs(other.mhz - channel.mhz) / OVERLAP_MHZ) for other in neighbours
    )


@dataclass(frozen=True, slots=True)
class Report:
    """What `thinair wifi status` tells of one interface."""

    interface: Interface
    stations: tuple[Station, ...] = ()
    power_save: bool | None = None
    load: float | None = None  # share of time in which the channel is busy
    neighbours: tuple[Neighbour, ...] = ()
    bluetooth: bool = False
    problems: tuple[str, ...] = field(default=())


def find_problems(report: Report) -> tuple[str, ...]:
    """Sentences, each with its fix, the worst problem first."""
    interface, found = report.interface, []
    signals = [station.signal_dbm for station in report.stations if station.signal_dbm is not None]
    others = [other for other in report.neighbours if other.mhz == interface.mhz and other.ssid != interface.ssid]
    if report.power_save:
        found.append(
            f"power save is on, which delays answers by up to 2 s: sudo iw dev {interface.name} set power_save off"
        )
    if report.bluetooth:
        found.append(
            "Bluetooth shares the antenna, which delays answers by up to 0.6 s: sudo systemctl disable --now bluetooth"
        )
    if signals and min(signals) < -70:
        found.append(
            f"weak signal ({min(signals):.0f} dBm): move sender and receiver closer together, or into line of sight"
        )
    if report.load is not None and report.load > 0.5:
        found.append(f"channel busy {100 * report.load:.0f} % of the time: use another one, or 5 GHz")
    elif len(others) > 2:
        found.append(f"{len(others)} other networks on channel {interface.channel}: use another one, or 5 GHz")
    if interface.kind == "managed" and interface.ssid and not interface.ssid.startswith("thinair-"):
        found.append(
            "every packet is transmitted twice, through an access point: make the sender one (thinair wifi ap)"
        )
    if interface.mhz and _band(interface.mhz) == 2:
        found.append("2.4 GHz is crowded: use 5 GHz if both ends support it")
    sent, retried = (
        sum(station.tx_packets for station in report.stations),
        sum(station.tx_retries for station in report.stations),
    )
    if sent > 1000 and retried > sent / 3:
        found.append(f"{100 * retried / sent:.0f} % of the packets retransmitted: move closer, or use another channel")
    return tuple(found)
