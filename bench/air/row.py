"""One row: the programs of a player, a relay with a channel model, a sender, and a screen."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict, cast

from thinair.bench.air.pixels import PictureFigures, PictureSampler, figures, link_latencies_ms
from thinair.bench.analysis.summary import Percentiles, read_frames, summary
from thinair.bench.glass.baselines import BY_NAME, INSTALL, Place
from thinair.bench.harness.chromium import chromium
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.processes import PRIORITY, Process, above, ended, process, wait_for_port
from thinair.bench.harness.unreadable_code import why_unread_on
from thinair.bench.harness.xvfb_screen import ScreenError, VirtualScreen, xvfb
from thinair.bench.network import Model
from thinair.link.child_process import python_module

WARM_UP_S = 4.0  # from the first picture on the screen: joining, and the bitrate's adaptation
_FIRST_PICTURE_S = 15.0
_TRIES, _LATE_US = 3, 100.0
_PLAYER_HOST = "127.0.0.2"  # of an encrypted link: the relay has 127.0.0.1


@dataclass(frozen=True, slots=True)
class Settings:
    mode: str
    width: int
    height: int
    interval_us: float
    bitrate_bps: int
    seconds: float
    seed: int
    realtime: bool


class RelayLateness(TypedDict):
    """By how much datagrams were forwarded too late, µs; None without any."""

    p50: float | None
    p95: float | None
    p99: float | None
    n: int


class AirRow(TypedDict, total=False):
    """A row as JSON. Those that failed have `name`, `model`, `seed` and `note` only."""

    name: str
    model: str
    seed: int
    turn: int
    note: str
    cannot: str
    pictures: PictureFigures | None
    link_ms: Percentiles | None
    relay_late_us: RelayLateness
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Ports:
    """UDP ports of loopback."""

    entry: int  # of the relay, for the sender's side
    exit: int  # that the relay forwards to
    feed: int  # from thinair's plain output to the baseline's sending program
    back: int  # RTCP of the receiver
    last: int  # from the baseline's receiving program to the player


@dataclass(frozen=True, slots=True)
class Setup:
    """The programs of a row. `feed`: thinair, rtp or annexb. The player is the last of `receivers`."""

    feed: str
    receivers: Callable[[Place, Ports], list[list[str]]]
    senders: Callable[[Ports, Sequence[str]], list[list[str]]] = lambda ports, link: []
    lanes: int = 1  # five-tuples through the relay; 0: the sending program starts it with `link`
    cannot: str = ""  # what it does not do with any settings
    modules: Sequence[str] = ()  # Python modules that it needs
    browser: bool = False  # it needs Chromium
    env: Mapping[str, str] = field(default_factory=dict)
    max_packet: int = 1400


def _glass(name: str) -> Callable[[Place, Ports], list[list[str]]]:
    """A player of thinair.bench.glass."""
    return lambda place, ports: [BY_NAME[name].command(place)]


_CAPS = "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96"
_RTX = "payload-type-map=application/x-rtp-pt-map,96=(uint)97"


def _gst_receiver(place: Place, ports: Ports) -> list[list[str]]:
    return [
        [
            *("gst-launch-1.0", "-q", "rtpsession", "name=s", "rtp-profile=avpf"),
            *("udpsrc", "address=127.0.0.1", f"port={ports.exit}", f"caps={_CAPS}", "!", "s.recv_rtp_sink"),
            *("s.recv_rtp_src", "!", "rtprtxreceive", _RTX, "!", "rtpssrcdemux", "!"),
            *("rtpjitterbuffer", "latency=50", "do-retransmission=true", "!", "rtph264depay", "!", "avdec_h264", "!"),
            *("videoconvert", "!", "ximagesink", "sync=false"),
            *("s.send_rtcp_src", "!", "udpsink", "host=127.0.0.1", f"port={ports.back}", "sync=false", "async=false"),
            *("udpsrc", "address=127.0.0.1", f"port={ports.exit + 1}", "!", "s.recv_rtcp_sink"),
        ]
    ]


def _gst_sender(ports: Ports, _: Sequence[str]) -> list[list[str]]:
    return [
        [
            *("gst-launch-1.0", "-q", "rtpsession", "name=s", "rtp-profile=avpf"),
            *("udpsrc", "address=127.0.0.1", f"port={ports.feed}", f"caps={_CAPS}", "!", "rtprtxsend", _RTX),
            *("max-size-packets=1000", "!", "s.send_rtp_sink", "s.send_rtp_src", "!"),
            *("udpsink", "host=127.0.0.1", f"port={ports.entry}", "sync=false", "async=false"),
            *("s.send_rtcp_src", "!", "udpsink", "host=127.0.0.1", f"port={ports.entry + 1}"),
            *("sync=false", "async=false"),
            *("udpsrc", "address=127.0.0.1", f"port={ports.back + 1}", "!", "s.recv_rtcp_sink"),
        ]
    ]


def _srt(latency_ms: int) -> Setup:
    def receivers(place: Place, ports: Ports) -> list[list[str]]:
        player = BY_NAME["mpv"].command(replace(place, port=ports.last))
        url = f"srt://127.0.0.1:{ports.exit}?mode=listener&latency={latency_ms}&tlpktdrop=1"
        return [["srt-live-transmit", "-q", "-chunk:1316", url, f"udp://127.0.0.1:{ports.last}"], player]

    def senders(ports: Ports, _: Sequence[str]) -> list[list[str]]:
        url = f"srt://127.0.0.1:{ports.entry}?mode=caller&latency={latency_ms}&tlpktdrop=1"
        return [["srt-live-transmit", "-q", "-chunk:1316", f"udp://127.0.0.1:{ports.feed}", url]]

    cannot = f"never faster than its buffer of {latency_ms} ms; drops what is later"
    return Setup("annexb", receivers, senders, env=BY_NAME["mpv"].env, max_packet=1300, cannot=cannot)


def _strip_delimiters(ports: Ports, _: Sequence[str]) -> list[list[str]]:
    """The raw stream without access unit delimiters."""
    return [python_module("thinair.bench.glass.strip_delimiters", str(ports.feed), str(ports.entry))]


def _webrtc(action: str) -> Setup:
    """From aiortc to aiortc (`receive`) or to Chromium (`browse`)."""
    program = python_module("thinair.bench.air.webrtc")

    def receivers(place: Place, ports: Ports) -> list[list[str]]:
        home = [str(place.home)] if action == "browse" else []
        return [[*program, action, str(ports.back), place.display, str(place.width), str(place.height), *home]]

    def senders(ports: Ports, link: Sequence[str]) -> list[list[str]]:
        return [[*program, "send", str(ports.feed), str(ports.back), str(ports.entry), *link]]

    cannot = "its key frame requests do not reach the encoder, which sends one key frame per second"
    return Setup("annexb", receivers, senders, lanes=0, cannot=cannot, modules=("aiortc",), browser=action == "browse")


_NO_REPAIR = "no repair: a lost packet shows until the next key frame"
_NO_FEEDBACK = f"{_NO_REPAIR}; its sender does not learn of losses"

SETUPS: dict[str, Setup] = {
    "thinair": Setup("thinair", _glass("thinair")),
    "gstreamer": Setup("rtp", _glass("gstreamer"), cannot=_NO_REPAIR),
    "gstreamer-buffer": Setup("rtp", _glass("gstreamer-buffer"), cannot=_NO_REPAIR),
    "gstreamer-rtx-50": Setup("rtp", _gst_receiver, _gst_sender, lanes=2,
                              cannot="a lost frame waits in its 50 ms buffer"),
    "webrtc-aiortc": _webrtc("receive"),
    "webrtc-chromium": _webrtc("browse"),
    "srt-60": _srt(60),
    "srt-120": _srt(120),
    "ffplay-rtp": Setup("rtp", _glass("ffplay-rtp"), env=BY_NAME["ffplay-rtp"].env, cannot=_NO_REPAIR),
    "ffplay": Setup("annexb", _glass("ffplay"), env=BY_NAME["ffplay"].env, cannot=_NO_FEEDBACK),
    "mpv": Setup("annexb", _glass("mpv"), env=BY_NAME["mpv"].env, cannot=_NO_FEEDBACK),
    "origin-ffplay": Setup("annexb", _glass("origin-ffplay"), _strip_delimiters,
                           cannot=f"{_NO_FEEDBACK}; never drains its backlog"),
}  # fmt: skip


def measure(name: str, model: Model, settings: Settings) -> AirRow:
    """A row. Its note says what went wrong. Repeated, twice at most, where the machine was busy: there the relay, whose
    priority is the highest, was late."""
    row: AirRow = {"name": name, "model": model.name, "seed": settings.seed, "pictures": None, "note": ""}
    for turn in range(1, _TRIES + 1):
        try:
            found = cast("AirRow", {**row, **_measure(SETUPS[name], model, settings), "turn": turn})
        except ScreenError as error:
            return cast("AirRow", {**row, "note": str(error)})
        if found["pictures"] is None or (found["relay_late_us"]["p95"] or 0.0) <= _LATE_US:
            break
    return found


def _measure(setup: Setup, model: Model, settings: Settings) -> AirRow:
    with ExitStack() as stack:
        screen = stack.enter_context(xvfb(settings.width, settings.height))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinair-air-")))
        ports = Ports(*(free_port() for _ in range(5)))
        place = Place(screen.display, ports.exit, settings.width, settings.height, settings.mode, home)
        if setup.feed == "thinair":
            # An encrypted link takes the address of its control connection for the media. That comes from 127.0.0.1,
            # where the relay has the player's port.
            ports, place = replace(ports, entry=ports.exit), replace(place, host=_PLAYER_HOST)
        place.write_sdp()
        lateness = home / "relay.json"
        link = [model.name, str(settings.seed), str(lateness)]
        receivers, senders = setup.receivers(place, ports), setup.senders(ports, link)
        if missing := _missing(setup, [argv[0] for argv in (*receivers, *senders)]):
            return {"note": f"{missing} is {INSTALL}"}
        sampler = PictureSampler(screen.file, settings.width, settings.height)
        stack.callback(sampler.close)
        with ExitStack() as processes:
            running = _start(processes, setup, link, settings, Rig(place, ports, receivers, senders))
            window_us, trouble = _watch(sampler, screen, settings, running)
        if trouble:
            return {"note": trouble}
        frames = read_frames(place.sender_log)
        sent = {frame["seq"] & 0xFFFF: frame["capture_us"] for frame in frames}
        latencies = link_latencies_ms(frames, read_frames(place.receiver_log), window_us)
        none: RelayLateness = {"p50": None, "p95": None, "p99": None, "n": 0}
        late: RelayLateness = json.loads(lateness.read_text()) if lateness.exists() else none
        return {
            "pictures": figures(sampler.seen, sent, window_us, settings.interval_us),
            "link_ms": summary(latencies) if latencies else None,
            "relay_late_us": late,
            "cannot": setup.cannot,
            "encrypted": setup.feed == "thinair",
            "note": setup.feed,
        }


def _missing(setup: Setup, programs: Sequence[str]) -> str:
    """What it needs and is not installed; "" for nothing."""
    absent = [name for name in programs if shutil.which(name) is None]
    absent += [name for name in setup.modules if find_spec(name) is None]
    absent += ["chromium"] if setup.browser and chromium() is None else []
    return ", ".join(dict.fromkeys(absent))


@dataclass(frozen=True, slots=True)
class Rig:
    place: Place
    ports: Ports
    receivers: Sequence[list[str]]
    senders: Sequence[list[str]]


def _start(processes: ExitStack, setup: Setup, link: list[str], settings: Settings, rig: Rig) -> dict[str, Process]:
    """Receiver first, sender last; they are stopped in reverse order."""
    place, ports, receivers, senders = rig.place, rig.ports, rig.receivers, rig.senders
    running: dict[str, Process] = {}

    def add(name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        running[name] = processes.enter_context(process(argv, place.home / f"{name}.log", env or {}))
        return running[name]

    env = {"DISPLAY": place.display, **setup.env}
    for number, argv in enumerate(reversed(receivers)):
        started = add(f"receiver{number}", argv, env)
        if setup.lanes:
            wait_for_port(ports.last if len(receivers) > 1 and number == 0 else ports.exit, started)
    lanes = f"{ports.entry}:{place.host}:{ports.exit}"
    if setup.lanes == 2:
        # RTCP has ports of its own in each direction; the receiver's reports cross the channel in a lane of their own.
        lanes += f",{ports.entry + 1}:{ports.exit + 1},{ports.back}:{ports.back + 1}"
    if setup.lanes:
        relay = python_module("thinair.bench.air.relay", *link, lanes)
        wait_for_port(ports.entry, add("relay", relay), "127.0.0.1")
    for number, argv in enumerate(senders):
        wait_for_port(ports.feed, add(f"helper{number}", argv))
    add("sender", _sender(setup, settings, place, ports.feed if senders else ports.entry))
    return running


def _sender(setup: Setup, settings: Settings, place: Place, port: int) -> list[str]:
    address = f"127.0.0.1:{port}"
    output = ["--to", address] if setup.feed == "thinair" else ["--output", f"{setup.feed}://{address}"]
    key = [] if setup.feed == "thinair" else ["--key-interval", "1"]
    return [
        *(*python_module("thinair"), "send", *output, "--source", "testcard:witness", "--mode", settings.mode, *key),
        *("--bitrate", str(settings.bitrate_bps), "--priority", "0", "--max-packet", str(setup.max_packet)),
        *("--frames", str(place.sender_log)),
    ]


def _watch(
    sampler: PictureSampler, screen: VirtualScreen, settings: Settings, running: Mapping[str, Process]
) -> tuple[tuple[int, int], str]:
    """Watches until the window is over: (first, last capture time that counts), and what went wrong, or ""."""
    began_us = time.monotonic_ns() // 1000
    trouble = ""

    def done(now_us: int) -> bool:
        nonlocal trouble
        trouble = trouble or ended(running)
        if not sampler.seen and now_us - began_us > _FIRST_PICTURE_S * 1e6:
            why = why_unread_on(screen.file, settings.width, settings.height)
            trouble = trouble or f"no picture within {_FIRST_PICTURE_S:g} s: {why}"
        passed_s = (now_us - sampler.seen[0].seen_us) / 1e6 if sampler.seen else 0.0
        return bool(trouble) or passed_s > WARM_UP_S + settings.seconds + 1

    with above(PRIORITY if settings.realtime else 0):
        sampler.run(done)
    if trouble:
        return (0, 0), trouble
    first_us = sampler.seen[0].seen_us + round(WARM_UP_S * 1e6)
    return (first_us, first_us + round(settings.seconds * 1e6)), ""
