"""Runs on the emulated processor: the sender as the service starts it, up to its call for a receiver. The picture is a
double, since neither a camera nor an encoder is there; the modules of the HDMI chain are loaded all the same."""

from __future__ import annotations

import sys
import threading

import thinair.sender.hdmi.port
import thinair.sender.pipeline.hardware
import thinair.sender.service
from thinair import cli
from thinair.sender.pipeline.base import Counts, Hooks


class _Still:
    """A pipeline whose picture never comes."""

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
    setattr(thinair.sender.service, "open_pipeline", _open)  # noqa: B010 -- the double takes the place of what it imported
    # Nobody answers at the discard port: the command ends by its time, which is no fault here.
    cli.main(["send", "--to", "127.0.0.1:9", "--source", "hdmi", "--seconds", "1", "--priority", "0"])
    sys.exit(0)
