"""How far apart the packets of a frame leave. A radio drops what comes in bursts; a wire does not."""

from __future__ import annotations

import fcntl
import socket
import struct
from fractions import Fraction
from pathlib import Path

GROUP = 5
_RADIO_PACE_US = 700  # between groups of five; a frame of 35 packets is out after 4 ms
_MAX_FRAME_US = 8000
_SIOCGIFADDR = 0x8915


def pace_us(setting: str | int, host: str, rate: Fraction, bitrate_bps: int, max_packet: int) -> int:
    """Microseconds between groups. `auto`: 0 on a wire; on WiFi a frame leaves within 8 ms or
    half its interval."""
    if setting == "off":
        return 0
    if isinstance(setting, int):
        return setting
    if not is_wireless(host):
        return 0
    groups = max(1, int(bitrate_bps / rate / 8 / max_packet / GROUP) + 1)
    return min(_RADIO_PACE_US, _MAX_FRAME_US // groups, int(500_000 / rate) // groups)


def is_wireless(host: str, sys_class_net: Path = Path("/sys/class/net")) -> bool:
    """Whether packets to `host` leave by a WiFi interface."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # no packet is sent
            own = probe.getsockname()[0]
            for _, name in socket.if_nameindex():
                request = struct.pack("256s", name.encode()[:15])
                try:
                    answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
                except OSError:
                    continue  # an interface without an IPv4 address
                if socket.inet_ntoa(answer[20:24]) == own:
                    return (sys_class_net / name / "wireless").exists()
    except OSError:
        pass
    return False
