"""Where the guest's packets go."""

from __future__ import annotations

import socket
import threading


class Sink:
    """Counts what arrives on a UDP port."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port = str(self.socket.getsockname()[1])
        self.datagrams: list[bytes] = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                self.datagrams.append(self.socket.recv(2000))
            except TimeoutError:
                if self.done.is_set():
                    return

    def close(self) -> None:
        self.done.set()
        self.thread.join()
        self.socket.close()
