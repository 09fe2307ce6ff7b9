"""One row of the table: a screen, a receiver on it, a sender, and the sampler."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinair.bench.analysis.summary import read_frames, summary
from thinair.bench.glass.baselines import Peer, Place
from thinair.bench.glass.figures import Figures, join, pooled, sent_frames
from thinair.bench.harness.processes import Process, above, ended, process, wait_for_port
from thinair.bench.harness.unreadable_code import why_unread_on
from thinair.bench.harness.xvfb_screen import Sampler, Screen, ScreenError, xvfb
from thinair.link.child_process import python_module
from thinair.receiver.stats.run_conditions import ConditionsWatch

WARM_UP_S = 3.0  # from the first picture on the screen; not counted
_FIRST_PICTURE_S = 15.0
_JOIN_AFTER_S = 2.0
_TAIL_S = 1.0  # for pictures of the window that come late
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    mode: str
    width: int
    height: int
    bitrate_bps: int
    seconds: float
    priority: int  # 0: ordinary scheduling
    preset: str = "ultrafast"


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    note: str
    figures: Figures | None = None
    gaps_ms: Sequence[float] = ()
    conditions: Mapping[str, Any] | None = None

    @property
    def unfit(self) -> list[str]:
        """Why the machine was not fit for this row; [] where it was."""
        return list(self.conditions["unfit"]) if self.conditions else []

    def as_json(self) -> dict[str, Any]:
        """Latencies in ms; see docs/measuring.md for where each begins and ends."""
        figures = self.figures or Figures(0, [], [], [], [])
        values = {
            "name": self.name,
            "screen_latency_ms": summary(figures.screen_ms),
            "encode_ms": summary(figures.encode_ms),
            "receive_ms": summary(figures.receive_ms),
            "shown": len(figures.screen_ms),
            "sent": figures.sent,
            "sampling_gap_ms": summary(self.gaps_ms),
            "note": self.note,
            "unfit": self.unfit,
        }
        if figures.difference_ms:
            values["in_band_vs_screen_ms"] = summary(figures.difference_ms)
        return values


def merged(turns: Sequence[Row]) -> Row:
    """One row of several rounds: all their pictures; a round that failed says so in the note."""
    good = [row.figures for row in turns if row.figures is not None]
    failed = [row.note for row in turns if row.figures is None]
    unfit = sorted({reason for row in turns for reason in row.unfit})
    note = "; ".join(dict.fromkeys(failed)) or turns[0].note
    gaps_ms = [gap for row in turns for gap in row.gaps_ms]
    return Row(turns[0].name, note, pooled(good) if good else None, gaps_ms, {"unfit": unfit})


def measure(peer: Peer, settings: Settings) -> Row:
    """Runs one row. What goes wrong stands in the row's note."""
    watch = ConditionsWatch()
    watch.start()
    try:
        row = _measure(peer, settings)
    except ScreenError as error:
        row = Row(peer.name, str(error))
    return Row(row.name, row.note, row.figures, row.gaps_ms, watch.stop())


def _measure(peer: Peer, settings: Settings) -> Row:
    with ExitStack() as stack:
        screen = stack.enter_context(xvfb(settings.width, settings.height))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinair-glass-")))
        place = Place(screen.display, free_port(), settings.width, settings.height, settings.mode, home)
        if missing := peer.missing(place):
            return Row(peer.name, missing)
        place.write_sdp()
        sampler = Sampler(screen.file, settings.width, settings.height)
        stack.callback(sampler.close)
        with _Cast(peer, settings, place) as cast:
            cast.start()
            window_us, trouble = _watch(sampler, screen, settings, cast.processes)
        # All have ended by now, so the frame logs are whole.
        if trouble:
            return Row(peer.name, trouble)
        in_band_us = {}
        if peer.feed.startswith("thinair"):
            in_band_us = {
                frame["frame_id"]: frame["capture_to_present_us"]
                for frame in read_frames(place.receiver_log)
                if "capture_to_present_us" in frame
            }
        sent = sent_frames(read_frames(place.sender_log if peer.feed else place.receiver_log))
        figures = join(sent, sampler.sightings, in_band_us, window_us)
        note = peer.says if figures.sent else "no frame log of the sender"
        return Row(peer.name, note, figures, [gap / 1000 for gap in sampler.gaps_us])


def _watch(
    sampler: Sampler, screen: Screen, settings: Settings, processes: Mapping[str, Process]
) -> tuple[tuple[int, int], str]:
    """Samples until the window is over: (first, last capture time that counts), and what went wrong, if anything."""
    began_us = time.monotonic_ns() // 1000
    trouble, warm = "", False

    def done(now_us: int) -> bool:
        nonlocal trouble, warm
        trouble = trouble or ended(processes)
        if not sampler.sightings and now_us - began_us > _FIRST_PICTURE_S * 1e6:
            why = why_unread_on(screen.file, settings.width, settings.height)
            trouble = trouble or f"no picture within {_FIRST_PICTURE_S:g} s: {why}"
        since_s = (now_us - sampler.sightings[0].seen_us) / 1e6 if sampler.sightings else 0.0
        if since_s > WARM_UP_S and not warm:
            warm = True
            sampler.forget_gaps()
        return bool(trouble) or since_s > WARM_UP_S + settings.seconds + _TAIL_S

    with above(settings.priority):
        sampler.run(done)
    if trouble:
        return (0, 0), trouble
    first_us = sampler.sightings[0].seen_us + round(WARM_UP_S * 1e6)
    return (first_us, first_us + round(settings.seconds * 1e6)), ""


class _Cast(ExitStack):
    """The processes of a row, stopped in reverse order at the end."""

    def __init__(self, peer: Peer, settings: Settings, place: Place) -> None:
        super().__init__()
        self._peer, self._settings, self._place = peer, settings, place
        self.processes: dict[str, Process] = {}

    def start(self) -> None:
        if not self._peer.joins:
            self._start_receiver()
        if self._peer.feed:
            self._start_sender()
        if self._peer.joins:
            time.sleep(_JOIN_AFTER_S)
            self._start_receiver()

    def _start_receiver(self) -> None:
        env = {"DISPLAY": self._place.display, **self._peer.env}
        receiver = self._add("receiver", self._peer.command(self._place), env)
        if self._peer.feed:
            wait_for_port(self._place.port, receiver)

    def _start_sender(self) -> None:
        port = self._place.port
        if not self._peer.delimiters:
            port = free_port()
            relay = python_module("thinair.bench.glass.strip_delimiters", str(port), str(self._place.port))
            wait_for_port(port, self._add("relay", relay))
        self._add("sender", sender_command(self._peer.feed, port, self._settings, self._place.sender_log))

    def _add(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        log = self._place.home / f"{name}.log"
        self.processes[name] = self.enter_context(process(argv, log, env or {}))
        return self.processes[name]


def sender_command(feed: str, port: int, settings: Settings, log: Path) -> list[str]:
    """The same sender for every row; only where it sends to differs."""
    address = f"127.0.0.1:{port}"
    ours = {"thinair": ["--to", address], "thinair-open": ["--to", address, "--no-sealed"]}
    target = ours.get(feed, ["--plain", f"{feed}://{address}"])
    return [
        *(*python_module("thinair"), "send", *target, "--source", "testcard", "--mode", settings.mode),
        *("--bitrate", str(settings.bitrate_bps), "--preset", settings.preset, "--key-interval", "1", "--pace", "off"),
        *("--priority", "0", "--frames", str(log)),
    ]


def free_port() -> int:
    """An even UDP port of loopback with the odd one above it free too, as RTP receivers want it."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as low,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as high,
        ):
            low.bind(("127.0.0.1", 0))
            port = int(low.getsockname()[1])
            if port % 2:
                continue
            try:
                high.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
