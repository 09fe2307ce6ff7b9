"""What `thinair send` can be told: one field per option and key."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from thinair.link.endpoint import Endpoint, parse_local, parse_port
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
    parse_bitrate,
    switch,
    whole,
)
from thinair.link.video_mode import Mode

_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")


def parse_control(text: str) -> int | None:
    """`5011`, `0` for any, or `off`."""
    return None if text == "off" else 0 if text == "0" else _port_text(text)


def _port_text(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        raise ConfigError(f"{text!r} is no port: give 1 to 65535, 0 for any, or off")
    return parse_port(text)


def parse_pace(text: str) -> str | int:
    """`auto`, `off`, or the microseconds between groups of five packets."""
    if text in {"auto", "off"}:
        return text
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 1 <= int(text) <= 20_000:
        raise ConfigError(f"pace {text!r} is not understood: write auto, off, or 1 to 20000 microseconds per 5 packets")
    return int(text)


def split_plain_output(text: str) -> tuple[str, Endpoint]:
    """`rtp://HOST:PORT` or `annexb://HOST:PORT` → ("rtp" | "annexb", where to). Raises ConfigError."""
    scheme, found, rest = text.partition("://")
    if not found or scheme not in {"rtp", "annexb"} or urlsplit(text).path not in {"", "/"}:
        raise ConfigError(f"plain output {text!r} is not understood: write rtp://HOST:PORT or annexb://HOST:PORT")
    return scheme, Endpoint.parse(rest.rstrip("/"))


def _plain_output(text: str) -> str:
    split_plain_output(text)
    return text


def check_source(text: str) -> str:
    """`testcard`, `screen::0`, `file:CLIP`, `hdmi`, `hdmi:DEVICE`: the spelling only; whether it can be opened is the
    source's to say."""
    kind, _, rest = text.partition(":")
    known = text in {"testcard", "testcard:witness"} or text == "hdmi" or (kind in {"screen", "file", "hdmi"} and rest)
    if not known:
        raise ConfigError(f"source {text!r} is not known: use testcard, screen::0, file:CLIP, hdmi or hdmi:/dev/video0")
    return text


@dataclass(frozen=True, slots=True)
class SenderConfig(Settings):
    SECTION: ClassVar[str] = "send"

    to: Annotated[Endpoint | None, Option("the receiver", Endpoint.parse, "HOST:PORT")] = None
    sealed: Annotated[bool, SEALED] = True
    door: Annotated[int, whole("TCP port where receivers pair and come in; 0: any", 0, 65535, "PORT")] = 5010
    control: Annotated[
        int | None, Option("HTTPS port of control API and page, or off", parse_control, "PORT|off", (str, int))
    ] = 5011
    plain: Annotated[str | None, Option("plain stream without a link: rtp:// or annexb://", _plain_output, "URL")] = (
        None
    )
    sdp: Annotated[Path | None, Option("write the SDP of a plain RTP stream here", Path, "FILE")] = None
    source: Annotated[str, Option("testcard, screen::0, file:CLIP, hdmi or hdmi:DEVICE", check_source, "SOURCE")] = (
        "testcard"
    )
    edid: Annotated[
        str, Option("what HDMI offers the camera: low-latency, resolution, everything, a file, or keep", str, "EDID")
    ] = "low-latency"
    mode: Annotated[
        Mode | None,
        Option(
            "size and rate (else the test card's 1920x1080@25, the screen's, the clip's); a camera has its own",
            Mode.parse,
            "WIDTHxHEIGHT@RATE",
        ),
    ] = None  # a clip keeps its own rate
    bitrate_bps: Annotated[int, Option("of the stream", parse_bitrate, "8M", (str, int), "bitrate")] = 8_000_000
    encoder: Annotated[str, choice("which encoder", "auto", "x264", "v4l2m2m", "mmal")] = "auto"
    preset: Annotated[str, choice("x264's; slower ones look better and come later", *_PRESETS)] = "ultrafast"
    encoder_threads: Annotated[int, whole("slices encoded at once", 1, 16)] = 2
    key_interval_s: Annotated[
        float, Option("longest between key frames", number(float, 0.1, 600), "SECONDS", (int, float), "key_interval")
    ] = 5.0
    max_packet: Annotated[int, whole("largest RTP packet", 200, 1472, "BYTES")] = 1400
    pace: Annotated[str | int, Option("pause after five packets: auto, off or µs", parse_pace, "PACE", (str, int))] = (
        "auto"
    )
    name: Annotated[str, Option("shown at the receiver; 16 bytes", str, "TEXT")] = "thinair"
    priority: Annotated[int, PRIORITY] = 10
    light: Annotated[str, choice("the board's light tells the operator the state", "auto", "off")] = "auto"
    metrics: Annotated[
        Endpoint | None,
        Option("Prometheus metrics; a port alone: for this machine only", parse_local, "[HOST:]PORT", (str, int)),
    ] = None
    log_format: Annotated[str, LOG_FORMAT] = "text"
    visual_code: Annotated[bool, switch("draw frame number and time into the test card")] = True
    report: Annotated[Path | None, REPORT] = None
    frames: Annotated[Path | None, FRAMES] = None
    seconds: Annotated[float, SECONDS] = 0.0
