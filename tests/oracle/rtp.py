"""RFC 6184 packetizer and reassembler in plain Python, after docs/wire-protocol.md, without regard for speed."""

from collections import Counter
from dataclasses import dataclass, field

from tests.oracle.annexb import join, split

STAP_A, FU_A = 24, 28
TOGETHER = (6, 7, 8)  # SEI, SPS, PPS
DELTA_UNKNOWN = 0xFFFFFF
MAX_FRAME_PACKETS = 1024


@dataclass(frozen=True, slots=True)
class Meta:
    frame_id: int
    rtp_time: int
    key: bool = False
    stamps: tuple[int, int, int, int] = (0, 0, 0, 0)  # capture, dequeue, encode in, encode out; µs
    capture_ntp: int = 0
    sent: tuple[int, int, int, int] | None = None  # frame id, capture, first send, last send


def _delta(start: int, stop: int) -> bytes:
    known = start != 0 and 0 <= stop - start < DELTA_UNKNOWN
    return (stop - start if known else DELTA_UNKNOWN).to_bytes(3, "big")


def _element(number: int, content: bytes) -> bytes:
    return bytes([number << 4 | len(content) - 1]) + content


def _extension(meta: Meta, index: int, count: int) -> bytes:
    frame = meta.frame_id.to_bytes(4, "big") + index.to_bytes(2, "big") + count.to_bytes(2, "big")
    elements = _element(2, frame + bytes([meta.key]))
    capture = meta.stamps[0]
    if index == 0 and meta.capture_ntp:
        elements += _element(1, meta.capture_ntp.to_bytes(8, "big"))
    if index == 0 and capture:
        deltas = b"".join(_delta(capture, stamp) for stamp in meta.stamps[1:])
        elements += _element(3, capture.to_bytes(6, "big") + deltas)
    if index == 0 and meta.sent and meta.sent[2]:
        frame_id, start, first, last = meta.sent
        elements += _element(4, (frame_id & 0xFFFF).to_bytes(2, "big") + _delta(start, first) + _delta(start, last))
    elements += bytes(-len(elements) % 4)
    return b"\xbe\xde" + (len(elements) // 4).to_bytes(2, "big") + elements


def _payloads(nals: list[bytes], rooms: list[int]) -> list[bytes]:
    """`rooms` is the space in the first packet and in each later one."""
    out: list[bytes] = []
    i = 0
    while i < len(nals):
        room = rooms[bool(out)]
        run: list[bytes] = []
        for nal in nals[i:]:
            if nal[0] & 31 not in TOGETHER or 1 + sum(2 + len(n) for n in [*run, nal]) > room:
                break
            run.append(nal)
        if len(run) > 1:
            header = max(n[0] & 0x60 for n in run) | STAP_A
            out.append(bytes([header]) + b"".join(len(n).to_bytes(2, "big") + n for n in run))
            i += len(run)
            continue
        nal = nals[i]
        i += 1
        if len(nal) <= room:
            out.append(nal)
            continue
        rest, start = nal[1:], 0x80
        while rest:
            room = rooms[bool(out)] - 2
            part, rest = rest[:room], rest[room:]
            out.append(bytes([nal[0] & 0xE0 | FU_A, start | (0 if rest else 0x40) | nal[0] & 31]) + part)
            start = 0
    return out


def packetize(
    unit: bytes, meta: Meta, *, payload_type: int, ssrc: int, first_seq: int, max_packet: int, elements: bool
) -> list[bytes]:
    nals = [nal for nal in split(unit) if nal[0] & 31 != 9]
    rooms = [max_packet - 12 - (len(_extension(meta, index, 1)) if elements else 0) for index in (0, 1)]
    payloads = _payloads(nals, rooms)
    packets = []
    for index, payload in enumerate(payloads):
        last = index == len(payloads) - 1
        header = bytes([0x90 if elements else 0x80, last << 7 | payload_type])
        header += ((first_seq + index) % 65536).to_bytes(2, "big")
        header += meta.rtp_time.to_bytes(4, "big") + ssrc.to_bytes(4, "big")
        extension = _extension(meta, index, len(payloads)) if elements else b""
        packets.append(header + extension + payload)
    return packets


def depacketize(payloads: list[bytes]) -> bytes:
    """Annex B of well-formed payloads in order."""
    nals: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 31
        if kind == STAP_A:
            rest = payload[1:]
            while rest:
                size = int.from_bytes(rest[:2], "big")
                nals.append(rest[2 : 2 + size])
                rest = rest[2 + size :]
        elif kind == FU_A and payload[1] & 0x80:
            nals.append(bytes([payload[0] & 0xE0 | payload[1] & 31]) + payload[2:])
        elif kind == FU_A:
            nals[-1] += payload[2:]
        else:
            nals.append(payload)
    return join(nals)


@dataclass(slots=True)
class _Frame:
    count: int
    payloads: dict[int, bytes] = field(default_factory=dict)
    complete_us: int | None = None


class FrameReassembler:
    """What the C reassembler does with well-formed packets of one stream that has frame elements and no jumps."""

    def __init__(self, window_frames: int, reorder_us: int) -> None:
        self.window, self.reorder_us = window_frames, reorder_us
        self.frames: dict[int, _Frame] = {}
        self.floor: int | None = None  # all below is decided
        self.started = False
        self.last = -1  # frame id handed out last
        self.drops: Counter[str] = Counter()

    def _raise_floor(self, to: int) -> None:
        assert self.floor is not None
        if to <= self.floor:
            return
        for frame_id in range(self.floor, to):
            if frame_id not in self.frames or self.frames[frame_id].complete_us is None:
                self.frames.pop(frame_id, None)
                self.drops["incomplete"] += 1
        self.floor, self.started = to, True

    def push(self, packet: bytes, arrival_us: int) -> None:
        extension = int.from_bytes(packet[14:16], "big") * 4
        frame_id = int.from_bytes(packet[17:21], "big")
        index, count = int.from_bytes(packet[21:23], "big"), int.from_bytes(packet[23:25], "big")
        if self.floor is None:
            self.floor, self.last = frame_id, frame_id - 1
        if frame_id < self.floor:
            if self.started or len(self.frames) > self.window or self.floor - frame_id > self.window:
                self.drops["late"] += 1
                return
            self.floor, self.last = frame_id, frame_id - 1
        if frame_id not in self.frames:
            if len(self.frames) > self.window:
                oldest = min(self.frames)
                del self.frames[oldest]
                self.drops["queue_full"] += 1
                self.floor, self.started = max(self.floor, oldest + 1), True
            self.frames[frame_id] = _Frame(count)
        frame = self.frames[frame_id]
        if index in frame.payloads:
            self.drops["duplicate"] += 1
        else:
            frame.payloads[index] = packet[16 + extension :]
            if len(frame.payloads) == count:
                frame.complete_us = arrival_us
        if len(self.frames) > self.window:
            oldest = min(self.frames)
            self._raise_floor(oldest if self.frames[oldest].complete_us is not None else oldest + 1)

    def next(self, now_us: int) -> tuple[int, bytes, int] | None:
        """(frame id, Annex B, frames lost before)"""
        for frame_id, frame in sorted(self.frames.items()):
            if frame.complete_us is not None and now_us >= frame.complete_us + self.reorder_us:
                self._raise_floor(frame_id)
        if not self.frames:
            return None
        frame_id = min(self.frames)
        frame = self.frames[frame_id]
        assert self.floor is not None
        if frame.complete_us is None or frame_id > self.floor:
            return None
        del self.frames[frame_id]
        if frame_id >= self.floor:
            self.floor, self.started = frame_id + 1, True
        lost, self.last = frame_id - self.last - 1, frame_id
        return frame_id, depacketize([frame.payloads[i] for i in range(frame.count)]), lost
