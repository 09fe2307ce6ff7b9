"""The receiver's decisions of the air, and how an encoder follows them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from thinair.link.protocol.bitrate import BitrateFollower, Reason
from thinair.link.protocol.congestion_control import CongestionControl
from thinair.link.protocol.rtcp import PACE_OWN

pytestmark = pytest.mark.quick
INTERVAL_US = 40_000
MAX_BPS = 8_000_000


@dataclass
class Frame:
    """A frame of `packets` of 1250 bytes that a link of `mbps` carried."""

    frame_id: int
    mbps: float = 50.0
    packets: int = 30
    lost: int = 0
    late_us: int = 0
    complete: bool = True
    longest_run: int = 0
    unasked: int = 0
    unasked_came: int = 0
    asked: int = 0
    rounds: int = 0
    gap_us: int = 0
    done_us: int = 1

    def __post_init__(self) -> None:
        self.came = self.packets - self.lost
        self.reached = self.packets
        self.bytes = 1250 * self.came
        self.peer_us = 1_000_000 + self.frame_id * INTERVAL_US
        self.first_us = self.peer_us + 5_000 + self.late_us
        self.newest_us = self.first_us + round((self.packets - 1) * 10_000 / self.mbps)


def play(policy: CongestionControl, frames: list[Frame]) -> None:
    for frame in frames:
        policy.frame(frame, frame.newest_us)


def test_on_clean_air_nothing_is_added_and_nothing_taken() -> None:
    policy = CongestionControl(MAX_BPS, INTERVAL_US)
    play(policy, [Frame(number, 200) for number in range(100)])
    decision = policy.decision()
    assert (decision.bitrate_bps, decision.repair_ratio, decision.pace_us) == (MAX_BPS, 0, PACE_OWN)
    assert decision.reason is Reason.STEADY


def test_a_bitrate_that_the_user_holds_down_says_so() -> None:
    policy = CongestionControl(MAX_BPS // 2, INTERVAL_US)
    policy.limited = True
    play(policy, [Frame(number, 200) for number in range(100)])
    assert policy.decision().reason is Reason.LIMIT
    play(policy, [Frame(100, 1.0)])
    assert policy.decision().reason is Reason.SLOW_LINK, "the air's word comes first"


def test_a_link_that_carries_less_is_followed_with_the_first_frame_that_shows_it() -> None:
    policy = CongestionControl(MAX_BPS, INTERVAL_US)
    play(policy, [Frame(number) for number in range(20)])
    play(policy, [Frame(20, 4.0)])
    assert 3_000_000 < policy.decision().bitrate_bps < 4_000_000
    assert policy.decision().reason is Reason.SLOW_LINK


def test_a_frame_that_is_still_arriving_can_show_it_too() -> None:
    policy = CongestionControl(MAX_BPS, INTERVAL_US)
    play(policy, [Frame(number) for number in range(20)])
    half = Frame(20, 4.0)
    half.packets, half.reached, half.came, half.complete, half.done_us, half.bytes = 30, 6, 6, False, 0, 7_500
    half.newest_us = half.first_us + 12_500
    policy.watch(half, half.newest_us + 100)
    assert policy.decision().bitrate_bps < 4_000_000


def test_the_bitrate_rises_slowly_and_reaches_nine_tenths_within_five_seconds() -> None:
    policy = CongestionControl(12_000_000, INTERVAL_US)
    play(policy, [Frame(number, 3.0) for number in range(20)])
    low = policy.decision().bitrate_bps
    assert low < 3_000_000
    play(policy, [Frame(20, 30.0)])
    assert policy.decision().bitrate_bps == low, "not at once"
    play(policy, [Frame(number, 30.0) for number in range(21, 20 + 125)])
    assert policy.decision().bitrate_bps >= 0.9 * 12_000_000


def test_delay_without_loss_lowers_the_bitrate_and_asks_for_no_symbols() -> None:
    policy = CongestionControl(MAX_BPS, INTERVAL_US)
    play(policy, [Frame(number, 40) for number in range(50)])
    play(policy, [Frame(50 + number, 40, late_us=12_000 * number) for number in range(12)])
    assert policy.decision().bitrate_bps < MAX_BPS
    assert policy.decision().repair_ratio == 0
    assert policy.decision().reason is Reason.DELAY


def test_loss_without_delay_raises_the_share_and_leaves_the_bitrate() -> None:
    policy = CongestionControl(MAX_BPS, INTERVAL_US, 6_000)
    policy.observe_answer(7_000)
    play(policy, [Frame(number, 200, lost=number % 4) for number in range(150)])
    decision = policy.decision()
    assert decision.bitrate_bps == MAX_BPS
    assert 15 <= decision.repair_ratio <= 30, "two or three of thirty"
    play(policy, [Frame(150 + number, 200) for number in range(150)])
    assert policy.decision().repair_ratio == 0, "and none once the air is clean"


def test_where_answers_are_slow_more_frames_are_covered() -> None:
    shares = []
    for answer_us in (7_000, 30_000):
        policy = CongestionControl(MAX_BPS, INTERVAL_US, 6_000)
        policy.observe_answer(answer_us)
        play(policy, [Frame(number, 200, lost=8 if number % 10 == 0 else number % 3) for number in range(150)])
        shares.append(policy.decision().repair_ratio)
    assert shares[0] < shares[1]


def test_the_share_is_half_at_most() -> None:
    policy = CongestionControl(MAX_BPS, INTERVAL_US, 6_000)
    play(policy, [Frame(number, 200, lost=25) for number in range(150)])
    assert policy.decision().repair_ratio == 128


def test_on_a_slow_link_packets_leave_no_slower_than_it_carries_them() -> None:
    policy = CongestionControl(MAX_BPS, INTERVAL_US)
    play(policy, [Frame(number, 30.0) for number in range(20)])
    groups = 6
    assert 0 < policy.decision().pace_us * (groups - 1) <= 8_000
    assert policy.decision().pace_us * groups <= 29 * 10_000 / 30.0


def test_an_encoder_follows_cuts_at_once_and_rises_by_steps_that_are_worth_a_key_frame() -> None:
    follower = BitrateFollower(8_000_000)
    assert follower.follow(8_000_000, 0) is None
    assert follower.follow(7_900_000, 1) is None
    assert follower.follow(3_000_000, 2) == 3_000_000
    assert follower.follow(3_300_000, 600_000) is None
    assert follower.follow(4_000_000, 100_000) is None, "too soon"
    assert follower.follow(4_000_000, 600_000) == 4_000_000
    assert follower.follow(20_000_000, 2_000_000) == 8_000_000
