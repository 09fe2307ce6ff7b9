"""What this machine is called on its network."""

import socket


def own_address() -> str:
    """The address that others most likely reach this machine at; its name where it has no route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; TEST-NET-1 of RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
