"""thinair.link.protocol.clock_sync: conventions, resets, refusals, the probe schedule."""

from itertools import pairwise

import pytest

from thinair.link.protocol.clock_sync import BURST, ClockSync
from thinair.link.protocol.rtcp import ProbeEcho

pytestmark = pytest.mark.quick

SECOND = 1_000_000
AHEAD = 7 * SECOND  # peer - local


def exchange(clock: ClockSync, at_us: int, there_us: int = 1000, back_us: int = 1000, ahead_us: int = AHEAD) -> bool:
    arrival = at_us + there_us + ahead_us
    return clock.push(at_us, arrival, arrival + 50, at_us + there_us + 50 + back_us)


def test_before_the_first_exchange_nothing_is_known() -> None:
    clock = ClockSync()
    assert clock.estimate(0) is None
    assert clock.to_local(5, 0) is None


def test_offset_is_peer_minus_local_and_latency_follows_from_it() -> None:
    clock = ClockSync()
    exchange(clock, 0)
    estimate = clock.estimate(2050)
    assert estimate is not None
    assert estimate.offset_us == pytest.approx(AHEAD, abs=1)
    assert estimate.rtt_us == 2000
    assert estimate.bound_us == pytest.approx(1005, abs=1)
    capture_peer_us, present_us = AHEAD - 30_000, 2050
    assert present_us - (capture_peer_us - estimate.offset_us) == pytest.approx(32_050, abs=1)
    assert clock.to_local(capture_peer_us, present_us) == pytest.approx(-30_000, abs=10)


def test_the_quickest_exchange_and_the_quickest_ways_tighten_the_bound() -> None:
    clock = ClockSync()
    exchange(clock, 0, 5000, 5000)
    exchange(clock, 10_000, 300, 9000)
    exchange(clock, 20_000, 9000, 400)
    estimate = clock.estimate(30_000)
    assert estimate is not None
    assert estimate.rtt_us == 9300
    assert estimate.bound_us == pytest.approx(350, abs=20)  # the two quick ways together
    assert abs(estimate.offset_us - AHEAD) <= estimate.bound_us


def test_the_bound_grows_while_no_echo_comes() -> None:
    clock = ClockSync()
    exchange(clock, 0)
    bounds = [estimate.bound_us for at in (0, 1, 10, 100) if (estimate := clock.estimate(at * SECOND))]
    assert bounds == sorted(bounds)
    assert bounds[-1] > bounds[0] + 100 * 140


def test_a_stamp_of_the_past_is_mapped_with_the_skew_of_its_time() -> None:
    clock = ClockSync()
    for at in range(0, 60 * SECOND, SECOND // 2):
        exchange(clock, at, 100, 100, ahead_us=AHEAD + at // 10_000)  # 100 ppm
    estimate = clock.estimate(60 * SECOND)
    assert estimate is not None
    assert estimate.skew_ppm == pytest.approx(100, abs=4)
    assert clock.to_local(AHEAD + 3000 + 30 * SECOND, 60 * SECOND) == pytest.approx(30 * SECOND, abs=200)


def test_a_new_boot_id_forgets_the_old_clock() -> None:
    clock = ClockSync()
    clock.push(0, AHEAD, AHEAD, 1000, boot_id=1)
    clock.push(SECOND, 5 * AHEAD, 5 * AHEAD, SECOND + 1000, boot_id=2)
    estimate = clock.estimate(SECOND)
    assert estimate is not None
    assert estimate.offset_us == pytest.approx(5 * AHEAD - SECOND, abs=1000)
    assert clock.resets == 1
    clock.reset(3)
    assert clock.estimate(SECOND) is None


def test_a_clock_that_is_stepped_is_found_again() -> None:
    clock = ClockSync()
    for at in range(0, 10 * SECOND, SECOND // 2):
        exchange(clock, at)
    for at in range(10 * SECOND, 13 * SECOND, SECOND // 2):
        exchange(clock, at, ahead_us=AHEAD + SECOND)
    estimate = clock.estimate(13 * SECOND)
    assert estimate is not None
    assert abs(estimate.offset_us - AHEAD - SECOND) <= estimate.bound_us
    assert clock.negative_deltas >= 1


def test_exchanges_older_than_a_minute_are_forgotten() -> None:
    clock = ClockSync()
    exchange(clock, 0, 100, 100)
    exchange(clock, 61 * SECOND, 4000, 4000)
    estimate = clock.estimate(61 * SECOND)
    assert estimate is not None
    assert estimate.rtt_us == 8000


@pytest.mark.parametrize("stamps", [(100, 0, 0, 99), (0, 10, 9, 100), (0, 0, 101, 100)])
def test_stamps_in_an_impossible_order_are_refused_and_counted(stamps: tuple[int, int, int, int]) -> None:
    clock = ClockSync()
    assert not clock.push(*stamps)
    assert clock.refused == 1
    assert clock.estimate(0) is None


def test_wild_stamps_of_a_peer_do_no_harm() -> None:
    clock = ClockSync()
    for index, peer_us in enumerate((0, 2**64 - 1, 2**63, 1)):
        assert clock.push(index * 1000, peer_us, peer_us, index * 1000 + 500)
    estimate = clock.estimate(4000)
    assert estimate is not None
    assert estimate.bound_us < 1000


def test_probes_leave_eight_at_10_ms_and_then_two_per_second_and_again_after_a_reset() -> None:
    clock, now, times = ClockSync(), 0, []
    clock.reset(1)
    while now < 2 * SECOND:
        now = max(now, clock.next_probe_due(now))
        assert clock.take_probe(now) is not None
        assert clock.take_probe(now) is None
        times.append(now)
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[: BURST - 1] == [10_000] * (BURST - 1)
    assert set(gaps[BURST - 1 :]) == {500_000}
    clock.reset(2)
    assert clock.take_probe(now) is not None
    assert clock.next_probe_due(now) == now + 10_000


def test_an_echo_counts_once_and_only_for_a_probe_that_left() -> None:
    clock = ClockSync()
    clock.reset(1)
    probe = clock.take_probe(100)
    assert probe is not None
    echo = ProbeEcho(1, *probe, AHEAD, AHEAD, 1)
    assert clock.receive_echo(echo, 400)
    assert not clock.receive_echo(echo, 500)
    assert not clock.receive_echo(ProbeEcho(1, 99, 100, AHEAD, AHEAD, 1), 500)
    assert clock.refused == 2


def test_unanswered_probes_are_not_remembered_for_ever() -> None:
    clock, now = ClockSync(), 0
    first = None
    for _ in range(200):
        now = max(now, clock.next_probe_due(now))
        first = first or clock.take_probe(now)
        clock.take_probe(now)
    assert first is not None
    assert not clock.receive_echo(ProbeEcho(1, *first, AHEAD, AHEAD, 0), now)
    assert len(clock._outstanding) <= 64
