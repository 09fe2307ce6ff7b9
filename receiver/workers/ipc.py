"""What passes between the player and its workers (recorder, dashboard): messages over a socket pair.

A message is a little-endian u32 with the size of what follows, one byte of kind, then a JSON object (`J`) or an access
unit (`U`): UNIT's fields and its Annex B bytes. The object's `type` is one of MESSAGES, its other keys are that class's
fields. Both ends are of one installation, so there is no version.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.stats.event_log import Event
from thinair.receiver.stats.frame_table import FrameRow
from thinair.receiver.stats.live_state import LiveState
from thinair.receiver.workers.codec import MalformedError, as_dict, decode, encode

MAX_MESSAGE = 16 << 20
SECRET_NAME = "THINAIR_DASHBOARD_TOKEN"  # noqa: S105 -- of the variable that the player hands it over in
_SIZE = struct.Struct("<IB")
_UNIT = struct.Struct("<BxHIIqqq")
_JSON, _PICTURE = ord("J"), ord("U")
KEY, GAP, CAPTURED = 1, 2, 4  # flags


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit, Annex B. Times are µs: `time_us` on the clock of its stream (`stream` counts senders: another
    number means another clock), `capture_us` and `arrival_us` on this machine's CLOCK_MONOTONIC."""

    stream: int
    frame_id: int
    key: bool
    gap: bool  # frames before it are missing
    lost_before: int
    captured: bool  # time_us is a capture's, not an arrival's
    time_us: int
    capture_us: int  # 0: unknown
    arrival_us: int
    data: bytes


# ---- from the player


@dataclass(frozen=True, slots=True)
class Frames:
    """Finished frames; a row has the columns of stats/frame_table.py."""

    rows: list[FrameRow]


@dataclass(frozen=True, slots=True)
class Camera:
    name: str


@dataclass(frozen=True, slots=True)
class State:
    """A few times a second."""

    state: LiveState


@dataclass(frozen=True, slots=True)
class ReportText:
    """The answer to RequestReport: docs/report.md as JSON."""

    text: str


# ---- from a worker


@dataclass(frozen=True, slots=True)
class Recording:
    status: RecordingStatus


@dataclass(frozen=True, slots=True)
class Note:
    """An event of the worker's."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Listening:
    """The dashboard's port."""

    port: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Whether somebody watches the picture in a browser: only then the dashboard gets access units."""

    on: bool


@dataclass(frozen=True, slots=True)
class RequestReport:
    pass


# ---- commands; Record goes on from the player to the recorder


@dataclass(frozen=True, slots=True)
class Record:
    on: bool


@dataclass(frozen=True, slots=True)
class RequestKeyFrame:
    why: str


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Of the bitrate; None is no limit."""

    min_bps: int | None
    max_bps: int | None


@dataclass(frozen=True, slots=True)
class RequestMode:
    mode: str  # 1920x1080@25


@dataclass(frozen=True, slots=True)
class SetLatency:
    mode: Literal["lowest", "smooth"]


PlayerCommand = RequestKeyFrame | SetLimits | RequestMode | SetLatency
FromPlayer = Frames | Event | Camera | State | ReportText
FromWorker = Recording | Note | Listening | Watch | RequestReport
Content = FromPlayer | FromWorker | Record | PlayerCommand
Message = Unit | Content
MESSAGES: dict[str, type[Content]] = {
    "frames": Frames,
    "event": Event,
    "camera": Camera,
    "state": State,
    "report": ReportText,
    "recording": Recording,
    "note": Note,
    "listening": Listening,
    "watch": Watch,
    "request_report": RequestReport,
    "record": Record,
    "key_frame": RequestKeyFrame,
    "limits": SetLimits,
    "mode": RequestMode,
    "latency": SetLatency,
}
_NAMES = {kind: name for name, kind in MESSAGES.items()}


def pack(message: Message) -> bytes:
    if isinstance(message, Unit):
        return _pack_unit(message)
    body = encode({"type": _NAMES[type(message)], **as_dict(message)}).encode()
    return _SIZE.pack(len(body) + 1, _JSON) + body


def _pack_unit(unit: Unit) -> bytes:
    flags = KEY * unit.key | GAP * unit.gap | CAPTURED * unit.captured
    head = _UNIT.pack(
        flags, min(unit.lost_before, 0xFFFF), unit.stream, unit.frame_id & 0xFFFFFFFF, unit.time_us, unit.capture_us,
        unit.arrival_us,
    )  # fmt: skip
    return b"".join((_SIZE.pack(len(head) + len(unit.data) + 1, _PICTURE), head, unit.data))


class MessageReader:
    """Bytes as they arrive, messages out. What cannot be read is left out and counted in `refused`, by reason. After a
    message of an impossible size the rest cannot be told apart: then `broken`, and nothing more is read."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.broken = False
        self._held = bytearray()

    def read(self, data: bytes) -> Iterator[Message]:
        held = self._held
        held += data
        at = 0
        try:
            while not self.broken and len(held) - at >= _SIZE.size:
                size, kind = _SIZE.unpack_from(held, at)
                if not 1 <= size <= MAX_MESSAGE:
                    self.refused["size"] += 1
                    self.broken = True
                    return
                end = at + 4 + size
                if len(held) < end:
                    break
                body = bytes(memoryview(held)[at + _SIZE.size : end])
                at = end
                if (message := self._message(kind, body)) is not None:
                    yield message
        finally:
            del held[:at]

    def _message(self, kind: int, body: bytes) -> Message | None:
        try:
            if kind == _JSON:
                return _content(body)
            if kind == _PICTURE:
                return _unit(body)
        except MalformedError:
            self.refused["malformed"] += 1
        else:
            self.refused["kind"] += 1
        return None


def _content(body: bytes) -> Content:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("no JSON") from error
    name = content.pop("type", None) if isinstance(content, dict) else None
    if not isinstance(name, str) or name not in MESSAGES:
        raise MalformedError("no message that is known")
    return decode(MESSAGES[name], content)


def _unit(body: bytes) -> Unit:
    if len(body) < _UNIT.size:
        raise MalformedError("no access unit")
    flags, lost, stream, frame_id, time_us, capture_us, arrival_us = _UNIT.unpack_from(body)
    return Unit(
        stream, frame_id, bool(flags & KEY), bool(flags & GAP), lost, bool(flags & CAPTURED), time_us, capture_us,
        arrival_us, body[_UNIT.size :],
    )  # fmt: skip
