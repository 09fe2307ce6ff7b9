"""One row: a screen, a receiver, the relay, a sender; and how each peer is put together."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from thinair.bench.air.pixels import Eye, figures, link_latencies_ms
from thinair.bench.analysis.summary import read_frames, summary
from thinair.bench.glass.baselines import INSTALL, Place
from thinair.bench.glass.baselines import PEERS as GLASS
from thinair.bench.glass.row import free_port
from thinair.bench.harness.chromium import chromium
from thinair.bench.harness.processes import PRIORITY, Process, above, ended, process, wait_for_port
from thinair.bench.harness.unreadable_code import why_unread_on
from thinair.bench.harness.xvfb_screen import Screen, ScreenError, xvfb
from thinair.bench.network import Model
from thinair.link.child_process import python_module

WARM_UP_S = 4.0  # from the first picture on the screen: joining, and the rate finding its place
_FIRST_PICTURE_S = 15.0
_TURNS, _LATE_US = 3, 100.0


@dataclass(frozen=True, slots=True)
class Run:
    mode: str
    width: int
    height: int
    interval_us: float
    bitrate_bps: int
    seconds: float
    seed: int
    realtime: bool


@dataclass(frozen=True, slots=True)
class Ports:
    """Of loopback: where the sender's side sends to, what the relay hands on to, and helpers between programs."""

    entry: int
    exit: int
    feed: int  # thinair's plain stream to the peer's sending program
    back: int  # RTCP of the receiver
    last: int  # from the peer's receiving program to the player


@dataclass(frozen=True, slots=True)
class Peer:
    """`feed`: thinair, rtp or annexb. Each command is a program's; the receiver is the last of `receivers`."""

    feed: str
    receivers: Callable[[Place, Ports], list[list[str]]]
    senders: Callable[[Ports, Sequence[str]], list[list[str]]] = lambda ports, link: []
    lanes: int = 1  # five-tuples through the relay; 0: the sending program starts it with `link`
    cannot: str = ""  # what it does not do, whatever the settings
    modules: Sequence[str] = ()  # of Python, that it needs
    browser: bool = False  # and Chromium
    env: Mapping[str, str] = field(default_factory=dict)
    max_packet: int = 1400


def _glass(name: str) -> Callable[[Place, Ports], list[list[str]]]:
    """A player of thinair.bench.glass, as it stands there."""
    peer = next(one for one in GLASS if one.name == name)
    return lambda place, ports: [peer.command(place)]


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
            *(
                "s.send_rtcp_src",
                "!",
                "udpsink",
                "host=127.0.0.1",
                f"port={ports.entry + 1}",
                "sync=false",
                "async=false",
            ),
            *("udpsrc", "address=127.0.0.1", f"port={ports.back + 1}", "!", "s.recv_rtcp_sink"),
        ]
    ]


def _srt(latency_ms: int) -> Peer:
    def receivers(place: Place, ports: Ports) -> list[list[str]]:
        player = next(one for one in GLASS if one.name == "mpv").command(_at(place, ports.last))
        url = f"srt://127.0.0.1:{ports.exit}?mode=listener&latency={latency_ms}&tlpktdrop=1"
        return [["srt-live-transmit", "-q", "-chunk:1316", url, f"udp://127.0.0.1:{ports.last}"], player]

    def senders(ports: Ports, _: Sequence[str]) -> list[list[str]]:
        url = f"srt://127.0.0.1:{ports.entry}?mode=caller&latency={latency_ms}&tlpktdrop=1"
        return [["srt-live-transmit", "-q", "-chunk:1316", f"udp://127.0.0.1:{ports.feed}", url]]

    mpv = next(one for one in GLASS if one.name == "mpv")
    late = f"nothing sooner than its {latency_ms} ms; what comes later is left out"
    return Peer("annexb", receivers, senders, env=mpv.env, max_packet=1300, cannot=late)


def _undelimited(ports: Ports, _: Sequence[str]) -> list[list[str]]:
    """The raw stream as the origin sends it."""
    return [python_module("thinair.bench.glass.strip_delimiters", str(ports.feed), str(ports.entry))]


def _webrtc(what: str) -> Peer:
    """By aiortc and, `receive`, by aiortc or, `browse`, by Chromium."""
    program = python_module("thinair.bench.air.webrtc")

    def receivers(place: Place, ports: Ports) -> list[list[str]]:
        home = [str(place.home)] if what == "browse" else []
        return [[*program, what, str(ports.back), place.display, str(place.width), str(place.height), *home]]

    def senders(ports: Ports, link: Sequence[str]) -> list[list[str]]:
        return [[*program, "send", str(ports.feed), str(ports.back), str(ports.entry), *link]]

    cannot = "a key frame that it asks for does not reach the encoder; one a second comes"
    return Peer("annexb", receivers, senders, lanes=0, cannot=cannot, modules=("aiortc",), browser=what == "browse")


def _at(place: Place, port: int) -> Place:
    return Place(place.display, port, place.width, place.height, place.mode, place.home)


def _env(name: str) -> Mapping[str, str]:
    return next(one for one in GLASS if one.name == name).env


_NO_REPAIR = "no repair: a lost packet shows until the next key frame"
_STREAM = f"{_NO_REPAIR}; nothing tells its sender of losses"

PEERS: dict[str, Peer] = {
    "thinair": Peer("thinair", _glass("thinair")),
    "gstreamer": Peer("rtp", _glass("gstreamer"), cannot=_NO_REPAIR),
    "gstreamer-buffer": Peer("rtp", _glass("gstreamer-buffer"), cannot=_NO_REPAIR),
    "gstreamer-rtx-50": Peer("rtp", _gst_receiver, _gst_sender, lanes=2, cannot="a frame waits 50 ms in its buffer"),
    "webrtc-aiortc": _webrtc("receive"),
    "webrtc-chromium": _webrtc("browse"),
    "srt-60": _srt(60),
    "srt-120": _srt(120),
    "ffplay-rtp": Peer("rtp", _glass("ffplay-rtp"), env=_env("ffplay-rtp"), cannot=_NO_REPAIR),
    "ffplay": Peer("annexb", _glass("ffplay"), env=_env("ffplay"), cannot=_STREAM),
    "mpv": Peer("annexb", _glass("mpv"), env=_env("mpv"), cannot=_STREAM),
    "origin-ffplay": Peer("annexb", _glass("origin-ffplay"), _undelimited, cannot=f"{_STREAM}; it keeps its backlog"),
}


def measure(name: str, model: Model, run: Run) -> dict[str, Any]:
    """A row. What went wrong stands in its note. Taken again, twice at most, where the machine was taken away: the
    relay, which stands before all others, was late."""
    row: dict[str, Any] = {"peer": name, "model": model.name, "seed": run.seed, "intact_share": None, "note": ""}
    for turn in range(1, _TURNS + 1):
        try:
            found = row | _measure(PEERS[name], model, run) | {"turn": turn}
        except ScreenError as error:
            return row | {"note": str(error)}
        if found["intact_share"] is None or found["relay_late_us"]["p95"] <= _LATE_US:
            break
    return found


def _measure(peer: Peer, model: Model, run: Run) -> dict[str, Any]:
    with ExitStack() as stack:
        screen = stack.enter_context(xvfb(run.width, run.height))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinair-air-")))
        ports = Ports(*(free_port() for _ in range(5)))
        place = Place(screen.display, ports.exit, run.width, run.height, run.mode, home)
        place.write_sdp()
        lates = home / "relay.json"
        link = [model.name, str(run.seed), str(lates)]
        receivers, senders = peer.receivers(place, ports), peer.senders(ports, link)
        if missing := _missing(peer, [argv[0] for argv in (*receivers, *senders)]):
            return {"note": f"{missing} is {INSTALL}"}
        eye = Eye(screen.file, run.width, run.height)
        stack.callback(eye.close)
        with ExitStack() as cast:
            running = _start(cast, peer, link, run, Scene(place, ports, receivers, senders))
            window_us, trouble = _watch(eye, screen, run, running)
        if trouble:
            return {"note": trouble}
        frames = read_frames(place.sender_log)
        sent = {frame["seq"] & 0xFFFF: frame["capture_us"] for frame in frames}
        latencies = link_latencies_ms(frames, read_frames(place.receiver_log), window_us)
        late = json.loads(lates.read_text()) if lates.exists() else {"p95": float("nan")}
        return figures(eye.seen, sent, window_us, run.interval_us) | {
            "link_ms": summary(latencies) if latencies else None,
            "relay_late_us": late,
            "cannot": peer.cannot,
            "note": peer.feed,
        }


def _missing(peer: Peer, programs: Sequence[str]) -> str:
    """What it needs and is not there; "" for nothing."""
    absent = [name for name in programs if shutil.which(name) is None]
    absent += [name for name in peer.modules if find_spec(name) is None]
    absent += ["chromium"] if peer.browser and chromium() is None else []
    return ", ".join(dict.fromkeys(absent))


@dataclass(frozen=True, slots=True)
class Scene:
    place: Place
    ports: Ports
    receivers: Sequence[list[str]]
    senders: Sequence[list[str]]


def _start(cast: ExitStack, peer: Peer, link: list[str], run: Run, scene: Scene) -> dict[str, Process]:
    """Receiver first, sender last; they are stopped in reverse order."""
    place, ports, receivers, senders = scene.place, scene.ports, scene.receivers, scene.senders
    running: dict[str, Process] = {}

    def add(name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        running[name] = cast.enter_context(process(argv, place.home / f"{name}.log", env or {}))
        return running[name]

    env = {"DISPLAY": place.display, **peer.env}
    for number, argv in enumerate(reversed(receivers)):
        started = add(f"receiver{number}", [*argv, *_open(peer)], env)
        if peer.lanes:
            wait_for_port(ports.last if len(receivers) > 1 and number == 0 else ports.exit, started)
    lanes = f"{ports.entry}:{ports.exit}"
    if peer.lanes == 2:
        # RTCP goes each way on ports of its own; the receiver's reports cross the link too, on a lane of their own.
        lanes += f",{ports.entry + 1}:{ports.exit + 1},{ports.back}:{ports.back + 1}"
    if peer.lanes:
        relay = python_module("thinair.bench.air.relay", *link, lanes)
        wait_for_port(ports.entry, add("relay", relay))
    for number, argv in enumerate(senders):
        wait_for_port(ports.feed, add(f"helper{number}", argv))
    add("sender", _sender(peer, run, place, ports.feed if senders else ports.entry))
    return running


def _open(peer: Peer) -> list[str]:
    """A sealed link would go around the relay: the receiver says at the door where it is."""
    return ["--no-sealed"] if peer.feed == "thinair" else []


def _sender(peer: Peer, run: Run, place: Place, port: int) -> list[str]:
    address = f"127.0.0.1:{port}"
    target = ["--to", address, *_open(peer)] if peer.feed == "thinair" else ["--plain", f"{peer.feed}://{address}"]
    key = [] if peer.feed == "thinair" else ["--key-interval", "1"]
    return [
        *(*python_module("thinair"), "send", *target, "--source", "testcard:witness", "--mode", run.mode, *key),
        *("--bitrate", str(run.bitrate_bps), "--priority", "0", "--max-packet", str(peer.max_packet)),
        *("--frames", str(place.sender_log)),
    ]


def _watch(eye: Eye, screen: Screen, run: Run, running: Mapping[str, Process]) -> tuple[tuple[int, int], str]:
    began_us = time.monotonic_ns() // 1000
    trouble = ""

    def done(now_us: int) -> bool:
        nonlocal trouble
        trouble = trouble or ended(running)
        if not eye.seen and now_us - began_us > _FIRST_PICTURE_S * 1e6:
            why = why_unread_on(screen.file, run.width, run.height)
            trouble = trouble or f"no picture within {_FIRST_PICTURE_S:g} s: {why}"
        passed_s = (now_us - eye.seen[0].seen_us) / 1e6 if eye.seen else 0.0
        return bool(trouble) or passed_s > WARM_UP_S + run.seconds + 1

    with above(PRIORITY if run.realtime else 0):
        eye.run(done)
    if trouble:
        return (0, 0), trouble
    first_us = eye.seen[0].seen_us + round(WARM_UP_S * 1e6)
    return (first_us, first_us + round(run.seconds * 1e6)), ""
