"""SendQueue and reassembler together over arbitrary air: whatever is lost, late, doubled or out of order, no wrong byte
comes out, and once the air is back the picture goes on."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinair.link.native import Reassembler, SendQueue
from thinair.link.protocol.rtcp import PACE_OWN, Target, build

pytestmark = pytest.mark.quick
COOKIE, SSRC, INTERVAL_US, WAY_US = 7, 9, 33_333, 3_000
sizes = st.integers(200, 9_000)


def unit(frame_id: int, size: int) -> bytes:
    return b"\0\0\0\1\x41\x9a" + bytes((frame_id * 31 + 11 * i) % 254 + 1 for i in range(size))


@dataclass
class Wire:
    """Both ends and the events between them; `fate(forward)` gives the delays of a packet's copies."""

    share: int
    outbox: SendQueue = field(default_factory=lambda: SendQueue(ssrc=SSRC, max_packet=300, interval_us=INTERVAL_US))
    reassembler: Reassembler = field(default_factory=lambda: Reassembler(repair_timeout_us=60_000))
    units: dict[int, bytes] = field(default_factory=dict)
    came: list[int] = field(default_factory=list)
    _heap: list[tuple[int, int, str, bytes]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.outbox.set_cookie(COOKIE)
        self.reassembler.peer(1, COOKIE)
        self.reassembler.timing(INTERVAL_US, 2 * WAY_US, 0)
        self.outbox.control(build(Target(1, COOKIE, 1, 8_000_000, 0xFFFFFFFF, 0, PACE_OWN, self.share)), 0)

    def put(self, now: int, fates: list[int], kind: str, data: bytes) -> None:
        for fate in fates:
            self._count += 1
            heapq.heappush(self._heap, (now + WAY_US + fate, self._count, kind, data))

    def frame(self, frame_id: int, size: int, now: int, fate: Fate) -> None:
        self.units[frame_id] = unit(frame_id, size)
        data, rtp_time = self.units[frame_id], 3000 * frame_id
        self.outbox.push(data, now_us=now, frame_id=frame_id, rtp_time=rtp_time, capture_us=now)
        self._send(now, fate)

    def _send(self, now: int, fate: Fate) -> None:
        while due := self.outbox.next(now):
            for datagram in due:
                self.put(now, fate.of(forward=True), "media", datagram)

    def run(self, until: int, fate: Fate) -> None:
        now = 0
        while True:
            timer = self.reassembler.deadline()
            first = self._heap[0][0] if self._heap else until + 1
            now = max(now, min(first, timer if timer is not None else until + 1))
            if now > until:
                return
            while self._heap and self._heap[0][0] <= now:
                _, _, kind, data = heapq.heappop(self._heap)
                if kind == "media":
                    self.reassembler.push(data, now)
                else:
                    self.outbox.control(data, now)
                    self._send(now, fate)
            while (request := self.reassembler.request(now)) is not None:
                self.put(now, fate.of(forward=False), "control", request)
            while (got := self.reassembler.next(now)) is not None:
                assert bytes(got) == self.units[got.frame_id]
                self.came.append(got.frame_id)
            timer = self.reassembler.deadline()
            assert timer is None or timer > now, "a deadline that nothing comes of"


@dataclass
class Fate:
    """What becomes of packets: drawn until `clear`, then nothing happens to them."""

    draw: st.DataObject
    clear: bool = False
    _plan: list[list[int]] = field(default_factory=list)
    _at: int = 0

    def of(self, *, forward: bool) -> list[int]:
        if self.clear:
            return [0]
        if not self._plan:
            one = st.sampled_from([[], [], [0], [0], [0], [0], [0], [5_000], [0, 7_000], [40_000]])
            self._plan = self.draw.draw(st.lists(one, min_size=20, max_size=60), label="fates")
        self._at += 1
        return self._plan[self._at % len(self._plan)]


@given(st.data(), st.integers(1, 40), st.integers(1, 128), sizes)
def test_any_losses_up_to_the_symbols_sent_are_restored_without_a_question(
    data: st.DataObject, number: int, share: int, size: int
) -> None:
    wire = Wire(share)
    wire.reassembler.peer(1, 0)  # nobody is asked
    wire.units[number] = unit(number, size)
    wire.outbox.push(wire.units[number], now_us=0, frame_id=number, rtp_time=1, capture_us=1)
    datagrams: list[bytes] = []
    while due := wire.outbox.next(0):
        datagrams += due
    symbols = sum(datagram[1] & 0x7F == 97 for datagram in datagrams)
    lost = data.draw(st.sets(st.integers(0, len(datagrams) - 1), min_size=symbols, max_size=symbols), label="lost")
    media = len(datagrams) - symbols
    if lost >= set(range(media)):
        return  # a stream must be known before a symbol of it means anything
    for position in data.draw(st.permutations(range(len(datagrams))), label="order"):
        if position not in lost:
            wire.reassembler.push(datagrams[position], 10)
    got = wire.reassembler.next(10)
    known = any(position not in lost for position in range(media))
    if got is None:  # symbols that came before any media packet could not be placed
        assert known
        return
    assert bytes(got) == wire.units[number]


@pytest.mark.slow
@given(st.data(), st.lists(sizes, min_size=3, max_size=10), st.sampled_from([0, 30, 90]))
def test_no_wrong_byte_comes_out_of_any_air_and_the_picture_goes_on_when_it_clears(
    data: st.DataObject, frames: list[int], share: int
) -> None:
    wire, fate = Wire(share), Fate(data)
    at = 10_000
    for frame_id, size in enumerate(frames):
        wire.frame(frame_id, size, at, fate)
        at += INTERVAL_US
        wire.run(at, fate)
    fate.clear = True
    for frame_id in range(len(frames), len(frames) + 4):
        wire.frame(frame_id, 2_000, at, fate)
        at += INTERVAL_US
        wire.run(at, fate)
    wire.run(at + 700_000, fate)
    assert wire.came == sorted(set(wire.came))
    assert set(range(len(frames) + 1, len(frames) + 4)) <= set(wire.came)
