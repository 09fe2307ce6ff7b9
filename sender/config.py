"""The options of `thinair send`: one field for each flag and key."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from thinair.link.endpoint import Endpoint, parse_local, parse_port
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
        raise ConfigError(f"{text!r} is not a port: write 1 to 65535, 0 for any, or off")
    return parse_port(text)


def parse_pace(text: str) -> str | int:
    """`auto`, `off`, or the microseconds between groups of five packets."""
    if text in {"auto", "off"}:
        return text
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 1 <= int(text) <= 20_000:
        raise ConfigError(f"pace {text!r} is not valid: write auto, off, or 1 to 20000 microseconds per 5 packets")
    return int(text)


def split_plain_output(text: str) -> tuple[str, Endpoint]:
    """`rtp://HOST:PORT` or `annexb://HOST:PORT` → ("rtp" | "annexb", where to). Raises ConfigError."""
    scheme, found, rest = text.partition("://")
    if not found or scheme not in {"rtp", "annexb"} or urlsplit(text).path not in {"", "/"}:
        raise ConfigError(f"output {text!r} is not valid: write rtp://HOST:PORT or annexb://HOST:PORT")
    return scheme, Endpoint.parse(rest.rstrip("/"))


def _plain_output(text: str) -> str:
    split_plain_output(text)
    return text


def check_source(text: str) -> str:
    """`testcard`, `screen::0`, `file:CLIP`, `hdmi`, `hdmi:DEVICE`: the spelling only; open_source() finds out
    whether it can be opened."""
    kind, _, rest = text.partition(":")
    known = text in {"testcard", "testcard:witness"} or text == "hdmi" or (kind in {"screen", "file", "hdmi"} and rest)
    if not known:
        raise ConfigError(f"source {text!r} is unknown: use testcard, screen::0, file:CLIP, hdmi or hdmi:/dev/video0")
    return text


@dataclass(frozen=True, slots=True)
class SenderConfig(Settings):
    SECTION: ClassVar[str] = "send"

    to: Annotated[Endpoint | None, Option("address of the receiver", Endpoint.parse, "HOST:PORT")] = None
    encryption: Annotated[bool, ENCRYPTION] = True
    session_port: Annotated[
        int, whole("TCP port for pairing and sessions; 0: any", 0, 65535, "PORT", old_names=("door",))
    ] = 5010
    control: Annotated[
        int | None, Option("HTTPS port of control API and operator page, or off", parse_control, "PORT|off", (str, int))
    ] = 5011
    output: Annotated[
        str | None,
        Option(
            "plain output for other programs, instead of a session: rtp://HOST:PORT or annexb://HOST:PORT",
            _plain_output,
            "URL",
            old_names=("plain",),
        ),
    ] = None
    sdp: Annotated[Path | None, Option("file for the SDP of an RTP output", Path, "FILE")] = None
    source: Annotated[
        str, Option("source: testcard, screen::0, file:CLIP, hdmi or hdmi:DEVICE", check_source, "SOURCE")
    ] = "testcard"
    edid: Annotated[
        str,
        Option("modes offered to the camera: low-latency, resolution, everything, a file, or keep", str, "EDID"),
    ] = "low-latency"
    mode: Annotated[
        Mode | None,
        Option(
            "size and rate of screen or test card (default of the test card 1920x1080@25, of a screen its size)",
            Mode.parse,
            "WIDTHxHEIGHT@RATE",
        ),
    ] = None  # a clip keeps its own rate
    bitrate_bps: Annotated[int, Option("highest bitrate of the video", parse_bitrate, "8M", (str, int), "bitrate")] = (
        8_000_000
    )
    encoder: Annotated[str, choice("encoder", "auto", "x264", "v4l2m2m", "mmal")] = "auto"
    preset: Annotated[str, choice("x264 preset; slower ones look better and take longer", *_PRESETS)] = "ultrafast"
    encoder_threads: Annotated[int, whole("slices that x264 encodes in parallel", 1, 16)] = 2
    key_interval_s: Annotated[
        float,
        Option("longest time between key frames", number(float, 0.1, 600), "SECONDS", (int, float), "key_interval"),
    ] = 5.0
    max_packet: Annotated[int, whole("largest RTP packet", 200, 1472, "BYTES")] = 1400
    pace: Annotated[
        str | int, Option("pause after every five packets: auto, off, or µs", parse_pace, "PACE", (str, int))
    ] = "auto"
    name: Annotated[str, Option("name shown at the receiver, up to 16 bytes", str, "TEXT")] = "thinair"
    priority: Annotated[int, PRIORITY] = 10
    status_led: Annotated[str, choice("state on the board's LED", "auto", "off", old_names=("light",))] = "auto"
    metrics: Annotated[
        Endpoint | None,
        Option("port of Prometheus metrics; without HOST, local only", parse_local, "[HOST:]PORT", (str, int)),
    ] = None
    log_format: Annotated[str, LOG_FORMAT] = "text"
    visual_code: Annotated[bool, switch("frame number and time as cells in the test card")] = True
    report: Annotated[Path | None, REPORT] = None
    frames: Annotated[Path | None, FRAMES] = None
    seconds: Annotated[float, SECONDS] = 0.0
