"""A network of the tests' own, and X displays: no other process of this machine has their ports or numbers, is heard by
multicast, or hears."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000  # linux/sched.h
_X_SOCKETS = Path("/tmp/.X11-unix")  # noqa: S108 -- where X servers listen; the newest to take a number removes the other's
# An Ethernet that leads nowhere; RFC 2544 keeps these addresses for tests. Chromium's WebRTC takes the default route's
# address and no other.
_NETWORK = """link set lo up
link add eth0 type veth peer name far
addr add 198.18.0.1/24 dev eth0
link set eth0 up
link set far up
route add default via 198.18.0.2
"""


_outside: int | None = None  # the network that this process came from


def enter() -> bool:
    """Moves this process, and what it starts, into a network that has nobody else. False where that is not allowed:
    without root."""
    global _outside  # noqa: PLW0603 -- a process has one network
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    if os.geteuid() != 0 or libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET) != 0:
        os.close(before)
        return False
    _outside = before
    subprocess.run(["ip", "-batch", "-"], input=_NETWORK, text=True, check=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    _X_SOCKETS.mkdir(mode=0o1777, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(_X_SOCKETS)], check=True)
    return True


def outside() -> list[str]:
    """What goes before a command that needs the machine's network, such as pip."""
    return [] if _outside is None else ["nsenter", f"--net=/proc/{os.getpid()}/fd/{_outside}"]
