"""thinair.link.protocol.feedback: reports over eight frames, and their sum without counting twice."""

import random

import pytest

from thinair.link.protocol.feedback import MAX_PACKETS, FeedbackTally, ReportBuilder, report_time, unwrap
from thinair.link.protocol.rtcp import OFFSET_FAR, Feedback, build, parse

pytestmark = pytest.mark.quick


def test_a_report_covers_the_last_eight_frames_and_says_what_is_missing() -> None:
    builder = ReportBuilder(1, 2)
    arrivals = [(seq, 1000 * seq) for seq in range(100) if seq != 97]
    for first in range(0, 100, 10):
        builder.frame(first)
    report = builder.build(arrivals, 99_000)
    assert report is not None
    assert report.begin_seq == 20
    assert len(report.offsets) == 80
    assert [i for i, offset in enumerate(report.offsets, 20) if offset is None] == [97]
    assert report.offsets[-1] == 0
    assert report.offsets[0] == (99 - 20) * 1000 * 1024 // 1_000_000


def test_a_report_runs_over_the_wrap_of_sequence_numbers() -> None:
    builder = ReportBuilder(1, 2)
    builder.frame(65530)
    report = builder.build([(seq & 0xFFFF, 0) for seq in range(65530, 65546) if seq != 65536], 10)
    assert report is not None
    assert (report.begin_seq, len(report.offsets)) == (65530, 16)
    assert report.offsets[6] is None


def test_a_reordered_or_doubled_packet_is_reported_once_with_its_first_arrival() -> None:
    builder = ReportBuilder(1, 2)
    builder.frame(5)
    report = builder.build([(5, 0), (7, 10_000), (6, 20_000), (7, 30_000)], 30_000)
    assert report is not None
    assert report.offsets == (30, 10, 20)


def test_an_old_arrival_is_far_and_one_after_the_report_is_now() -> None:
    builder = ReportBuilder(1, 2)
    builder.frame(5)
    report = builder.build([(5, 0), (6, 20_000_000)], 10_000_000)
    assert report is not None
    assert report.offsets == (OFFSET_FAR, 0)


def test_a_report_never_outgrows_a_datagram() -> None:
    builder = ReportBuilder(1, 2)
    builder.frame(0)
    report = builder.build([(seq, 0) for seq in range(5000)], 0)
    assert report is not None
    assert report.begin_seq == 5000 - MAX_PACKETS
    assert len(build(report)) <= 1400


def test_there_is_no_report_before_the_first_packet() -> None:
    assert ReportBuilder(1, 2).build([], 0) is None


def test_report_time_is_the_middle_of_an_ntp_stamp() -> None:
    assert report_time(1_500_000) == 0x18000
    assert report_time(65536 * 1_000_000) == 0


def test_the_nearest_sequence_number_is_found_on_either_side() -> None:
    assert unwrap(2, 65535) == 65538
    assert unwrap(65535, 65538) == 65535
    assert unwrap(65535, 0) == -1


@pytest.mark.parametrize("seed", range(20))
def test_overlapping_reports_of_which_many_are_lost_count_every_packet_once(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    builder, tally = ReportBuilder(1, 2), FeedbackTally()
    start, seq = rng.randrange(65536), 0
    came: list[tuple[int, int]] = []
    lost = 0
    for frame in range(400):
        packets = [p for p in range(20) if (frame, p) in {(0, 0), (399, 19)} or rng.random() > 0.05]
        lost += 20 - len(packets)
        came += [((start + seq + p) & 0xFFFF, 40_000 * frame + p) for p in packets]
        builder.frame((start + seq) & 0xFFFF)
        seq += 20
        report = builder.build(came[-1024:], 40_000 * frame + 20)
        # Any four of five reports may be lost; each packet stands in eight.
        if report is not None and (frame % 5 == 4 or rng.random() < 0.3):
            tally.add(report)
            if rng.random() < 0.1:
                tally.add(report)
    tally.finish()
    assert (tally.judged, tally.lost, tally.received) == (8000, lost, 8000 - lost)


def test_a_packet_that_comes_late_is_received_in_the_end() -> None:
    tally = FeedbackTally()
    tally.add(Feedback(1, 2, 0, (0, None, 0), 0))
    assert tally.judged == 0
    tally.add(Feedback(1, 2, 0, (0, 0, 0), 0))
    tally.add(Feedback(1, 2, 3, (0,), 0))
    assert (tally.received, tally.lost) == (3, 0)


def test_an_overtaken_report_changes_nothing_that_is_judged() -> None:
    tally = FeedbackTally()
    old = Feedback(1, 2, 0, (None, None, None, None), 0)
    tally.add(Feedback(1, 2, 0, (0, 0, 0, 0), 0))
    tally.add(Feedback(1, 2, 2, (0, 0, 0, 0), 0))
    tally.add(old)
    tally.finish()
    assert (tally.received, tally.lost, tally.late_reports) == (6, 0, 1)


def test_hostile_reports_keep_memory_bounded() -> None:
    tally = FeedbackTally()
    rng = random.Random(1)
    for _ in range(200):
        offsets = tuple([None] * rng.randrange(16384))
        (report,) = parse(build(Feedback(1, 2, rng.randrange(65536), offsets, 0)))
        assert isinstance(report, Feedback)
        tally.add(report)
        assert len(tally._open) <= 16384
