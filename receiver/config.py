"""The options of `thinair play`: one field per flag and configuration key."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from thinair.link.endpoint import Endpoint, parse_listen, parse_local
from thinair.link.errors import ConfigError
from thinair.link.options import (
    ENCRYPTION,
    FRAMES,
    LOG_FORMAT,
    PRIORITY,
    REPORT,
    SECONDS,
    Option,
    Settings,
    choice,
    number,
    switch,
    whole,
)

_PACKETS = Option("pcap file for the first bytes of every packet", Path, "FILE.pcap")
_PORT_5004 = Endpoint("", 5004)
_DASHBOARD = Endpoint("127.0.0.1", 5080)


def parse_dashboard(text: str) -> Endpoint | None:
    """`5080` (this machine only), `HOST:PORT`, or `off`; port 0: any free port."""
    return None if text == "off" else parse_local(text)


def parse_token(text: str) -> str:
    """8 to 64 letters, digits, `-` and `_`, because it is part of an address."""
    if not re.fullmatch(r"[\w-]{8,64}", text, re.ASCII):
        raise ConfigError("invalid token: give 8 to 64 letters, digits, - and _")
    return text


def split_plain_input(text: str) -> tuple[str, Endpoint]:
    """`rtp:PORT`, `annexb:PORT`, with HOST:PORT for one address only. Raises ConfigError."""
    kind, found, rest = text.partition(":")
    if not found or kind not in {"rtp", "annexb"}:
        raise ConfigError(f"unknown plain input {text!r}: write rtp:PORT or annexb:PORT")
    return kind, parse_listen(rest)


def _plain_input(text: str) -> str:
    split_plain_input(text)
    return text


@dataclass(frozen=True, slots=True)
class ReceiverConfig(Settings):
    SECTION: ClassVar[str] = "play"

    listen: Annotated[
        Endpoint,
        Option(
            "UDP port, and address, that the sender sends to; 0: any free port", parse_listen, "[HOST:]PORT", (str, int)
        ),
    ] = _PORT_5004
    input: Annotated[
        str | None,
        Option(
            "plain stream from another program instead of a session: rtp:PORT or annexb:PORT",
            _plain_input,
            "KIND:PORT",
            old_names=("plain",),
        ),
    ] = None
    encryption: Annotated[bool, ENCRYPTION] = True
    sender: Annotated[
        str | None, Option("paired sender, by name or fingerprint, where there are several", str, "NAME")
    ] = None
    take_over: Annotated[bool, switch("taking the sender over from another receiver")] = False
    presenter: Annotated[str, choice("what shows the picture", "auto", "x11", "sdl", "null")] = "auto"
    display: Annotated[str | None, Option("X display other than that of $DISPLAY", str, ":N")] = None
    monitor: Annotated[int, whole("monitor for the window, counted from 0; -1: the system's choice", -1, 31)] = -1
    fullscreen: Annotated[bool, switch("window over the full screen")] = False
    hud: Annotated[str, choice("figures over the picture", "off", "line", "full")] = "off"
    marks: Annotated[bool, switch("safe areas and centre over the picture")] = False
    latency: Annotated[str, choice("latency mode: each picture at once, or an even cadence", "lowest", "smooth")] = (
        "lowest"
    )
    headless: Annotated[bool, switch("no window: decoding and measuring only")] = False
    decoder_threads: Annotated[int, whole("decoder threads, one per slice", 1, 16)] = 2
    reorder_us: Annotated[
        int, whole("longest wait of a complete frame for an incomplete earlier one, in µs", 0, 100_000, "US")
    ] = 4000
    quiet_us: Annotated[
        int, whole("silence in µs that ends a picture of an annexb input; 0: off", 0, 100_000, "US")
    ] = 4000
    record: Annotated[bool, switch("recording from the first picture on")] = False
    record_to: Annotated[
        Path | None, Option("folder for recordings and snapshots, else thinair in the videos folder", Path, "FOLDER")
    ] = None
    record_format: Annotated[str, choice("container of recordings", "mp4", "mkv")] = "mp4"
    pre_record_s: Annotated[
        float,
        Option(
            "seconds before the start that a recording includes",
            number(float, 0, 120),
            "SECONDS",
            (int, float),
            "pre_record",
        ),
    ] = 0.0
    dashboard: Annotated[
        Endpoint | None,
        Option(
            "HTTP port of the page; a port alone: this machine only; 0: any free port",
            parse_dashboard,
            "[HOST:]PORT|off",
            (str, int),
        ),
    ] = _DASHBOARD
    dashboard_token: Annotated[
        str | None,
        Option("access token of the page for other machines, random if not given", parse_token, "TOKEN"),
    ] = None
    log_format: Annotated[str, LOG_FORMAT] = "text"
    priority: Annotated[int, PRIORITY] = 10
    report: Annotated[Path | None, REPORT] = None
    frames: Annotated[Path | None, FRAMES] = None
    packets: Annotated[Path | None, _PACKETS] = None
    seconds: Annotated[float, SECONDS] = 0.0
