"""Both sessions over a path that delays, jitters and loses, in virtual time: the picture comes back within a second."""

import random
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush

import pytest

from thinair.link.protocol.receiver_session import ARRIVALS, NewSender, ReceiverSession, SourceChanged
from thinair.link.protocol.rtcp import Probe, ProbeEcho, build, is_control, parse
from thinair.link.protocol.sender_session import KeyFrameRequested, Linked, MediaDescription, SenderSession
from thinair.link.protocol.source_state import SourceCode, SourceState

pytestmark = [pytest.mark.quick, pytest.mark.slow]

MS = 1000
SECOND = 1_000_000
INTERVAL_US = 40 * MS
PACKETS = 4  # of each frame
MEDIA = struct.Struct("!BBHIIB")  # RTP's first bytes, time = frame number; then 1 for a key frame
RECEIVER = ("192.0.2.9", 5004)
DESCRIPTION = MediaDescription(1920, 1080, Fraction(25), 8_000_000, "sim")


@dataclass
class Camera:
    """A sender process: session, and a frame every 40 ms in which the packet thread's part is imitated."""

    rng: random.Random
    port: int
    clock_us: int  # its monotonic clock is ahead by this
    next_frame_us: int = 0
    frame: int = 0
    seq: int = 0
    key: bool = True
    session: SenderSession = field(init=False)

    def __post_init__(self) -> None:
        bits = self.rng.getrandbits
        self.session = SenderSession(bits(64), bits(64), bits(32), DESCRIPTION)

    def receive(self, data: bytes, now: int) -> list[bytes]:
        self.session.receive_datagram(data, now)
        peer_us = now + self.clock_us
        return [
            build(ProbeEcho(self.session.ssrc, m.probe_id, m.t1_us, peer_us, peer_us + 20, self.session.boot_id))
            for m in parse(data)
            if isinstance(m, Probe) and m.cookie == self.session.cookie
        ]

    def poll(self, now: int) -> list[bytes]:
        out = []
        while (data := self.session.next_datagram(now)) is not None:
            out.append(data)
        while (event := self.session.next_event()) is not None:
            self.key |= isinstance(event, Linked | KeyFrameRequested)
        if now >= self.next_frame_us:
            self.next_frame_us = now + INTERVAL_US
            if self.session.media_allowed:
                for _ in range(PACKETS):
                    out.append(MEDIA.pack(0x80, 96, self.seq & 0xFFFF, self.frame, self.session.ssrc, self.key))
                    self.seq += 1
                self.frame, self.key = self.frame + 1, False
        return out

    def timeout(self, now: int) -> int:
        due = self.session.next_timeout(now)
        return self.next_frame_us if due is None else min(due, self.next_frame_us)


@dataclass
class Player:
    """A receiver process: session, reassembly by count, a decoder that needs a key frame after every gap."""

    rng: random.Random
    accepted: tuple[str, int, int] | None = None
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    parts: dict[int, int] = field(default_factory=dict)
    expected: int | None = None  # the frame that may be decoded next
    pictures: list[int] = field(default_factory=list)
    senders: int = 0
    states: list[tuple[int, SourceCode]] = field(default_factory=list)
    session: ReceiverSession = field(init=False)

    def __post_init__(self) -> None:
        self.session = ReceiverSession(self.rng.getrandbits(64))

    def receive(self, data: bytes, now: int, port: int) -> None:
        host = f"192.0.2.{port % 256}"
        if is_control(data):
            self.session.receive_datagram(data, now, host, port)
            return
        _, _, seq, frame, ssrc, key = MEDIA.unpack(data)
        if self.accepted != (host, port, ssrc):
            return
        self.session.media_seen(now)
        self.arrivals = [*self.arrivals[1 - ARRIVALS :], (seq, now)]
        self.parts[frame] = self.parts.get(frame, 0) + 1
        if self.parts[frame] == PACKETS:
            self.session.frame_completed((seq + 1 - PACKETS) & 0xFFFF, lambda: self.arrivals, now)
            self._decode(frame, bool(key), now)

    def _decode(self, frame: int, key: bool, now: int) -> None:
        if key:
            self.session.key_frame_arrived()
        if key or frame == self.expected:
            self.expected = frame + 1
            self.pictures.append(now)
        else:
            self.expected = None
            self.session.key_frame_needed(now)

    def poll(self, now: int) -> list[tuple[bytes, str, int]]:
        out = []
        if self.session.feedback_due(now):
            self.session.report(self.arrivals, now)
        while (item := self.session.next_datagram(now)) is not None:
            out.append(item)
        while (event := self.session.next_event()) is not None:
            if isinstance(event, NewSender):
                self.senders += 1
                self.accepted = (event.host, event.port, event.ssrc)
                self.arrivals, self.parts, self.expected = [], {}, None
            if isinstance(event, SourceChanged):
                self.states.append((now, event.state.code))
        return out

    def timeout(self, now: int) -> int:
        due = self.session.next_timeout(now)
        return now + SECOND if due is None else due


class World:
    """Virtual time: the next event decides what the time is."""

    def __init__(self, seed: int, *, loss: float, delay_us: tuple[int, int] = (2 * MS, 8 * MS)) -> None:
        print("seed", seed)
        self.rng = random.Random(seed)
        self.loss, self.delay_us = loss, delay_us
        self.now = 1_000 * SECOND
        self.camera: Camera | None = None
        self.player: Player | None = None
        self._ports = 4000
        self._order = 0
        self._air: list[tuple[int, int, bool, bytes, int]] = []

    def start_camera(self) -> Camera:
        self._ports += 1
        self.camera = Camera(self.rng, self._ports, self.rng.randrange(10**9), next_frame_us=self.now)
        return self.camera

    def start_player(self) -> Player:
        self.player = Player(self.rng)
        return self.player

    def run(self, duration_us: int) -> None:
        end = self.now + duration_us
        while True:
            self._poll()
            times = [end]
            times += [self._air[0][0]] if self._air else []
            times += [end_.timeout(self.now) for end_ in (self.camera, self.player) if end_ is not None]
            self.now = max(self.now, min(times))
            if self.now >= end:
                return
            while self._air and self._air[0][0] <= self.now:
                _, _, to_player, data, port = heappop(self._air)
                self._deliver(to_player, data, port)

    def _poll(self) -> None:
        if self.camera is not None:
            for data in self.camera.poll(self.now):
                self._send(True, data, self.camera.port)
        if self.player is not None:
            for data, host, port in self.player.poll(self.now):
                assert host == f"192.0.2.{port % 256}"
                self._send(False, data, port)

    def _deliver(self, to_player: bool, data: bytes, port: int) -> None:
        if to_player and self.player is not None:
            self.player.receive(data, self.now, port)
        elif not to_player and self.camera is not None and self.camera.port == port:
            for answer in self.camera.receive(data, self.now):
                self._send(True, answer, port)

    def _send(self, to_player: bool, data: bytes, port: int) -> None:
        if self.rng.random() >= self.loss:
            self._order += 1
            arrival = self.now + self.rng.randint(*self.delay_us)
            heappush(self._air, (arrival, self._order, to_player, data, port))


def first_picture_after(player: Player, start_us: int) -> int:
    return min(at for at in player.pictures if at >= start_us) - start_us


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("camera_first", [True, False])
def test_either_side_may_start_first(seed: int, camera_first: bool) -> None:
    world = World(seed, loss=0.02)
    (world.start_camera if camera_first else world.start_player)()
    world.run(3 * SECOND)
    start = world.now
    player = world.player or world.start_player()
    if world.camera is None:
        world.start_camera()
    world.run(2 * SECOND)
    assert first_picture_after(player, start) < SECOND


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("gone_ms", [0, 30, 400, 3000])
def test_a_restarted_receiver_has_a_picture_within_a_second(seed: int, gone_ms: int) -> None:
    world = World(seed, loss=0.02)
    world.start_camera()
    world.start_player()
    world.run(2 * SECOND)
    world.player = None
    world.run(gone_ms * MS)
    start = world.now
    player = world.start_player()
    world.run(2 * SECOND)
    assert first_picture_after(player, start) < SECOND


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("gone_ms", [0, 30, 400, 3000])
def test_a_restarted_sender_is_seen_within_a_second_without_a_bye(seed: int, gone_ms: int) -> None:
    world = World(seed, loss=0.02)
    world.start_camera()
    player = world.start_player()
    world.run(2 * SECOND)
    assert player.senders == 1
    world.camera = None
    world.run(gone_ms * MS)
    start = world.now
    world.start_camera()
    world.run(20 * MS)  # what the old one sent is through
    world.run(2 * SECOND)
    assert player.senders == 2
    assert first_picture_after(player, start + 20 * MS) < SECOND - 20 * MS


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_frame_heals_by_a_key_frame_within_half_a_second(seed: int) -> None:
    world = World(seed, loss=0.0)
    world.start_camera()
    player = world.start_player()
    world.run(2 * SECOND)
    world.loss = 1.0
    world.run(100 * MS)
    world.loss = 0.0
    start = world.now
    world.run(SECOND)
    assert first_picture_after(player, start) < 500 * MS
    assert player.senders == 1


@pytest.mark.parametrize("seed", range(10))
def test_the_clock_is_known_and_right_within_its_bound_over_the_whole_link(seed: int) -> None:
    world = World(seed, loss=0.05)
    camera, player = world.start_camera(), world.start_player()
    world.run(5 * SECOND)
    estimate = player.session.clock.estimate(world.now)
    assert estimate is not None
    assert abs(estimate.offset_us - camera.clock_us) <= estimate.bound_us < 8 * MS


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.2])
def test_the_sender_counts_the_losses_of_the_path_from_reports_that_are_lost_too(loss: float) -> None:
    world = World(7, loss=loss)
    camera = world.start_camera()
    world.start_player()
    world.run(60 * SECOND)
    tally = camera.session.tally
    tally.finish()
    assert tally.judged > 0.9 * camera.seq
    assert tally.lost / tally.judged == pytest.approx(loss, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_receiver_that_never_comes_gets_no_media_and_one_that_goes_stops_it(seed: int) -> None:
    world = World(seed, loss=0.02)
    camera = world.start_camera()
    world.run(5 * SECOND)
    assert camera.seq == 0
    world.start_player()
    world.run(2 * SECOND)
    assert camera.seq > 0
    world.player = None
    world.run(3 * SECOND)
    sent = camera.seq
    world.run(5 * SECOND)
    assert camera.seq == sent


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_each_state_of_the_source_is_known_soon_though_messages_are_lost(seed: int, loss: float) -> None:
    world = World(seed, loss=loss, delay_us=(2 * MS, 60 * MS))  # 40 ms apart: they overtake each other
    camera, player = world.start_camera(), world.start_player()
    world.run(3 * SECOND)
    for code in (SourceCode.NO_CABLE, SourceCode.UNSUPPORTED, SourceCode.NO_SIGNAL, SourceCode.STALLED):
        start = world.now
        camera.session.source_state(SourceState(code, start), start)
        world.run(4 * SECOND if loss else 100 * MS)
        assert player.states[-1][1] is code
        assert player.states[-1][0] - start < (2 * SECOND if loss else 60 * MS)
    assert len(player.states) == 4, "a repeated or overtaken message is no change"


@pytest.mark.parametrize("seed", range(10))
def test_a_player_that_joins_late_knows_the_state_and_its_age(seed: int) -> None:
    world = World(seed, loss=0.0)
    camera = world.start_camera()
    began = world.now
    camera.session.source_state(SourceState(SourceCode.NO_CABLE, began), began)
    camera.clock_us = 0
    world.run(12 * SECOND)
    player = world.start_player()
    world.run(300 * MS)
    state = player.session.source
    assert state is not None
    assert abs(state.since_us - began) <= 10 * MS
