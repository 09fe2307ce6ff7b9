"""One row of the table: a screen, a player on it, a sender, and the screen sampler."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired, TypedDict

from thinair.bench.analysis.summary import Percentiles, read_frames, summary
from thinair.bench.glass.baselines import UNENCRYPTED, Place, PlayerSpec
from thinair.bench.glass.figures import Figures, join, pooled, sent_frames
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.processes import Process, above, ended, process, wait_for_port
from thinair.bench.harness.unreadable_code import why_unread_on
from thinair.bench.harness.xvfb_screen import ScreenError, ScreenSampler, VirtualScreen, xvfb
from thinair.link.child_process import python_module
from thinair.receiver.stats.run_conditions import ConditionsWatch

WARM_UP_S = 3.0  # from the first picture on the screen; not counted
_FIRST_PICTURE_S = 15.0
_JOIN_AFTER_S = 2.0
_TAIL_S = 1.0  # for late pictures of the window


@dataclass(frozen=True, slots=True)
class Settings:
    mode: str
    width: int
    height: int
    bitrate_bps: int
    seconds: float
    priority: int  # 0: ordinary scheduling
    preset: str = "ultrafast"


class RowFigures(TypedDict):
    """A row as JSON. Latencies in ms; docs/measuring.md says where each begins and ends."""

    name: str
    screen_latency_ms: Percentiles
    encode_ms: Percentiles
    receive_ms: Percentiles  # screen latency minus the encode call
    shown: int
    sent: int
    sampling_gap_ms: Percentiles
    note: str
    unfit: list[str]
    in_band_vs_screen_ms: NotRequired[Percentiles]


@dataclass(frozen=True, slots=True)
class Row:
    """`figures`: None where the row failed, and `note` says why. `unfit`: why the machine was too busy for it."""

    name: str
    note: str
    figures: Figures | None = None
    gaps_ms: Sequence[float] = ()
    unfit: Sequence[str] = ()

    def as_json(self) -> RowFigures:
        figures = self.figures or Figures(0, [], [], [], [])
        values: RowFigures = {
            "name": self.name,
            "screen_latency_ms": summary(figures.screen_ms),
            "encode_ms": summary(figures.encode_ms),
            "receive_ms": summary(figures.receive_ms),
            "shown": len(figures.screen_ms),
            "sent": figures.sent,
            "sampling_gap_ms": summary(self.gaps_ms),
            "note": self.note,
            "unfit": list(self.unfit),
        }
        if figures.difference_ms:
            values["in_band_vs_screen_ms"] = summary(figures.difference_ms)
        return values


def merged(turns: Sequence[Row]) -> Row:
    """One row of several rounds: all their pictures; the note names the rounds that failed."""
    good = [row.figures for row in turns if row.figures is not None]
    failed = [row.note for row in turns if row.figures is None]
    unfit = sorted({reason for row in turns for reason in row.unfit})
    note = "; ".join(dict.fromkeys(failed)) or turns[0].note
    gaps_ms = [gap for row in turns for gap in row.gaps_ms]
    return Row(turns[0].name, note, pooled(good) if good else None, gaps_ms, unfit)


def measure(player: PlayerSpec, settings: Settings) -> Row:
    """Runs one row. Its note says what went wrong."""
    watch = ConditionsWatch()
    watch.start()
    try:
        row = _measure(player, settings)
    except ScreenError as error:
        row = Row(player.name, str(error))
    return replace(row, unfit=watch.stop()["unfit"])


def _measure(player: PlayerSpec, settings: Settings) -> Row:
    with ExitStack() as stack:
        screen = stack.enter_context(xvfb(settings.width, settings.height))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinair-glass-")))
        place = Place(screen.display, free_port(), settings.width, settings.height, settings.mode, home)
        if missing := player.missing(place):
            return Row(player.name, missing)
        place.write_sdp()
        sampler = ScreenSampler(screen.file, settings.width, settings.height)
        stack.callback(sampler.close)
        with _RowProcesses(player, settings, place) as processes:
            processes.start()
            window_us, trouble = _watch(sampler, screen, settings, processes.running)
        # All have ended by now, so the frame logs are complete.
        if trouble:
            return Row(player.name, trouble)
        in_band_us = {}
        if player.feed in _OWN_FEEDS:
            in_band_us = {
                frame["frame_id"]: frame["capture_to_present_us"]
                for frame in read_frames(place.receiver_log)
                if "capture_to_present_us" in frame
            }
        sent = sent_frames(read_frames(place.sender_log if player.feed else place.receiver_log))
        figures = join(sent, sampler.sightings, in_band_us, window_us)
        note = player.description if figures.sent else "the sender wrote no frame log"
        return Row(player.name, note, figures, [gap / 1000 for gap in sampler.gaps_us])


def _watch(
    sampler: ScreenSampler, screen: VirtualScreen, settings: Settings, processes: Mapping[str, Process]
) -> tuple[tuple[int, int], str]:
    """Samples until the window is over: (first, last capture time that counts), and what went wrong, or ""."""
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


class _RowProcesses(ExitStack):
    """The processes of a row, stopped in reverse order at the end."""

    def __init__(self, player: PlayerSpec, settings: Settings, place: Place) -> None:
        super().__init__()
        self._player, self._settings, self._place = player, settings, place
        self.running: dict[str, Process] = {}

    def start(self) -> None:
        if not self._player.joins:
            self._start_player()
        if self._player.feed:
            self._start_sender()
        if self._player.joins:
            time.sleep(_JOIN_AFTER_S)
            self._start_player()

    def _start_player(self) -> None:
        env = {"DISPLAY": self._place.display, **self._player.env}
        player = self._add("player", self._player.command(self._place), env)
        if self._player.feed:
            wait_for_port(self._place.port, player)

    def _start_sender(self) -> None:
        port = self._place.port
        if not self._player.delimiters:
            port = free_port()
            relay = python_module("thinair.bench.glass.strip_delimiters", str(port), str(self._place.port))
            wait_for_port(port, self._add("relay", relay))
        self._add("sender", sender_command(self._player.feed, port, self._settings, self._place.sender_log))

    def _add(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        log = self._place.home / f"{name}.log"
        self.running[name] = self.enter_context(process(argv, log, env or {}))
        return self.running[name]


_OWN_FEEDS: dict[str, list[str]] = {"thinair": [], UNENCRYPTED: ["--no-encryption"]}


def sender_command(feed: str, port: int, settings: Settings, log: Path) -> list[str]:
    """The same sender for every row; only its output differs."""
    address = f"127.0.0.1:{port}"
    own = feed in _OWN_FEEDS
    output = ["--to", address, *_OWN_FEEDS[feed]] if own else ["--output", f"{feed}://{address}"]
    return [
        *(*python_module("thinair"), "send", *output, "--source", "testcard", "--mode", settings.mode),
        *("--bitrate", str(settings.bitrate_bps), "--preset", settings.preset, "--key-interval", "1", "--pace", "off"),
        *("--priority", "0", "--frames", str(log)),
    ]
