"""What report, page, HUD, terminal table and metrics may know of a player: values of one moment, read only.

Whoever shows a player gets one of these, or a function that makes one; nobody gets the player."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thinair.link.protocol.clock_sync import ClockEstimate
from thinair.link.protocol.congestion_control import Decision
from thinair.link.protocol.sender_session import MediaDescription
from thinair.receiver.stats.counters import FrameCounts, Timing
from thinair.receiver.stats.event_log import Event
from thinair.receiver.video.presenter import Showing


@dataclass(frozen=True, slots=True)
class Clock:
    """The sender's clock, as far as it is known."""

    estimate: ClockEstimate | None  # None: not locked
    negative_one_way: int  # probes that arrived before they were sent
    negative_network: int  # frames that did


@dataclass(frozen=True, slots=True)
class Network:
    """Datagrams by what became of them, and what the sender is told to send."""

    receive: Mapping[str, int]  # as Rx.stats(), by the names of docs/report.md; see `renamed`
    recovery: Mapping[str, int]  # as Rx.recovery(), the same
    drops: Mapping[str, int]  # media, by reason; reasons with 0 are left out
    control_drops: Mapping[str, int]  # control messages, by reason
    decision: Decision | None  # of congestion control, newest
    capacity_bps: int | None  # of the path; None: unknown, or more than is used
    limits: tuple[int | None, int | None]  # of the bitrate, least and most bit/s; None: no limit


@dataclass(frozen=True, slots=True)
class Picture:
    """What the window shows, and how old it is."""

    showing: Showing
    latency_mode: str  # lowest, smooth
    trouble: str  # why no live picture is shown; "" while one is
    absence: str  # what the camera lacks, with its age; "" where it lacks nothing or no sender is there to say it
    glass_age_us: float | None
    freezes: int
    longest_freeze_us: int
    graph: tuple[float | None, ...]  # latency of the last seconds, ms, oldest first; () where nobody sees it


@dataclass(frozen=True, slots=True)
class PlayerStatus:
    """Counters count since the start of the run; None is unknown."""

    now_us: int
    transport: str  # thinair, rtp, annexb
    encrypted: bool
    media: MediaDescription | None  # None before a sender is there, and on plain inputs
    interval_us: float  # between frames
    fps: float | None
    bitrate_bps: float
    frames: FrameCounts
    timing: Timing
    clock: Clock
    network: Network
    picture: Picture
    decoder_errors: Mapping[str, int]  # by reason
    events: tuple[Event, ...]
    notes: tuple[str, ...]  # what the system refused

    @property
    def camera(self) -> str:
        """The sender's name; "" before one is there."""
        return self.media.name if self.media else ""

    @property
    def mode(self) -> str:
        """`1920x1080@25`; on plain inputs the size alone."""
        return mode_words(self.media) if self.media else "x".join(map(str, self.picture.showing.size or ()))


def mode_words(media: MediaDescription) -> str:
    return f"{media.width}x{media.height}@{media.rate}" if media.rate else "no picture yet"
