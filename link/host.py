"""Of this machine: its address on the network, and random bits of its system."""

import os
import socket
import struct

_SIOCGIFADDR = 0x8915  # linux/sockios.h


def own_address() -> str:
    """The address that others most likely reach this machine at: that of its route, or of its first interface, such as
    an access point's that leads nowhere; its name where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; TEST-NET-1 of RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            return next(iter(_addresses(probe)), socket.gethostname())


def _addresses(probe: socket.socket) -> list[str]:
    """IPv4, without loopback (netdevice(7))."""
    import fcntl  # for machines without a route only

    found = []
    for _, name in socket.if_nameindex():
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("16s24x", name.encode()))
        except OSError:  # none, or gone
            continue
        address = socket.inet_ntoa(answer[20:24])
        if not address.startswith("127."):
            found.append(address)
    return found


def random_bits(count: int) -> int:
    """From the system's generator. `secrets` does the same, but its import costs the Pi Zero 10 M instructions."""
    size = -(-count // 8)
    return int.from_bytes(os.urandom(size), "big") >> (8 * size - count)
