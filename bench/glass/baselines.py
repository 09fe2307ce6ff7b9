"""The players that are measured, and how each is started. A baseline has the settings that proved fastest for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thinair.bench.harness.chromium import chromium
from thinair.link.child_process import python_module
from thinair.link.errors import ConfigError

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
    """Where a player runs."""

    display: str
    port: int
    width: int
    height: int
    mode: str
    home: Path  # a directory of the row's own
    host: str = "127.0.0.1"  # that thinair's player listens on

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
        """Of thinair's player, and of the floor."""
        return self.home / "receiver.csv"


@dataclass(frozen=True, slots=True)
class PlayerSpec:
    """A player, thinair's or a baseline's: a row of the table. `feed`: what the sender sends (a key of
    thinair.bench.glass.row.FEEDS), or "" where the row needs no sender."""

    name: str
    description: str
    feed: str
    command: Callable[[Place], list[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    joins: bool = False  # starts while the sender runs already; else it waits for the first packet
    delimiters: bool = True  # False: the access unit delimiters of the raw stream are removed on the way

    def missing(self, place: Place) -> str | None:
        """Why it cannot run here; None where it can."""
        installed = chromium() is not None if self.name == BROWSER else shutil.which(self.command(place)[0])
        return None if installed else INSTALL


def _thinair(place: Place) -> list[str]:
    return [
        *(*python_module("thinair"), "play", "--listen", f"{place.host}:{place.port}", "--presenter", "x11"),
        *("--dashboard", "off"),
        *("--display", place.display, "--fullscreen", "--priority", "0", "--frames", str(place.receiver_log)),
    ]


def _browser(place: Place) -> list[str]:
    arguments = str(place.port), place.display, str(place.width), str(place.height), str(place.home)
    return python_module("thinair.bench.harness.chromium", *arguments)


def _floor(place: Place) -> list[str]:
    return python_module("thinair.bench.glass.floor", place.mode, place.display, str(place.receiver_log))


def _ffplay(place: Place, *options: str) -> list[str]:
    window = ("-noborder", "-left", "0", "-top", "0", "-x", str(place.width), "-y", str(place.height))
    return ["ffplay", "-hide_banner", "-loglevel", "error", "-nostats", *window, *options]


def _raw(place: Place) -> str:
    return f"udp://127.0.0.1:{place.port}"


def _origin(place: Place) -> list[str]:
    # The common options for such a stream. Plain `ffplay -f h264` would probe for 5 s and keep them as latency.
    return _ffplay(place, "-fflags", "nobuffer", "-flags", "low_delay", "-framedrop", "-f", "h264", _raw(place))


# setpts=0 makes every picture due at once; otherwise ffplay keeps its initial distance to the clock.
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
    # vo=x11 leaves every other picture in Xlib's buffer until the next one; vo=gpu is a software OpenGL here.
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


# SDL draws fastest here without a software OpenGL.
_SDL = {"SDL_VIDEODRIVER": "x11", "SDL_RENDER_DRIVER": "software", "SDL_FRAMEBUFFER_ACCELERATION": "0"}

UNENCRYPTED = "thinair-unencrypted"
PLAYERS = (
    PlayerSpec("thinair", "send --to, play; encrypted", "thinair", _thinair),
    PlayerSpec("floor", "no codec, no network: drawn, converted, shown", "", _floor),
    PlayerSpec(UNENCRYPTED, "the same without encryption", UNENCRYPTED,
               lambda place: [*_thinair(place), "--no-encryption"]),
    PlayerSpec(BROWSER, "send --to, play --headless, its page in Chromium", "thinair", _browser),
    PlayerSpec("origin-ffplay", "raw H.264 over UDP, started before the sender", "annexb", _origin, delimiters=False),
    PlayerSpec("origin-ffplay-joining", "the same, joins a running sender", "annexb", _origin, delimiters=False,
               joins=True),
    PlayerSpec("ffplay", "tuned, raw H.264 with delimiters", "annexb", _ffplay_raw, _SDL),
    PlayerSpec("ffplay-rtp", "tuned, RTP", "rtp", _ffplay_rtp, _SDL),
    PlayerSpec("mpv", "low latency, untimed, raw H.264 with delimiters", "annexb", _mpv, _SDL),
    PlayerSpec("gstreamer", "RTP, no jitter buffer", "rtp", _gstreamer),
    PlayerSpec("gstreamer-buffer", "RTP, jitter buffer of 0 ms", "rtp",
               lambda place: _gstreamer(place, "!", "rtpjitterbuffer", "latency=0")),
)  # fmt: skip
ALWAYS = ("thinair", "floor")
OURS = (*ALWAYS, UNENCRYPTED, BROWSER)  # never named as the best baseline
OPTIONAL = tuple(player.name for player in PLAYERS if player.name not in ALWAYS)
BY_NAME = {player.name: player for player in PLAYERS}
_OLD_NAMES = {"thinair-open": UNENCRYPTED}


def choose(names: str) -> list[PlayerSpec]:
    """`all`, `none`, or names with commas; thinair and the floor are always there. Raises ConfigError."""
    listed = [_OLD_NAMES.get(name.strip(), name.strip()) for name in names.split(",")]
    wanted = {"all": list(OPTIONAL), "none": []}.get(names, listed)
    if unknown := [name for name in wanted if name not in BY_NAME]:
        raise ConfigError(f"baseline {unknown[0]!r} is not known: use all, none, or some of {', '.join(OPTIONAL)}")
    return [player for player in PLAYERS if player.name in ALWAYS or player.name in wanted]
