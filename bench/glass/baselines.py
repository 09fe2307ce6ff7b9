"""Who is measured and how each is started: one table. A peer has the settings that proved fastest for it here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thinair.bench.harness.chromium import chromium
from thinair.link.child_process import python_module

BROWSER = "thinair-browser"
INSTALL = "not installed; make bench-setup"
# Parameter sets come in the stream, so a receiver may read this before there is a sender.
_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=thinair
c=IN IP4 127.0.0.1
t=0 0
m=video {port} RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a receiver runs."""

    display: str
    port: int
    width: int
    height: int
    mode: str
    home: Path  # a directory of the row's own

    @property
    def sdp(self) -> Path:
        return self.home / "stream.sdp"

    def write_sdp(self) -> None:
        self.sdp.write_text(_SDP.format(port=self.port))

    @property
    def sender_log(self) -> Path:
        return self.home / "sender.csv"

    @property
    def receiver_log(self) -> Path:
        """Of our own receiver, and of the floor."""
        return self.home / "receiver.csv"


@dataclass(frozen=True, slots=True)
class Peer:
    """`feed`: what the sender sends ("thinair", "rtp", "annexb"), or "" where the row needs no sender."""

    name: str
    says: str
    feed: str
    command: Callable[[Place], list[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    joins: bool = False  # starts while the sender runs already; else it waits for the first packet
    delimiters: bool = True  # False: the access-unit delimiters of the raw stream are taken out on the way

    def missing(self, place: Place) -> str | None:
        there = chromium() is not None if self.name == BROWSER else shutil.which(self.command(place)[0])
        return None if there else INSTALL


def _thinair(place: Place) -> list[str]:
    return [
        *(*python_module("thinair"), "play", "--listen", f"127.0.0.1:{place.port}", "--presenter", "x11"),
        *("--dashboard", "off"),
        *("--display", place.display, "--fullscreen", "--priority", "0", "--frames", str(place.receiver_log)),
    ]


def _browser(place: Place) -> list[str]:
    words = str(place.port), place.display, str(place.width), str(place.height), str(place.home)
    return python_module("thinair.bench.harness.chromium", *words)


def _floor(place: Place) -> list[str]:
    return python_module("thinair.bench.glass.floor", place.mode, place.display, str(place.receiver_log))


def _ffplay(place: Place, *options: str) -> list[str]:
    window = ("-noborder", "-left", "0", "-top", "0", "-x", str(place.width), "-y", str(place.height))
    return ["ffplay", "-hide_banner", "-loglevel", "error", "-nostats", *window, *options]


def _raw(place: Place) -> str:
    return f"udp://127.0.0.1:{place.port}"


def _origin(place: Place) -> list[str]:
    # The usual line for such a stream, and generous: plain `ffplay -f h264` probes for 5 s and keeps them as latency.
    return _ffplay(place, "-fflags", "nobuffer", "-flags", "low_delay", "-framedrop", "-f", "h264", _raw(place))


# setpts=0 makes every picture due at once; otherwise ffplay keeps the distance to the clock that it began with.
_TUNED = (
    *("-an", "-sn", "-fflags", "nobuffer", "-flags", "low_delay", "-framedrop", "-sync", "ext"),
    *("-probesize", "32", "-analyzeduration", "0", "-vf", "setpts=0"),
)


def _ffplay_raw(place: Place) -> list[str]:
    return _ffplay(place, *_TUNED, "-f", "h264", _raw(place))


def _ffplay_rtp(place: Place) -> list[str]:
    rtp = ("-protocol_whitelist", "file,udp,rtp", "-reorder_queue_size", "0")
    return _ffplay(place, *_TUNED, *rtp, str(place.sdp))


def _mpv(place: Place) -> list[str]:
    # vo=x11 leaves every other picture in Xlib's buffer until the next one; vo=gpu means a software OpenGL here.
    return [
        *("mpv", "--no-config", "--really-quiet", "--no-audio", "--profile=low-latency", "--untimed", "--framedrop=no"),
        *("--no-osc", "--osd-level=0", "--no-border", f"--geometry={place.width}x{place.height}+0+0"),
        *("--vo=sdl", "--sdl-sw=yes", "--sdl-vsync=no", "--vd-lavc-threads=2", "--vd-lavc-o=thread_type=slice"),
        *("--demuxer=lavf", "--demuxer-lavf-format=h264", _raw(place)),
    ]


def _gstreamer(place: Place, *buffer: str) -> list[str]:
    caps = "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96"
    return [
        *("gst-launch-1.0", "-q", "udpsrc", "address=127.0.0.1", f"port={place.port}", f"caps={caps}", *buffer),
        *("!", "rtph264depay", "!", "avdec_h264", "!", "videoconvert", "!", "ximagesink", "sync=false"),
    ]


# SDL draws fastest here without the detour over a software OpenGL.
_SDL = {"SDL_VIDEODRIVER": "x11", "SDL_RENDER_DRIVER": "software", "SDL_FRAMEBUFFER_ACCELERATION": "0"}

PEERS = (
    Peer("thinair", "send --to, play", "thinair", _thinair),
    Peer("floor", "no codec, no network: drawn, converted, shown", "", _floor),
    Peer("thinair-open", "the same without the seal", "thinair-open", lambda place: [*_thinair(place), "--no-sealed"]),
    Peer(BROWSER, "send --to, play --headless, its dashboard in Chromium", "thinair", _browser),
    Peer("origin-ffplay", "raw H.264 over UDP, there before the sender", "annexb", _origin, delimiters=False),
    Peer("origin-ffplay-joining", "the same, joining a sender", "annexb", _origin, delimiters=False, joins=True),
    Peer("ffplay", "tuned, raw H.264 with delimiters", "annexb", _ffplay_raw, _SDL),
    Peer("ffplay-rtp", "tuned, RTP", "rtp", _ffplay_rtp, _SDL),
    Peer("mpv", "low-latency, untimed, raw H.264 with delimiters", "annexb", _mpv, _SDL),
    Peer("gstreamer", "RTP, no jitter buffer", "rtp", _gstreamer),
    Peer("gstreamer-buffer", "RTP, rtpjitterbuffer latency=0", "rtp",
         lambda place: _gstreamer(place, "!", "rtpjitterbuffer", "latency=0")),
)  # fmt: skip
ALWAYS = ("thinair", "floor")
OURS = (*ALWAYS, BROWSER)


def choose(names: str) -> list[Peer]:
    """`all`, `none`, or names with commas; our own row and the floor are always there. Raises ValueError."""
    known = [peer.name for peer in PEERS]
    wanted = {"all": known, "none": []}.get(names, [name.strip() for name in names.split(",")])
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"peer {unknown[0]!r} is not known: use all, none, or some of {', '.join(known[2:])}")
    return [peer for peer in PEERS if peer.name in ALWAYS or peer.name in wanted]
