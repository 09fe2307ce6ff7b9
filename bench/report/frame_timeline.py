"""The story of a frame: which packets came when, what was asked for, what was repaired; from the player's pcap."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinair.bench.analysis.recorded_run import Frame, stage_us
from thinair.bench.network.packets import Media, Symbol, read
from thinair.link.errors import ConfigError, FileError
from thinair.link.protocol.frame_trace import STAGES
from thinair.link.protocol.rtcp import Pli, Repair, Target, is_control, parse

WORST = 10
_MAGIC, _RAW = 0xA1B2C3D4, 101
_RTP = 12
_SHOWN_PACKETS = 400  # in one story


@dataclass(frozen=True, slots=True)
class Packet:
    at_us: int  # the player's CLOCK_MONOTONIC
    out: bool
    data: bytes  # its beginning, opened
    size: int


@dataclass(frozen=True, slots=True)
class Event:
    """What a packet meant for a frame."""

    at_us: int
    kind: str  # media, symbol, asked, given_up, key_asked
    text: str
    index: int = -1
    count: int = 0


def read_pcap(path: Path) -> Iterator[Packet]:
    """What the player wrote (receiver/stats/pcap.py). A record that is cut at the end of the file ends it. Raises
    FileError, ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    if len(data) < 24 or struct.unpack_from("<I", data)[0] != _MAGIC or struct.unpack_from("<I", data, 20)[0] != _RAW:
        raise ConfigError(f"{path} is not a packet file of thinair play --packets")
    return _records(data)


def _records(data: bytes) -> Iterator[Packet]:
    at = 24
    while at + 16 <= len(data):
        seconds, us, kept, size = struct.unpack_from("<4I", data, at)
        record = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if len(record) < kept or (kept < 48 and not (record and record[0] >> 4 == 4 and kept >= 28)):
            return
        four = record[0] >> 4 == 4
        ip, sender = (20, record[12:16]) if four else (40, record[8:24])
        yield Packet(seconds * 1_000_000 + us, not any(sender), record[ip + 8 :], size - ip - 8)


def by_frame(packets: Iterator[Packet]) -> dict[int, list[Event]]:
    """Frame id to what its packets tell, in order of time. Key frames asked for stand under the newest frame known."""
    found: dict[int, list[Event]] = defaultdict(list)
    newest = 0
    for packet in packets:
        if len(packet.data) < _RTP:
            continue
        if is_control(packet.data):
            if packet.out:
                _control(packet, found, newest)
            continue
        event = _media(packet)
        if event is not None:
            frame_id, what = event
            newest = max(newest, frame_id)
            found[frame_id].append(what)
    return found


def _media(packet: Packet) -> tuple[int, Event] | None:
    what = read(packet.data)
    if isinstance(what, Symbol):
        asked = "asked for" if what.asked else "unasked"
        text = f"symbol {what.index} of block {what.block}, {asked}"
        return what.frame_id, Event(packet.at_us, "symbol", text, what.index, what.count)
    if isinstance(what, Media):
        text = f"packet {what.index + 1} of {what.count}"
        return what.frame_id, Event(packet.at_us, "media", text, what.index, what.count)
    return None


def _control(packet: Packet, found: dict[int, list[Event]], newest: int) -> None:
    for message in parse(packet.data):
        if isinstance(message, Repair):
            for one in message.requests:
                what = "all" if one.block == 255 else f"{one.missing} of block {one.block}"
                found[one.frame_id].append(Event(packet.at_us, "asked", f"asked for {what}, round {one.round}"))
        elif isinstance(message, Pli):
            found[newest].append(Event(packet.at_us, "key_asked", "asked for a key frame"))
        elif isinstance(message, Target):
            for back in range(8):
                if message.outcomes >> 2 * back & 3 == 3 and (frame_id := message.newest_id - back) in found:
                    events = found[frame_id]
                    if not any(event.kind == "given_up" for event in events):
                        events.append(Event(packet.at_us, "given_up", "given up"))


def worst(frames: Sequence[Frame], events: dict[int, list[Event]], count: int = WORST) -> list[dict[str, Any]]:
    """The stories of frames that were not shown, half of `count` at most, and of those that were shown latest."""
    first = next((frame["frame_id"] for frame in frames if frame["outcome"] == "presented"), None)
    if first is None:
        return []
    missing = [f for f in frames if f["outcome"] in {"lost", "undecoded"} and f["frame_id"] > first]
    shown = [f for f in frames if f["outcome"] == "presented" and f["capture_to_present_us"] is not None]
    shown.sort(key=lambda frame: -frame["capture_to_present_us"])
    chosen = missing[: count // 2]
    chosen += shown[: count - len(chosen)]
    return [_story(frame, events.get(frame["frame_id"], [])) for frame in chosen]


def _story(frame: Frame, events: Sequence[Event]) -> dict[str, Any]:
    known = [event.at_us for event in events]
    zero = frame["capture_us"] if frame.get("capture_us") is not None else min(known, default=0)
    stages = {name: stage_us(frame, name) for name in STAGES}
    media = {event.index for event in events if event.kind == "media"}
    count = max((event.count for event in events), default=frame.get("packets") or 0)
    lost = sorted(set(range(count)) - media) if media else []
    return {
        "frame_id": frame["frame_id"],
        "round": frame.get("round") or 0,
        "outcome": frame["outcome"],
        "late_ms": _ms(frame.get("capture_to_present_us")),
        "bytes": frame.get("bytes"),
        "packets": count,
        "key": bool(frame.get("key")),
        "stages_ms": {name: _ms(value) for name, value in stages.items()},
        "lost": lost[:64],
        "events": [[_ms(event.at_us - zero), event.kind, event.text] for event in events[:_SHOWN_PACKETS]],
        "words": _words(stages, events, lost, frame),
    }


def _words(stages: dict[str, float | None], events: Sequence[Event], lost: Sequence[int], frame: Frame) -> str:
    """The story in a sentence or two."""
    parts = []
    kinds = [event.kind for event in events]
    if lost:
        numbers = ", ".join(str(index + 1) for index in lost[:8]) + (" ..." if len(lost) > 8 else "")
        parts.append(f"packet{'s' * (len(lost) > 1)} {numbers} did not come")
    if symbols := kinds.count("symbol"):
        asked = sum(event.kind == "symbol" and event.text.endswith(", asked for") for event in events)
        parts.append(f"{symbols} symbols came, {asked} of them asked for")
    if kinds.count("asked"):
        parts.append(f"{kinds.count('asked')} requests")
    if "given_up" in kinds or frame["outcome"] == "lost":
        parts.append("it was given up")
    known = {name: value for name, value in stages.items() if value is not None}
    if known:
        longest = max(known, key=lambda name: known[name])
        parts.append(f"longest in {longest}: {known[longest] / 1000:.1f} ms")
    return "; ".join(parts)


def _ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 3)
