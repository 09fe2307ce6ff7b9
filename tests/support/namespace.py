"""A network of the tests' own: no other process of this machine has its ports, is heard by multicast, or hears."""

from __future__ import annotations

import ctypes
import os
import subprocess

_CLONE_NEWNET = 0x40000000  # linux/sched.h
# An Ethernet that leads nowhere; RFC 2544 keeps these addresses for tests.
_SET_UP = """link set lo up
link add eth0 type veth peer name far
addr add 198.18.0.1/24 dev eth0
link set eth0 up
link set far up
"""


def enter() -> bool:
    """Moves this process, and what it starts, into a network that has nobody else. False where that is not allowed:
    without root."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_CLONE_NEWNET) != 0:
        return False
    subprocess.run(["ip", "-batch", "-"], input=_SET_UP, text=True, check=True)
    return True
