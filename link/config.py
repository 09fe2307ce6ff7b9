"""Configuration from arguments, a TOML file and defaults, in this order of precedence.

The fields of SenderConfig and ReceiverConfig with their Options are the one table behind argparse and TOML. In the
file, the sender's keys stand under [send], the receiver's under [play]; a key is the option's name with `_` for `-`.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args
from urllib.parse import urlsplit

from link.errors import ConfigError, FileError

_NTSC = {"23.976": 24, "23.98": 24, "29.97": 30, "47.95": 48, "59.94": 60, "119.88": 120}


@dataclass(frozen=True, slots=True)
class Mode:
    """Size in pixels and pictures per second."""

    width: int
    height: int
    rate: Fraction

    @classmethod
    def parse(cls, text: str) -> "Mode":
        """`1920x1080@25`, `@30000/1001`, `@29.97` (which means 30000/1001). Raises ConfigError."""
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})@(\d{1,6}(?:\.\d{1,6})?|\d{1,6}/\d{1,6})", text, re.ASCII)
        if match is None:
            raise ConfigError(f"mode {text!r} is not understood: write WIDTHxHEIGHT@RATE, such as 1920x1080@25")
        width, height, rate_text = int(match[1]), int(match[2]), match[3]
        if rate_text in _NTSC:
            rate = Fraction(_NTSC[rate_text] * 1000, 1001)
        else:
            top, _, bottom = rate_text.partition("/")
            divisor = int(bottom or 1)
            rate = Fraction(top) / divisor if divisor else Fraction(0)
        if not (16 <= width <= 8192 and 16 <= height <= 8192) or width % 2 or height % 2:
            raise ConfigError(f"mode {text!r} has no possible size: give even numbers from 16 to 8192")
        if not 1 <= rate <= 240:
            raise ConfigError(f"mode {text!r} has no possible rate: give 1 to 240 pictures per second")
        return cls(width, height, rate)

    @property
    def interval_us(self) -> Fraction:
        return 1_000_000 / self.rate

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.rate}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; host "" is every address of this machine, port 0 any port that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, lowest: int = 1) -> "Endpoint":
        """`HOST:PORT` or `[::1]:5000`. Raises ConfigError."""
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/]+)):(\d{1,5})", text, re.ASCII)
        if match is None:
            raise ConfigError(f"address {text!r} is not understood: write HOST:PORT, or [IPV6]:PORT")
        return cls(match[1] or match[2], _port(match[3], lowest))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Endpoint:
    """`5004` (every address) or `HOST:PORT`; port 0 for any."""
    return Endpoint("", _port(text, 0)) if re.fullmatch(r"\d+", text, re.ASCII) else Endpoint.parse(text, 0)


def parse_dashboard(text: str) -> Endpoint | None:
    """`5080` (this machine only), `HOST:PORT`, or `off`; port 0 for any."""
    return None if text == "off" else parse_local(text)


def parse_local(text: str) -> Endpoint:
    """`5080` (this machine only) or `HOST:PORT`; port 0 for any."""
    return Endpoint("127.0.0.1", _port(text, 0)) if re.fullmatch(r"\d+", text, re.ASCII) else Endpoint.parse(text, 0)


def parse_control(text: str) -> int | None:
    """`5011`, `0` for any, or `off`."""
    return None if text == "off" else 0 if text == "0" else _port_text(text)


def parse_token(text: str) -> str:
    """8 to 64 letters, digits, `-` and `_`: it stands in addresses."""
    if not re.fullmatch(r"[\w-]{8,64}", text, re.ASCII):
        raise ConfigError("this token is not possible: give 8 to 64 letters, digits, - and _")
    return text


def parse_bitrate(text: str) -> int:
    """`8M`, `800k`, `8000000` → bits per second."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([kM]?)", text, re.ASCII)
    if match is None:
        raise ConfigError(f"bitrate {text!r} is not understood: write bits per second, such as 8M, 800k or 8000000")
    bps = Fraction(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
    if not 50_000 <= bps <= 200_000_000 or bps.denominator != 1:
        raise ConfigError(f"bitrate {text!r} is outside what can be sent: give 50k to 200M")
    return int(bps)


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


def split_plain_input(text: str) -> tuple[str, Endpoint]:
    """`rtp:PORT`, `annexb:PORT`, with HOST:PORT for one address only. Raises ConfigError."""
    kind, found, rest = text.partition(":")
    if not found or kind not in {"rtp", "annexb"}:
        raise ConfigError(f"plain input {text!r} is not understood: write rtp:PORT or annexb:PORT")
    return kind, parse_listen(rest)


def check_source(text: str) -> str:
    """`testcard`, `screen::0`, `file:CLIP`, `hdmi`, `hdmi:DEVICE`: the spelling only; whether it can be opened is the
    source's to say."""
    kind, _, rest = text.partition(":")
    known = text in {"testcard", "testcard:witness"} or text == "hdmi" or (kind in {"screen", "file", "hdmi"} and rest)
    if not known:
        raise ConfigError(f"source {text!r} is not known: use testcard, screen::0, file:CLIP, hdmi or hdmi:/dev/video0")
    return text


def _port(text: str, lowest: int = 1) -> int:
    if not lowest <= int(text) <= 65535:
        raise ConfigError(f"port {text} does not exist: give {lowest} to 65535")
    return int(text)


def _port_text(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        raise ConfigError(f"{text!r} is no port: give 1 to 65535, 0 for any, or off")
    return _port(text)


def _plain_output(text: str) -> str:
    split_plain_output(text)
    return text


def _plain_input(text: str) -> str:
    split_plain_input(text)
    return text


@dataclass(frozen=True, slots=True)
class Option:
    """How a field is spelled, read and explained."""

    help: str
    read: Callable[[str], Any]
    metavar: str = ""
    kinds: tuple[type, ...] = (str,)  # of TOML values; `read` gets them as text
    name: str = ""  # where it differs from the field's


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(low) - 1
        if not low <= value <= high:
            raise ConfigError(f"{text!r} is not possible: give {low:g} to {high:g}")
        return value

    return read


def _whole(text: str, low: int, high: int, unit: str = "N") -> Option:
    return Option(text, _number(int, low, high), unit, (int,))


def _choice(text: str, *choices: str) -> Option:
    def read(value: str) -> str:
        if value not in choices:
            raise ConfigError(f"{value!r} is not known: use {' or '.join(choices)}")
        return value

    return Option(text, read, "|".join(choices))


def _switch(text: str) -> Option:
    return Option(text, bool, kinds=(bool,))


_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
_REPORT = Option("write the run's report to this JSON file", Path, "FILE.json")
_FRAMES = Option("write one row per frame to this CSV file", Path, "FILE.csv")
_PACKETS = Option("write the beginning of each packet to this pcap file", Path, "FILE.pcap")
_SECONDS = Option("end after this time; 0 runs for ever", _number(float, 0, 1e7), "SECONDS", (int, float))
_PRIORITY = _whole("real-time priority of the packet thread, where the system grants it; 0: none", 0, 50)
_PORT_5004 = Endpoint("", 5004)
_DASHBOARD = Endpoint("127.0.0.1", 5080)
_SEALED = _switch("encrypted, authenticated, and between paired ends only; both ends alike (default: on)")
_LOG_FORMAT = _choice("of what is said on standard error: lines for people, or JSON", "text", "json")


@dataclass(frozen=True, slots=True)
class SenderConfig:
    SECTION: ClassVar[str] = "send"

    to: Annotated[Endpoint | None, Option("the receiver", Endpoint.parse, "HOST:PORT")] = None
    sealed: Annotated[bool, _SEALED] = True
    door: Annotated[int, _whole("TCP port where receivers pair and come in; 0: any", 0, 65535, "PORT")] = 5010
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
    encoder: Annotated[str, _choice("which encoder", "auto", "x264", "v4l2m2m", "mmal")] = "auto"
    preset: Annotated[str, _choice("x264's; slower ones look better and come later", *_PRESETS)] = "ultrafast"
    encoder_threads: Annotated[int, _whole("slices encoded at once", 1, 16)] = 2
    key_interval_s: Annotated[
        float, Option("longest between key frames", _number(float, 0.1, 600), "SECONDS", (int, float), "key_interval")
    ] = 5.0
    max_packet: Annotated[int, _whole("largest RTP packet", 200, 1472, "BYTES")] = 1400
    pace: Annotated[str | int, Option("pause after five packets: auto, off or µs", parse_pace, "PACE", (str, int))] = (
        "auto"
    )
    name: Annotated[str, Option("shown at the receiver; 16 bytes", str, "TEXT")] = "thinair"
    priority: Annotated[int, _PRIORITY] = 10
    light: Annotated[str, _choice("the board's light tells the operator the state", "auto", "off")] = "auto"
    metrics: Annotated[
        Endpoint | None,
        Option("Prometheus metrics; a port alone: for this machine only", parse_local, "[HOST:]PORT", (str, int)),
    ] = None
    log_format: Annotated[str, _LOG_FORMAT] = "text"
    visual_code: Annotated[bool, _switch("draw frame number and time into the test card")] = True
    report: Annotated[Path | None, _REPORT] = None
    frames: Annotated[Path | None, _FRAMES] = None
    seconds: Annotated[float, _SECONDS] = 0.0


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    SECTION: ClassVar[str] = "play"

    listen: Annotated[
        Endpoint, Option("where the sender sends to; 0: any free port", parse_listen, "[HOST:]PORT", (str, int))
    ] = _PORT_5004
    plain: Annotated[str | None, Option("plain stream without a link: rtp: or annexb:", _plain_input, "KIND:PORT")] = (
        None
    )
    sealed: Annotated[bool, _SEALED] = True
    sender: Annotated[str | None, Option("which paired sender: its name or fingerprint", str, "NAME")] = None
    take_over: Annotated[bool, _switch("take the picture from another receiver")] = False
    presenter: Annotated[str, _choice("what shows the picture", "auto", "x11", "sdl", "null")] = "auto"
    display: Annotated[str | None, Option("X display, where it is not that of $DISPLAY", str, ":N")] = None
    monitor: Annotated[int, _whole("which monitor, from 0; -1 leaves it to the system", -1, 31)] = -1
    fullscreen: Annotated[bool, _switch("fill the screen")] = False
    hud: Annotated[str, _choice("figures over the picture", "off", "line", "full")] = "off"
    marks: Annotated[bool, _switch("show safe areas and the centre over the picture")] = False
    latency: Annotated[
        str, _choice("lowest shows a picture at once; smooth evens their cadence out", "lowest", "smooth")
    ] = "lowest"
    headless: Annotated[bool, _switch("decode and measure without a window")] = False
    decoder_threads: Annotated[int, _whole("slices decoded at once", 1, 16)] = 2
    reorder_us: Annotated[int, _whole("how long a whole frame waits for one before it", 0, 100_000, "US")] = 4000
    quiet_us: Annotated[int, _whole("silence that ends a picture of a raw stream; 0: off", 0, 100_000, "US")] = 4000
    record: Annotated[bool, _switch("record from the first picture on")] = False
    record_to: Annotated[Path | None, Option("folder of recordings and snapshots", Path, "FOLDER")] = None
    record_format: Annotated[str, _choice("of recordings", "mp4", "mkv")] = "mp4"
    pre_record_s: Annotated[
        float,
        Option(
            "what a recording holds of the time before it",
            _number(float, 0, 120),
            "SECONDS",
            (int, float),
            "pre_record",
        ),
    ] = 0.0
    dashboard: Annotated[
        Endpoint | None,
        Option("page for a browser, or off; 0: any free port", parse_dashboard, "[HOST:]PORT|off", (str, int)),
    ] = _DASHBOARD
    dashboard_token: Annotated[
        str | None,
        Option("word that opens the page from other machines; made up where not given", parse_token, "TOKEN"),
    ] = None
    log_format: Annotated[str, _LOG_FORMAT] = "text"
    priority: Annotated[int, _PRIORITY] = 10
    report: Annotated[Path | None, _REPORT] = None
    frames: Annotated[Path | None, _FRAMES] = None
    packets: Annotated[Path | None, _PACKETS] = None
    seconds: Annotated[float, _SECONDS] = 0.0


Config = TypeVar("Config", SenderConfig, ReceiverConfig)


def options(kind: type[SenderConfig] | type[ReceiverConfig]) -> dict[str, tuple[str, Option]]:
    """The table: key in the file → (field, option)."""
    table = {}
    for item in fields(kind):
        option: Option = get_args(item.type)[1]
        table[option.name or item.name] = (item.name, option)
    return table


def add_arguments(
    parser: argparse.ArgumentParser,
    kind: type[SenderConfig] | type[ReceiverConfig],
    *,
    skip: frozenset[str] = frozenset(),
) -> None:
    """Adds `--config` and one option per field not in `skip`. What is not given leaves no attribute; see `load`."""
    if not any(action.dest == "config" for action in parser._actions):
        parser.add_argument(
            "--config", metavar="FILE", type=Path, default=None, help="TOML file; arguments go before it"
        )
    defaults: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}
    for key, (name, option) in options(kind).items():
        if name in skip:
            continue
        flag = "--" + key.replace("_", "-")
        shown = shown_default(defaults[name].default)
        text = f"{option.help}{f' (default {shown})' if shown else ''}".replace("%", "%%")
        if option.kinds == (bool,):
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, dest=name, action=action, default=argparse.SUPPRESS, help=text)
        else:
            read = _for_argparse(option.read)
            parser.add_argument(
                flag, dest=name, type=read, metavar=option.metavar, default=argparse.SUPPRESS, help=text
            )


def load(kind: type[Config], given: Mapping[str, Any] | argparse.Namespace, file: Path | None = None) -> Config:
    """Arguments over file over defaults. `given` may hold other names too; its `config` names the file where `file` is
    None. Raises ConfigError, FileError."""
    arguments = vars(given) if isinstance(given, argparse.Namespace) else given
    path = file or arguments.get("config")
    values = read_file(kind, path) if path is not None else {}
    names = {item.name for item in fields(kind)}
    values.update({name: value for name, value in arguments.items() if name in names})
    return kind(**values)


def read_file(kind: type[SenderConfig] | type[ReceiverConfig], path: Path) -> dict[str, Any]:
    """Field values of this kind's table in the file. Raises ConfigError, FileError."""
    import tomllib  # a start without a file goes without

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from error
    sections = {SenderConfig.SECTION, ReceiverConfig.SECTION}
    for section, content in tables.items():
        if section not in sections or not isinstance(content, dict):
            raise ConfigError(f"{path}: {section!r} stands outside the tables: put keys under [send] or [play]")
    known, values = options(kind), {}
    for key, value in tables.get(kind.SECTION, {}).items():
        if key not in known:
            raise ConfigError(f"{path}: [{kind.SECTION}] has no key {key!r}: use one of {', '.join(known)}")
        name, option = known[key]
        values[name] = _from_toml(f"{path}: {key}", option, value)
    return values


def _from_toml(where: str, option: Option, value: Any) -> Any:
    # bool is a subclass of int, and never meant as a number
    if type(value) not in option.kinds:
        names = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
        wanted = " or ".join(names[kind] for kind in option.kinds)
        raise ConfigError(f"{where} has the wrong type: give {wanted}")
    if isinstance(value, bool):
        return value
    try:
        return option.read(str(value))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _for_argparse(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return read(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def shown_default(default: Any) -> str:
    """As a person would write it; "" for none and switches."""
    if default is None or isinstance(default, bool):
        return ""
    local = isinstance(default, Endpoint) and default.host in {"", "127.0.0.1"}
    return str(default.port) if local else str(default)
