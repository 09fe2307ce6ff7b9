"""Forwards a raw H.264 stream without its access unit delimiters.

python -m thinair.bench.glass.strip_delimiters FROM_PORT TO_PORT
"""

from __future__ import annotations

import signal
import socket
import sys

_DELIMITER = b"\x00\x00\x00\x01\x09"
_SIZE = len(_DELIMITER) + 1


def strip(datagram: bytes) -> bytes:
    """The datagram without a delimiter at its end, where the sender puts it."""
    return datagram[:-_SIZE] if datagram[-_SIZE:-1] == _DELIMITER else datagram


def main() -> None:
    source, target = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inlet,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        inlet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        inlet.bind(("127.0.0.1", source))
        while True:
            if left := strip(inlet.recv(65536)):
                out.sendto(left, ("127.0.0.1", target))


if __name__ == "__main__":
    main()
