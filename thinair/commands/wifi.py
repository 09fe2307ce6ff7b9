"""`thinair wifi ap|join|status`."""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import json
import socket
import sys
from pathlib import Path

from thinair.link.errors import ConfigError, Exit
from thinair.wifi import control, profiles
from thinair.wifi.profiles import Network
from thinair.wifi.survey import Report


def add_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    parser.add_argument("--interface", metavar="IF", help="network interface (default the first WiFi interface)")
    if action == "status":
        parser.add_argument("--json", action="store_true", help="JSON output")
        return
    ssid = "name of the network" + (" (default thinair- and the host's name)" if action == "ap" else "; required")
    parser.add_argument("--ssid", metavar="NAME", default=_own_name() if action == "ap" else None, help=ssid)
    parser.add_argument(
        "--backend",
        choices=("auto", "hostapd" if action == "ap" else "wpa_supplicant", "networkmanager"),
        default="auto",
        help="program that controls the radio (default auto)",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="folder for the configuration files; nothing is started"
    )
    if action == "ap":
        parser.add_argument("--country", metavar="XX", help="country code, which decides the allowed channels")
        parser.add_argument(
            "--wpa3", choices=("auto", "no", "both", "only"), default="auto", help="WPA3 mode (default auto)"
        )
        parser.add_argument(
            "--key-file",
            type=Path,
            default=control.KEY_FILE,
            metavar="FILE",
            help=f"key of the network, created at first use (default {control.KEY_FILE})",
        )
        parser.add_argument("--show-key", action="store_true", help="key of the network, printed; nothing is started")
    else:
        parser.add_argument(
            "--key-file", type=Path, metavar="FILE", help="key of the network (default prompt, or standard input)"
        )
        parser.add_argument(
            "--address", metavar="IPV4", help=f"fixed address such as {profiles.NETWORK}.200 (default DHCP)"
        )


def run(action: str, args: argparse.Namespace) -> int:
    """Raises ConfigError, DeviceError, FileError."""
    return {"ap": _ap, "join": _join, "status": _status}[action](args)


def _own_name() -> str:
    return f"thinair-{socket.gethostname()[:20]}"


def _ap(args: argparse.Namespace) -> int:
    key = profiles.own_key(args.key_file)
    if args.show_key:
        print(key)
        return int(Exit.OK)
    interface = control.pick(args.interface)
    network, lines = control.plan_ap(interface, args.ssid, key, args.country, args.wpa3)
    for line in lines:
        control.log(line)
    if args.write is not None:
        return _write(args.write, interface, network, access_point=True)
    control.log(
        f"network {network.ssid!r}, sender at {profiles.AP_ADDRESS}; print its key with thinair wifi ap --show-key"
    )
    if args.backend == "networkmanager" or (args.backend == "auto" and control.has_network_manager()):
        control.by_network_manager(interface, network, access_point=True)
        control.log("access point is up, managed by NetworkManager")
    else:
        control.Foreground(control.log).access_point(interface, network)
    return int(Exit.OK)


def _join(args: argparse.Namespace) -> int:
    if args.ssid is None:
        raise ConfigError("no network named: give --ssid NAME, as thinair wifi ap prints it on the sender")
    interface = control.pick(args.interface)
    network = Network(args.ssid, _asked_key(args.key_file))
    if args.write is not None:
        return _write(args.write, interface, network, access_point=False)
    if args.backend == "networkmanager" or (args.backend == "auto" and control.has_network_manager()):
        control.by_network_manager(interface, network, access_point=False)
        control.log(f"joined {network.ssid}, managed by NetworkManager")
    else:
        control.Foreground(control.log).station(interface, network, args.address)
    return int(Exit.OK)


def _asked_key(file: Path | None) -> str:
    """Never from an argument: every user of the machine can read the arguments of a process."""
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    return getpass.getpass("key of the network: ") if sys.stdin.isatty() else sys.stdin.readline().strip()


def _write(directory: Path, interface: str, network: Network, *, access_point: bool) -> int:
    name = "ap" if access_point else "join"
    files = {f"thinair-{name}.nmconnection": profiles.network_manager(interface, network, access_point=access_point)}
    if access_point:
        files |= {
            "hostapd.conf": profiles.hostapd(interface, network, Path("/run/hostapd")),
            "dnsmasq.conf": profiles.dnsmasq(interface),
        }
    else:
        files["wpa_supplicant.conf"] = profiles.wpa_supplicant(network, Path("/run/wpa_supplicant"))
    for file, text in files.items():
        profiles.write_private(directory / file, text)
        print(directory / file)
    return int(Exit.OK)


def _status(args: argparse.Namespace) -> int:
    names = [control.pick(args.interface)] if args.interface else control.interfaces() or [control.pick(None)]
    reports = [control.look(name) for name in names]
    if args.json:
        print(json.dumps([dataclasses.asdict(report) for report in reports], indent=1))
    else:
        print("\n".join(_text(report) for report in reports))
    return int(Exit.OK)


def _text(report: Report) -> str:
    face = report.interface
    lines = [f"{face.name}: {face.kind or 'down'}" + (f" of {face.ssid!r}" if face.ssid else "")]
    if face.channel:
        lines.append(f"  channel {face.channel} ({face.mhz} MHz, {face.width_mhz} MHz wide)")
    for station in report.stations:
        signal = f"{station.signal_dbm:.0f} dBm" if station.signal_dbm is not None else "signal unknown"
        rates = "/".join(f"{rate:g}" if rate is not None else "?" for rate in (station.tx_mbps, station.rx_mbps))
        lines.append(
            f"  {station.address}: {signal}, {rates} Mbit/s out/in, {station.tx_retries} retries, "
            f"{station.tx_failed} failed"
        )
    if report.load is not None:
        lines.append(f"  channel busy {100 * report.load:.0f} % of the time")
    if report.power_save is not None:
        lines.append(f"  power save {'on' if report.power_save else 'off'}")
    lines += [f"  problem: {sentence}" for sentence in report.problems]
    return "\n".join(lines)
