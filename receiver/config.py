"""What `thinair play` can be told: one field per option and key."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from thinair.link.endpoint import Endpoint, parse_listen, parse_local
from thinair.link.errors import ConfigError
from thinair.link.options import (
    FRAMES,
    LOG_FORMAT,
    PRIORITY,
    REPORT,
    SEALED,
    SECONDS,
    Option,
    Settings,
    choice,
    number,
    switch,
    whole,
)

_PACKETS = Option("write the beginning of each packet to this pcap file", Path, "FILE.pcap")
_PORT_5004 = Endpoint("", 5004)
_DASHBOARD = Endpoint("127.0.0.1", 5080)


def parse_dashboard(text: str) -> Endpoint | None:
    """`5080` (this machine only), `HOST:PORT`, or `off`."""
    return None if text == "off" else parse_local(text)


def parse_token(text: str) -> str:
    """8 to 64 letters, digits, `-` and `_`: it stands in addresses."""
    if not re.fullmatch(r"[\w-]{8,64}", text, re.ASCII):
        raise ConfigError("this token is not possible: give 8 to 64 letters, digits, - and _")
    return text


def split_plain_input(text: str) -> tuple[str, Endpoint]:
    """`rtp:PORT`, `annexb:PORT`, with HOST:PORT for one address only. Raises ConfigError."""
    kind, found, rest = text.partition(":")
    if not found or kind not in {"rtp", "annexb"}:
        raise ConfigError(f"plain input {text!r} is not understood: write rtp:PORT or annexb:PORT")
    return kind, parse_listen(rest)


def _plain_input(text: str) -> str:
    split_plain_input(text)
    return text


@dataclass(frozen=True, slots=True)
class ReceiverConfig(Settings):
    SECTION: ClassVar[str] = "play"

    listen: Annotated[Endpoint, Option("where the sender sends to", parse_listen, "[HOST:]PORT", (str, int))] = (
        _PORT_5004
    )
    plain: Annotated[str | None, Option("plain stream without a link: rtp: or annexb:", _plain_input, "KIND:PORT")] = (
        None
    )
    sealed: Annotated[bool, SEALED] = True
    sender: Annotated[str | None, Option("which paired sender: its name or fingerprint", str, "NAME")] = None
    take_over: Annotated[bool, switch("take the picture from another receiver")] = False
    presenter: Annotated[str, choice("what shows the picture", "auto", "x11", "sdl", "null")] = "auto"
    display: Annotated[str | None, Option("X display, where it is not that of $DISPLAY", str, ":N")] = None
    monitor: Annotated[int, whole("which monitor, from 0; -1 leaves it to the system", -1, 31)] = -1
    fullscreen: Annotated[bool, switch("fill the screen")] = False
    hud: Annotated[str, choice("figures over the picture", "off", "line", "full")] = "off"
    marks: Annotated[bool, switch("show safe areas and the centre over the picture")] = False
    latency: Annotated[
        str, choice("lowest shows a picture at once; smooth evens their cadence out", "lowest", "smooth")
    ] = "lowest"
    headless: Annotated[bool, switch("decode and measure without a window")] = False
    decoder_threads: Annotated[int, whole("slices decoded at once", 1, 16)] = 2
    reorder_us: Annotated[int, whole("how long a whole frame waits for one before it", 0, 100_000, "US")] = 4000
    quiet_us: Annotated[int, whole("silence that ends a picture of a raw stream; 0: off", 0, 100_000, "US")] = 4000
    record: Annotated[bool, switch("record from the first picture on")] = False
    record_to: Annotated[Path | None, Option("folder of recordings and snapshots", Path, "FOLDER")] = None
    record_format: Annotated[str, choice("of recordings", "mp4", "mkv")] = "mp4"
    pre_record_s: Annotated[
        float,
        Option(
            "what a recording holds of the time before it",
            number(float, 0, 120),
            "SECONDS",
            (int, float),
            "pre_record",
        ),
    ] = 0.0
    dashboard: Annotated[
        Endpoint | None, Option("page for a browser, or off", parse_dashboard, "[HOST:]PORT|off", (str, int))
    ] = _DASHBOARD
    dashboard_token: Annotated[
        str | None,
        Option("word that opens the page from other machines; made up where not given", parse_token, "TOKEN"),
    ] = None
    log_format: Annotated[str, LOG_FORMAT] = "text"
    priority: Annotated[int, PRIORITY] = 10
    report: Annotated[Path | None, REPORT] = None
    frames: Annotated[Path | None, FRAMES] = None
    packets: Annotated[Path | None, _PACKETS] = None
    seconds: Annotated[float, SECONDS] = 0.0
