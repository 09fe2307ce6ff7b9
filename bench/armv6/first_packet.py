"""Runs on the emulated processor: the sender as the service starts it, up to its first packet, an invite.

The pipeline is a double, since there is no camera and no encoder; the modules of the HDMI pipeline are imported all the
same."""

from __future__ import annotations

import sys
import threading

import thinair.sender.hdmi.port
import thinair.sender.pipeline.hardware
import thinair.sender.service
from thinair import cli
from thinair.sender.pipeline.base import Counts, Hooks


class _Still:
    """A pipeline that never has a picture."""

    def __init__(self) -> None:
        self.counts, self.notes = Counts(), list[str]()

    def open(self) -> None: ...

    def run(self, stop: threading.Event) -> None:
        stop.wait()

    def allow(self, allowed: bool) -> None: ...

    def set_bitrate(self, bitrate_bps: int) -> None: ...

    def request_key_frame(self) -> None: ...

    def describe(self) -> str:
        return "no encoder"

    def close(self) -> None: ...


def _open(config: object, tx: object, hooks: Hooks) -> _Still:
    thinair.sender.hdmi.port.read_edid("low-latency")
    return _Still()


if __name__ == "__main__":
    setattr(thinair.sender.service, "open_pipeline", _open)  # noqa: B010 -- the double replaces the imported one
    # Nobody answers at the discard port: the command ends after its time.
    cli.main(["send", "--to", "127.0.0.1:9", "--source", "hdmi", "--seconds", "1", "--priority", "0"])
    sys.exit(0)
