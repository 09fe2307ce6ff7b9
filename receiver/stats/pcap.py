"""`--packets`: received and sent packets as a pcap file (tcpdump.org, LINKTYPE_RAW), decrypted.

Only the beginnings of packets are kept, which tell what each one was; times are the player's CLOCK_MONOTONIC."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from thinair.link.files import writing
from thinair.link.native import Rx

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)


class PacketLog:
    def __init__(self, path: Path | None, rx: Rx) -> None:
        """Raises FileError."""
        self._rx = rx
        self._file: Any = None
        if path is None:
            return
        with writing(path):
            self._file = path.open("wb")
        self._file.write(HEADER)

    def drain(self) -> None:
        """A few times a second at least: the pump keeps only so many."""
        while self._file is not None and (records := self._rx.packets()):
            self._file.write(records)

    def close(self) -> None:
        self.drain()
        if self._file is not None:
            self._file.close()
            self._file = None
