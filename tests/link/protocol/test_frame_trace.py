"""thinair.link.protocol.frame_trace: stages that add up, send stamps that come late, a book that stays small."""

from dataclasses import dataclass

import pytest

from thinair.link.protocol.clock_sync import ClockSync
from thinair.link.protocol.frame_trace import STAGES, FrameTrace, FrameTraces, Outcome

pytestmark = pytest.mark.quick

OFFSET = 5_000_000


@dataclass
class FakeUnit:
    """The fields of an access unit; its stamps are those of a frame captured at `capture_us` of the peer."""

    frame_id: int
    capture_us: int
    sent: tuple[int, int | None, int | None] | None = None
    size: int = 1000
    key: bool = False
    gap: bool = False
    packets: int = 3

    def __post_init__(self) -> None:
        self.dequeue_us = self.capture_us + 40_000
        self.encode_in_us = self.capture_us + 41_000
        self.encode_out_us = self.capture_us + 50_000
        self.first_us = self.capture_us - OFFSET + 60_000
        self.last_us = self.unrepaired_us = self.capture_us - OFFSET + 64_000
        self.taken_us = self.capture_us - OFFSET + 64_200


def known_clock() -> ClockSync:
    clock = ClockSync()
    clock.push(0, OFFSET + 100, OFFSET + 100, 200)
    return clock


def unit(frame_id: int, sent_of: int | None = None) -> FakeUnit:
    sent = None if sent_of is None else (sent_of & 0xFFFF, 51_000, 55_000)
    return FakeUnit(frame_id, OFFSET + 1_000_000 + 40_000 * frame_id, sent)


def present(book: FrameTraces, trace: FrameTrace) -> None:
    assert trace.last_packet_us is not None
    book.decoded(trace.frame_id, trace.last_packet_us + 2_000)
    book.presented(trace.frame_id, trace.last_packet_us + 2_500, trace.last_packet_us + 3_000)


def test_the_stages_of_a_frame_add_up_to_its_latency() -> None:
    book = FrameTraces(known_clock())
    present(book, book.received(unit(0)))
    book.received(unit(1, sent_of=0))
    (trace,) = book.finished()
    stages = trace.stages()
    assert tuple(stages) == STAGES
    assert list(stages.values()) == pytest.approx([40_000, 1_000, 9_000, 5_000, 9_000, 0, 2_000, 500, 500], abs=1)
    assert sum(value or 0 for value in stages.values()) == pytest.approx(trace.capture_to_present_us)
    assert trace.capture_to_present_us == pytest.approx(67_000, abs=1)
    assert trace.receive_us == 200
    assert trace.bound_us == pytest.approx(200, abs=50)  # half the round trip, and drift for a second
    assert (trace.outcome, trace.packets, trace.size) == (Outcome.PRESENTED, 3, 1000)


def test_before_the_clock_is_known_latency_is_unknown_and_local_stages_are_not() -> None:
    book = FrameTraces(ClockSync())
    present(book, book.received(unit(0)))
    (trace,) = book.flush()
    assert trace.capture_to_present_us is None
    assert trace.stages()["air"] is None
    assert trace.stages()["decode"] == 2_000
    assert trace.stages()["encode"] == 9_000


def test_a_stamp_of_zero_is_unknown() -> None:
    plain = unit(0)
    plain.capture_us = plain.dequeue_us = plain.encode_in_us = plain.encode_out_us = 0
    book = FrameTraces(known_clock())
    present(book, book.received(plain))
    (trace,) = book.flush()
    assert trace.capture_us is None
    assert trace.capture_to_present_us is None


def test_send_stamps_join_whether_they_come_before_or_after_the_picture_is_shown() -> None:
    book = FrameTraces(known_clock())
    first = book.received(unit(0))
    second = book.received(unit(1, sent_of=0))
    present(book, first)
    present(book, second)
    assert [trace.frame_id for trace in book.finished()] == [0]
    book.received(unit(2, sent_of=1))
    assert [(t.frame_id, t.stages()["pace"]) for t in book.finished()] == [(1, 5_000)]
    assert book.unjoined == 0


def test_send_stamps_find_their_frame_over_the_wrap_of_its_low_bits() -> None:
    book = FrameTraces(known_clock())
    present(book, book.received(unit(0x1FFFF)))
    present(book, book.received(unit(0x20000, sent_of=0x1FFFF)))
    book.received(unit(0x20001, sent_of=0x20000))
    assert [trace.last_send_us is not None for trace in book.finished()] == [True, True]


def test_unknown_send_deltas_stay_unknown() -> None:
    book = FrameTraces(known_clock(), join_frames=1)
    present(book, book.received(unit(0)))
    late = unit(1)
    late.sent = (0, None, None)
    book.received(late)
    (trace,) = book.finished()
    assert (trace.first_send_us, trace.last_send_us, trace.stages()["air"]) == (None, None, None)
    assert trace.capture_to_present_us is not None


def test_a_frame_whose_send_stamps_were_lost_is_handed_out_after_a_few_frames() -> None:
    book = FrameTraces(known_clock(), join_frames=4)
    present(book, book.received(unit(0)))
    for frame_id in (1, 2, 3):
        book.received(unit(frame_id))
        assert book.finished() == []
    book.received(unit(4))
    assert [trace.frame_id for trace in book.finished()] == [0]
    assert book.unjoined == 1


def test_traces_leave_in_the_order_of_their_frames_with_their_outcomes() -> None:
    book = FrameTraces(known_clock(), join_frames=1)
    for frame_id in range(3):
        book.received(unit(frame_id))
    book.superseded(1, 2_000_000)
    assert book.finished() == []
    book.undecoded(0, 2_000_000)
    book.lost(7)
    outcomes = [(trace.frame_id, trace.outcome) for trace in book.finished() + book.flush()]
    assert outcomes[0] == (7, Outcome.LOST)
    assert outcomes[1:] == [(0, Outcome.UNDECODED), (1, Outcome.SUPERSEDED), (2, Outcome.PENDING)]


def test_a_book_whose_frames_are_never_decided_stays_bounded() -> None:
    book = FrameTraces(known_clock(), capacity=16)
    handed_out = 0
    for frame_id in range(1000):
        book.received(unit(frame_id))
        handed_out += len(book.finished())
        assert len(book) <= 16
    assert handed_out == 1000 - 16


def test_a_frame_that_came_before_it_was_sent_is_counted_not_hidden() -> None:
    book = FrameTraces(known_clock())
    present(book, book.received(unit(0)))
    late = unit(1)
    late.sent = (0, 70_000, 80_000)
    book.received(late)
    (trace,) = book.finished()
    assert trace.stages()["air"] == pytest.approx(-16_000, abs=1)
    assert book.negative_network == 1


def test_events_of_frames_that_are_not_in_the_book_are_passed_over() -> None:
    book = FrameTraces(known_clock())
    book.decoded(5, 1)
    book.presented(5, 1, 1)
    assert book.finished() == []
