"""Frame timelines: which packets arrived when, what was requested and what was repaired, from the player's pcap."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinair.bench.analysis.recorded_run import Frame, FrameTimeline, stage_us
from thinair.bench.network.packets import Media, Symbol, read
from thinair.link.errors import ConfigError, FileError
from thinair.link.protocol.frame_trace import STAGES
from thinair.link.protocol.rtcp import Pli, Repair, Target, is_control, parse

WORST = 10
_MAGIC, _RAW = 0xA1B2C3D4, 101  # of a pcap file; LINKTYPE_RAW
_FILE_HEADER, _RECORD_HEADER = 24, 16
_RTP = 12
_MOST_EVENTS = 400  # in one timeline
_OUTCOMES, _ABANDONED = 8, 3  # in a TARGET message: frames it tells of, and the code of an abandoned one
_WHOLE_FRAME = 255  # block number of a request for all packets


@dataclass(frozen=True, slots=True)
class Packet:
    at_us: int  # the player's CLOCK_MONOTONIC
    sent: bool  # by the player; else it was received
    data: bytes  # its beginning, decrypted
    size: int


@dataclass(frozen=True, slots=True)
class Event:
    """What a packet means for a frame."""

    at_us: int
    kind: str  # media, symbol, repair_request, abandoned, key_frame_request
    text: str
    index: int = -1
    count: int = 0
    requested: bool = False  # of a symbol


def read_pcap(path: Path) -> Iterator[Packet]:
    """The packets that the player wrote (receiver/stats/pcap.py). A truncated record ends the file. Raises FileError,
    ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    magic, link = struct.unpack_from("<I16xI", data) if len(data) >= _FILE_HEADER else (0, 0)
    if magic != _MAGIC or link != _RAW:
        raise ConfigError(f"{path} is not a packet file of thinair play --packets")
    return _records(data)


def _records(data: bytes) -> Iterator[Packet]:
    at = _FILE_HEADER
    while at + _RECORD_HEADER <= len(data):
        seconds, us, kept, size = struct.unpack_from("<4I", data, at)
        record = data[at + _RECORD_HEADER : at + _RECORD_HEADER + kept]
        at += _RECORD_HEADER + kept
        if len(record) < kept or (kept < 48 and not (record and record[0] >> 4 == 4 and kept >= 28)):
            return
        ipv4 = record[0] >> 4 == 4
        ip, source = (20, record[12:16]) if ipv4 else (40, record[8:24])
        yield Packet(seconds * 1_000_000 + us, not any(source), record[ip + 8 :], size - ip - 8)


def by_frame(packets: Iterator[Packet]) -> dict[int, list[Event]]:
    """Frame id → its events, in order of time. A key frame request is an event of the newest frame known."""
    found: dict[int, list[Event]] = defaultdict(list)
    newest = 0
    for packet in packets:
        if len(packet.data) < _RTP:
            continue
        if is_control(packet.data):
            if packet.sent:
                _control(packet, found, newest)
            continue
        media = _media(packet)
        if media is not None:
            frame_id, event = media
            newest = max(newest, frame_id)
            found[frame_id].append(event)
    return found


def _media(packet: Packet) -> tuple[int, Event] | None:
    content = read(packet.data)
    if isinstance(content, Symbol):
        kind = "on demand" if content.requested else "proactive"
        text = f"repair symbol {content.index} of block {content.block}, {kind}"
        event = Event(packet.at_us, "symbol", text, content.index, content.count, content.requested)
        return content.frame_id, event
    if isinstance(content, Media):
        text = f"packet {content.index + 1} of {content.count}"
        return content.frame_id, Event(packet.at_us, "media", text, content.index, content.count)
    return None


def _control(packet: Packet, found: dict[int, list[Event]], newest: int) -> None:
    for message in parse(packet.data):
        if isinstance(message, Repair):
            for one in message.requests:
                wanted = "all packets" if one.block == _WHOLE_FRAME else f"{one.missing} of block {one.block}"
                text = f"requested {wanted}, round {one.round}"
                found[one.frame_id].append(Event(packet.at_us, "repair_request", text))
        elif isinstance(message, Pli):
            found[newest].append(Event(packet.at_us, "key_frame_request", "requested a key frame"))
        elif isinstance(message, Target):
            for back in range(_OUTCOMES):
                abandoned = message.outcomes >> 2 * back & 3 == _ABANDONED
                if abandoned and (frame_id := message.newest_id - back) in found:
                    events = found[frame_id]
                    if not any(event.kind == "abandoned" for event in events):
                        events.append(Event(packet.at_us, "abandoned", "abandoned"))


def worst(frames: Sequence[Frame], events: dict[int, list[Event]], count: int = WORST) -> list[FrameTimeline]:
    """The timelines of frames that were not shown, `count` / 2 at most, and of the shown frames with the highest
    latency."""
    first = next((frame.frame_id for frame in frames if frame.outcome == "presented"), None)
    if first is None:
        return []
    missing = [frame for frame in frames if frame.outcome in {"lost", "undecoded"} and frame.frame_id > first]
    shown = [frame for frame in frames if frame.outcome == "presented" and frame.capture_to_present_us is not None]
    shown.sort(key=lambda frame: -(frame.capture_to_present_us or 0))
    chosen = missing[: count // 2]
    chosen += shown[: count - len(chosen)]
    return [_timeline(frame, events.get(frame.frame_id, [])) for frame in chosen]


def _timeline(frame: Frame, events: Sequence[Event]) -> FrameTimeline:
    zero = frame.capture_us if frame.capture_us is not None else min((event.at_us for event in events), default=0)
    stages = {name: stage_us(frame, name) for name in STAGES}
    received = {event.index for event in events if event.kind == "media"}
    count = max((event.count for event in events), default=frame.packets or 0)
    lost = sorted(set(range(count)) - received) if received else []
    return {
        "frame_id": frame.frame_id,
        "round": frame.round,
        "outcome": frame.outcome,
        "latency_ms": _ms(frame.capture_to_present_us),
        "bytes": frame.bytes,
        "packets": count,
        "key": bool(frame.key),
        "stages_ms": {name: _ms(value) for name, value in stages.items()},
        "lost": lost[:64],
        "events": [((event.at_us - zero) / 1000, event.kind, event.text) for event in events[:_MOST_EVENTS]],
        "summary": _summary(stages, events, lost, frame),
    }


def _summary(stages: dict[str, float | None], events: Sequence[Event], lost: Sequence[int], frame: Frame) -> str:
    """The timeline in one line."""
    parts = []
    if lost:
        numbers = ", ".join(str(index + 1) for index in lost[:8]) + (" ..." if len(lost) > 8 else "")
        parts.append(f"packet{'s' * (len(lost) > 1)} {numbers} not received")
    if symbols := [event for event in events if event.kind == "symbol"]:
        on_demand = sum(event.requested for event in symbols)
        parts.append(f"{len(symbols)} repair symbol{'s' * (len(symbols) > 1)} received, {on_demand} of them on demand")
    if requests := sum(event.kind == "repair_request" for event in events):
        parts.append(f"{requests} repair request{'s' * (requests > 1)}")
    if frame.outcome == "lost" or any(event.kind == "abandoned" for event in events):
        parts.append("abandoned")
    known = {name: value for name, value in stages.items() if value is not None}
    if known:
        longest = max(known, key=lambda name: known[name])
        parts.append(f"longest stage: {longest}, {known[longest] / 1000:.1f} ms")
    return "; ".join(parts)


def _ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 3)
